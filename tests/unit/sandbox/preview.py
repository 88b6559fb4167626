"""A preview server in a process of its own, as it runs in a sandbox."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.sandbox.preview.bundle import Options, PreviewServer


@dataclass(frozen=True)
class Preview:
    """A running server and the folder that it shows."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def put(self, path: str, data: bytes) -> None:
        """Writes a file as the service does: aside, then into its place."""
        place = self.folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        aside = self.folder.parent / "aside"
        aside.write_bytes(data)
        aside.rename(place)

    def draft(self, path: str, data: bytes, generation: str = "gen-1") -> Path:
        """Writes a draft as the service does; answers where it lies."""
        place = self.folder.parent / "drafts" / generation / path
        place.parent.mkdir(parents=True, exist_ok=True)
        aside = self.folder.parent / "aside-draft"
        aside.write_bytes(data)
        return aside.rename(place)

    def raw(self, request: bytes) -> bytes:
        """What comes back for these bytes until the server closes the connection."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as client:
            client.sendall(request)
            client.shutdown(socket.SHUT_WR)
            answer = b""
            while more := client.recv(65536):
                answer += more
            return answer


@contextmanager
def running(base: Path, port: int = 0, **options: Any) -> Iterator[Preview]:
    """Starts the server with the machine's own Python, as sandboxes do; ``options`` as ``Options``."""
    archive, folder = base / "preview.pyz", base / "site"
    server = PreviewServer.of(
        str(archive), Options(str(folder), str(base / "drafts"), port, **options)
    )
    archive.write_bytes(server.archive)
    process = subprocess.Popen(
        ["/bin/sh", "-c", server.command],
        stdout=subprocess.PIPE,
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
        cwd=os.sep,
    )
    assert process.stdout is not None
    try:
        yield Preview(folder, int(process.stdout.readline()), process)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
