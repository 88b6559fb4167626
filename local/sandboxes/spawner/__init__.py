"""The one process that starts jails: small, standard library only, single-threaded.

It is apart from the engine because forking a process that runs an event loop and threads is slow
and unsafe, and because every jail is tied to its life (``--die-with-parent``): when the engine dies,
however it dies, the spawner sees its socket close and takes all jails with it.
"""
