"""Templates: what a sandbox begins with. A folder holds one each, as ``<name>/template.toml``.

Beside ``template.toml`` lies ``root``, the files that every sandbox of the template has: ``root/home/user/app.py``
becomes ``/home/user/app.py``. The template ``base`` is always there, with nothing in it.
"""

from __future__ import annotations

import os
import re
import tarfile
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from local.sandboxes.spawner.jail import MOUNTED

BASE = "base"
_FILE, _ROOT = "template.toml", "root"
_NAME = re.compile(r"^[a-z0-9][a-z0-9_-]{0,63}$")


class TemplateError(Exception):
    """A template's folder can't be used; the message names file and field."""


class Startup(BaseModel):
    """The command that runs in a sandbox from its beginning, and how to tell that it is ready.

    It is ready when ``ready_port`` accepts a connection (with ``ready_path``: answers a GET of it with a status
    below 500), or ``ready_command`` exits with 0, or, where neither is given, as soon as it has been started.
    A server that has answered once is also warm. Times are seconds.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    command: str = Field(min_length=1)
    cwd: str = ""
    user: str = "user"
    envs: dict[str, str] = Field(default_factory=dict)
    ready_port: int | None = Field(default=None, ge=1, le=65535)
    ready_path: str = Field(default="", pattern=r"^(/[!-~]*)?$")
    ready_command: str = ""
    ready_timeout: float = Field(default=20.0, gt=0)

    @model_validator(mode="after")
    def _one_check(self) -> Startup:
        if self.ready_port is not None and self.ready_command:
            raise ValueError("give ready_port or ready_command, not both")
        if self.ready_path and self.ready_port is None:
            raise ValueError("ready_path needs ready_port")
        return self


class _File(BaseModel):
    """``template.toml``. ``pool``: sandboxes kept warm; the engine's own setting where it is not given."""

    model_config = ConfigDict(extra="forbid")

    start: Startup | None = None
    pool: int | None = Field(default=None, ge=0)


@dataclass(frozen=True)
class Template:
    """One template: ``tree`` is a tar archive of its files, None without any."""

    name: str
    startup: Startup | None = None
    tree: Path | None = None
    pool: int | None = None


def load(folder: Path | None, packed: Path) -> dict[str, Template]:
    """All templates of ``folder``, their files packed into ``packed``; raises TemplateError."""
    found = {BASE: Template(BASE)}
    if folder is None:
        return found
    try:
        children = sorted(folder.iterdir())
    except OSError as exc:
        raise TemplateError(f"cannot read the templates in {folder}: {exc.strerror}") from exc
    packed.mkdir(parents=True, exist_ok=True)
    for child in children:
        if (child / _FILE).exists():
            found[child.name] = _load_one(child, packed)
    return found


def _load_one(folder: Path, packed: Path) -> Template:
    if not _NAME.match(folder.name):
        raise TemplateError(
            f"{folder}: a template's name has up to 64 small letters, digits, - and _"
        )
    try:
        with (folder / _FILE).open("rb") as source:
            read = _File.model_validate(tomllib.load(source))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise TemplateError(f"{folder / _FILE}: {exc}") from exc
    except ValidationError as exc:
        first = exc.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or _FILE
        raise TemplateError(f"{folder / _FILE}: {field}: {first['msg']}") from exc
    tree = packed / f"{folder.name}.tar" if (folder / _ROOT).is_dir() else None
    if tree is not None:
        try:
            with tree.open("wb") as target:
                _pack(folder / _ROOT, target)
        except OSError as exc:
            raise TemplateError(f"cannot pack {folder / _ROOT}: {exc}") from exc
    return Template(folder.name, read.start, tree, read.pool)


def _pack(root: Path, target: BinaryIO) -> None:
    """A tar archive of ``root``: modes and links are kept, owners are not."""
    children = sorted(root.iterdir())
    for mounted in MOUNTED:
        if os.path.lexists(root / mounted):
            raise TemplateError(f"{root / mounted}: a template can't put files into /{mounted}")
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for child in children:
            archive.add(child, arcname=f"./{child.name}", filter=_anonymous)


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    if not (member.isfile() or member.isdir() or member.issym() or member.islnk()):
        return None  # devices, pipes and sockets have no place in a template
    member.uid = member.gid = 1000
    member.uname = member.gname = "user"
    return member
