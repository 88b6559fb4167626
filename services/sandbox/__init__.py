"""Sandboxes: where a project's files run and are seen. A cache; the projects service's store is the truth."""
