"""``python -m local.sandboxes.spawner FD``: read the engine's plan from the socket FD, then serve."""

from __future__ import annotations

import json
import signal
import socket
import sys

from local.sandboxes.spawner import hierarchy
from local.sandboxes.spawner.jail import Recipe
from local.sandboxes.spawner.limits import Limits
from local.sandboxes.spawner.server import MESSAGE_BYTES, Spawner


def main() -> None:
    """The engine ends this process by closing the socket, so that Ctrl-C can't end it first."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    control = socket.socket(fileno=int(sys.argv[1]))
    control.set_inheritable(False)
    data, descriptors, _, _ = socket.recv_fds(control, MESSAGE_BYTES, 2)
    plan = json.loads(data)
    groups = hierarchy.find(plan["group"])
    groups.clear()
    seccomp, bundle = descriptors
    recipe = Recipe(plan["bwrap"], plan["python"], Limits(**plan["limits"]), seccomp, bundle)
    roots = {controller: str(root) for controller, root in groups.roots.items()}
    control.send(json.dumps({"roots": roots, "version": groups.version}).encode())
    Spawner(control, recipe, groups).serve()


main()
