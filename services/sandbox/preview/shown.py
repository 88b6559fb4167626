"""What is shown: the project's files, and drafts in place of some of them."""

from __future__ import annotations

from binascii import crc32

from .drafts import Drafts
from .folder import Folder, hidden

TYPE_CHECKING = False
if TYPE_CHECKING:  # at run time it would cost a megabyte
    from .folder import Stamps

PAGES = (".html", ".htm")


class View:
    """Everything that is shown at one moment."""

    __slots__ = ("drafts", "files")

    def __init__(self, files: Stamps, drafts: Stamps) -> None:
        self.files = files
        self.drafts = drafts

    @property
    def version(self) -> str:
        """Differs whenever the files do, and behind a dot whenever the drafts do. The same after a restart."""
        return f"{_digest(self.files):x}.{_digest(self.drafts):x}"

    def differences(self, before: View) -> dict[str, str]:
        """What happened to each path: ``draft``, ``changed``, ``added`` or ``removed``."""
        found = {}
        for path, _ in before.drafts.items() ^ self.drafts.items():
            ended = path not in self.drafts
            found[path] = ("changed" if path in self.files else "removed") if ended else "draft"
        for path, _ in before.files.items() ^ self.files.items():
            if path in self.drafts:
                continue
            if path not in self.files:
                found[path] = "removed"
            else:
                found[path] = "changed" if path in before.files else "added"
        return found


class Shown:
    """Answers what lies at a path. Paths are relative to the project's folder."""

    def __init__(self, folder: Folder, drafts: Drafts) -> None:
        self._folder = folder
        self._drafts = drafts

    def view(self) -> View:
        """Everything that is shown now."""
        drafts = {path: (one.written_at, one.size) for path, one in self._drafts.alive().items()}
        return View(self._folder.stamps(), drafts)

    def place(self, path: str) -> str | None:
        """Where the content of a file lies; ``None`` where there is none to be shown."""
        draft = self._drafts.alive().get(path)
        if draft is not None and not any(hidden(one) for one in path.split("/")):
            return draft.place
        return self._folder.file(path)

    def has_folder(self, path: str) -> bool:
        """Whether it is a folder, if only of drafts."""
        below = f"{path}/"
        return self._folder.has_folder(path) or any(
            one.startswith(below) for one in self._drafts.alive()
        )

    def pages(self) -> list[str]:
        """The paths of all pages."""
        view = self.view()
        return sorted(path for path in {**view.files, **view.drafts} if path.endswith(PAGES))


def _digest(stamps: Stamps) -> int:
    found = 0
    for path, (modified, size) in stamps.items():
        # In any order, since a folder is read in any.
        data = b"%b %d %d" % (path.encode("utf-8", "surrogateescape"), modified, size)
        found += crc32(data)
    return found
