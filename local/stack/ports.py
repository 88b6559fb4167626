"""Whether the ports that are needed are free."""

from __future__ import annotations

import socket

from local.stack.plan import Process


def taken(processes: list[Process]) -> list[str]:
    """A line for every port that can't be had, saying whose it is and how to give another."""
    return [
        f"port {process.port} ({process.name}) is in use: stop what uses it, or set {process.port_setting}"
        for process in processes
        if not _free(process.port)
    ]


def _free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: a port that a connection of the last run still lingers on counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
