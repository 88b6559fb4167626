"""Prints the TCP ports that something in this sandbox listens on, as JSON: ``listening.py [PORT …]`` leaves these out.

Each has number, process, pid and whether it answers HTTP just now. The kernel tells the ports in /proc/net and the
processes by the sockets that they hold; a socket of another user's process is listed without one.
"""

# Importing pathlib would cost more than all the rest.
# ruff: noqa: PTH115, PTH123, PTH208

from __future__ import annotations

import json
import os
import socket
import sys
import threading

LISTEN = "0A"
ANSWER_SECONDS = 0.5
MOST_PORTS = 200


def sockets() -> dict[str, tuple[int, str]]:
    """Port and address to ask at, by the inode of each listening socket."""
    found = {}
    for name, local in (("tcp", "127.0.0.1"), ("tcp6", "::1")):
        try:
            with open(f"/proc/net/{name}", encoding="ascii") as file:
                lines = file.read().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == LISTEN:
                address, _, port = fields[1].partition(":")
                # One that listens on a single address answers there alone.
                found[fields[9]] = (int(port, 16), spelled(address) or local)
    return found


def spelled(address: str) -> str:
    """An address of /proc/net as people write it; empty for all addresses."""
    words = [bytes.fromhex(address[at : at + 8]) for at in range(0, len(address), 8)]
    # Each word is in the machine's own order.
    raw = b"".join(word[::-1] if sys.byteorder == "little" else word for word in words)
    if not any(raw):
        return ""
    return socket.inet_ntop(socket.AF_INET if len(raw) == 4 else socket.AF_INET6, raw)


def owners(inodes: set[str]) -> dict[str, int]:
    """The first process that holds each socket."""
    found: dict[str, int] = {}
    for pid in sorted(int(name) for name in os.listdir("/proc") if name.isdigit()):
        try:
            held = os.listdir(f"/proc/{pid}/fd")
        except OSError:
            continue
        for one in held:
            try:
                target = os.readlink(f"/proc/{pid}/fd/{one}")
            except OSError:
                continue
            if target.startswith("socket:[") and target[8:-1] in inodes:
                found.setdefault(target[8:-1], pid)
    return found


def process_name(pid: int) -> str:
    """The program's name; empty where it is gone."""
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""


def answers(address: str, port: int) -> bool:
    """Whether it speaks HTTP."""
    try:
        with socket.create_connection((address, port), ANSWER_SECONDS) as connection:
            connection.sendall(b"HEAD / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return connection.recv(5) == b"HTTP/"
    except OSError:
        return False


def main(left_out: set[int]) -> None:
    """Asks all of them at the same time."""
    listening = sockets()
    pids = owners(set(listening))
    found: dict[int, dict[str, object]] = {}
    asking = []

    def ask(entry: dict[str, object], address: str, port: int) -> None:
        if answers(address, port):
            entry["ready"] = True

    for inode, (port, address) in sorted(listening.items(), key=lambda item: item[1]):
        if port in left_out or (port not in found and len(found) == MOST_PORTS):
            continue
        pid = pids.get(inode, 0)
        entry = found.setdefault(port, {"port": port, "pid": 0, "process": "", "ready": False})
        if pid and not entry["pid"]:
            entry.update(pid=pid, process=process_name(pid))
        asking.append(threading.Thread(target=ask, args=(entry, address, port), daemon=True))
        asking[-1].start()
    for thread in asking:
        thread.join(2 * ANSWER_SECONDS)
    print(json.dumps([found[port] for port in sorted(found)]))


if __name__ == "__main__":
    main({int(port) for port in sys.argv[1:]})
