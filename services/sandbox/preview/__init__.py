"""Serves a project's folder over HTTP and reloads the pages that show it.

This package is copied into sandboxes (see ``bundle``) and runs there by itself, so it needs the standard library alone,
Python 3.9 or later, and little memory: the standard library's own HTTP server would double it.

What browsers ask for as a page gets one script tag more than the file has. The script listens at
``/__sandwright/events`` and swaps style sheets or reloads the page when files change. Files themselves are never
touched, and whoever does not ask for HTML (curl, fetch) gets their very bytes.
"""
