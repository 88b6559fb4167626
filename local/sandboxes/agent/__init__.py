"""What runs as process 1 inside every jail: files, processes and dials, nothing else.

It starts once per sandbox, so it imports almost nothing: no ``json``, ``socket``, ``struct``,
``subprocess`` or ``selectors`` (each costs as much as the interpreter's own start). It is written
for Python 3.9, the oldest system interpreter that it may meet.
"""
