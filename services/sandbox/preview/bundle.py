"""The package as one file that Python imports from: a zip archive. The only module that does not run in sandboxes."""

from __future__ import annotations

import io
import shlex
import zipfile
from pathlib import Path


def bundle() -> bytes:
    """The archive. The same bytes for the same source."""
    archive = io.BytesIO()
    # Not compressed: inside a sandbox that would cost the memory of another library.
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as files:
        for path in sorted(Path(__file__).parent.iterdir()):
            if path.suffix in {".py", ".js", ".html"} and path.name != Path(__file__).name:
                files.writestr(zipfile.ZipInfo(f"preview/{path.name}"), path.read_bytes())
    return archive.getvalue()


def command(archive: str, folder: str, port: int) -> str:
    """The shell command that serves a folder with an archive that lies at ``archive``."""
    code = f"import sys; sys.path.insert(0, {archive!r}); from preview.main import main; main({folder!r}, {port})"
    # -I -S: nothing of the project's or the user's is imported, and it stays small. An archive that is run as a
    # program would be run by a module that costs another megabyte.
    return f"exec python3 -I -S -c {shlex.quote(code)}"
