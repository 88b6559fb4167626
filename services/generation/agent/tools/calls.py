"""What complete calls ask for."""

from __future__ import annotations

from dataclasses import dataclass

from services.generation.agent.tools.editing import Insertion, Replacement


@dataclass(frozen=True, slots=True)
class WriteFile:
    """Write this text to this path."""

    path: str
    content: bytes


@dataclass(frozen=True, slots=True)
class EditFile:
    """Change a part of the file at this path."""

    path: str
    edit: Replacement | Insertion


@dataclass(frozen=True, slots=True)
class ViewFile:
    """Show the file at this path, or what lies in this folder. Empty: the whole project."""

    path: str
    lines: tuple[int, int] | None = None
    """First and last line, from 1; a last one of -1 is the file's end."""


@dataclass(frozen=True, slots=True)
class DeleteFile:
    """Remove this path."""

    path: str


@dataclass(frozen=True, slots=True)
class RenameFile:
    """Give the file at this path another one."""

    path: str
    to_path: str


@dataclass(frozen=True, slots=True)
class UseAttachment:
    """Put an attachment of the prompt to this path."""

    path: str
    name: str


@dataclass(frozen=True, slots=True)
class RunCommand:
    """Run this in the sandbox."""

    command: str


@dataclass(frozen=True, slots=True)
class Noted:
    """A call that is there to tell us something, and what it is answered."""

    answer: str


@dataclass(frozen=True, slots=True)
class BadCall:
    """A call that can't be run, and what to tell the model."""

    problem: str


Call = (
    WriteFile
    | EditFile
    | ViewFile
    | DeleteFile
    | RenameFile
    | UseAttachment
    | RunCommand
    | Noted
    | BadCall
)


def paths_of(call: Call) -> tuple[str, ...] | None:
    """The paths that a call works on; ``None``: any, so it waits for all before it, and all after it wait."""
    match call:
        case RunCommand() | ViewFile(path=""):
            return None
        case BadCall() | Noted():
            return ()
        case RenameFile():
            return (call.path, call.to_path)
        case _:
            return (call.path,)
