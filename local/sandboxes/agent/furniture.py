"""The files that a fresh jail's own tree needs before anybody works in it."""

from __future__ import annotations

import os

SHIMS = "/opt/sandbox/bin"

_DIRECTORIES = (
    "/home/user",
    "/root",
    "/opt",
    "/var/tmp",
    "/var/log",
    "/run",
    "/srv",
    "/mnt",
    SHIMS,
)

# A login shell must keep the PATH and the variables that the engine gave it.
_PROFILE = """\
if [ -n "${BASH_VERSION-}" ] && [ -n "${PS1-}" ] && [ -f /etc/bash.bashrc ]; then . /etc/bash.bashrc; fi
"""

# There is one user in a jail and no setuid program works there: sudo runs the command as it is.
_SUDO = """\
#!/bin/sh
while [ $# -gt 0 ]; do
  case "$1" in
    -u|-g|-C|-D|-h|-p|-r|-t|-T|-U) shift 2 ;;
    --) shift; break ;;
    -*) shift ;;
    *=*) export "$1"; shift ;;
    *) break ;;
  esac
done
[ $# -gt 0 ] || exec /bin/sh
exec "$@"
"""

_FILES = {
    "/etc/passwd": "root:x:0:0:root:/root:/bin/bash\n"
    "user:x:1000:1000:user:/home/user:/bin/bash\n"
    "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    "/etc/group": "root:x:0:\nuser:x:1000:\nnogroup:x:65534:\n",
    "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
    "/etc/profile": _PROFILE,
    "/etc/bash.bashrc": "PS1='\\u@\\h:\\w\\$ '\n",
    "/home/user/.bashrc": "",
    "/home/user/.profile": "",
}


def arrange(hostname: str) -> None:
    """Write the files and directories above; the tree is empty but for what the jail mounts."""
    for directory in _DIRECTORIES:
        os.makedirs(directory, 0o755, exist_ok=True)
    os.chmod("/etc", 0o755)  # bubblewrap makes the parents of what it mounts private
    os.chmod("/var/tmp", 0o1777)
    for path, text in _FILES.items():
        _put(path, text, 0o644)
    _put("/etc/hostname", hostname + "\n", 0o644)
    _put("/etc/hosts", f"127.0.0.1 localhost {hostname}\n::1 localhost\n", 0o644)
    _put(SHIMS + "/sudo", _SUDO, 0o755)
    if not any(os.path.exists(folder + "/python") for folder in ("/usr/bin", "/usr/local/bin")):
        os.symlink(_python(), SHIMS + "/python")


def _put(path: str, text: str, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    os.write(descriptor, text.encode())
    os.close(descriptor)


def _python() -> str:
    local = "/usr/local/bin/python3"
    return local if os.path.exists(local) else "/usr/bin/python3"
