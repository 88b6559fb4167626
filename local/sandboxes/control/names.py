"""Names under which the engine is meant to be reached."""

from __future__ import annotations

import ipaddress


def is_own(host: str, domain: str) -> bool:
    """Whether a Host header can't be that of a stranger's web page.

    A page may have its own name resolved to this machine (DNS rebinding), and may then send us what it likes. It
    can't have such a name without a dot, below ``localhost``, below our own ``domain``, or a bare address.
    """
    name = _without_port(host).lower().rstrip(".")
    ours = _without_port(domain).lower()
    if "." not in name or name.endswith(".localhost"):
        return True
    if name == ours or name.endswith(f".{ours}"):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if host.count(":") == 1 else host
