"""Serves a project's folder over HTTP, shows drafts in place of files, and keeps the pages that show it up to date.

This package is copied into sandboxes (see ``bundle``) and runs there by itself, so it needs the standard library alone,
Python 3.8 or later, and little memory: the standard library's own HTTP server would double it, and even ``socket``,
``threading`` and ``pathlib`` cost more than all of this.

What browsers open as a page gets one script tag more than the file has. The script listens at
``/__sandwright/events`` and swaps style sheets, repaints drafts or reloads the page when files change. Files themselves
are never touched, and whoever does not open a page (curl, fetch, a fragment that a script loads) gets their very bytes.
"""
