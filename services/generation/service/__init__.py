"""Use cases: starting, watching, listing and cancelling generations, and following what happens to projects."""
