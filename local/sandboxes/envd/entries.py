"""Files as the wire describes them."""

from __future__ import annotations

from e2b.envd.filesystem.filesystem_pb import EntryInfo, FileType
from protobuf.wkt.google.protobuf.timestamp_pb import Timestamp

from local.sandboxes.files import Entry

_KINDS = {"file": FileType.FILE, "directory": FileType.DIRECTORY}


def message(entry: Entry) -> EntryInfo:
    """An entry as the wire has it."""
    found = EntryInfo(
        name=entry.name,
        type=_KINDS.get(entry.kind, FileType.UNSPECIFIED),
        path=entry.path,
        size=entry.size,
        mode=entry.mode,
        permissions=entry.permissions,
        owner=entry.owner,
        group=entry.group,
        modified_time=Timestamp(
            seconds=entry.modified_ns // 10**9, nanos=entry.modified_ns % 10**9
        ),
        metadata=entry.metadata,
        is_symlink=entry.is_symlink,
    )
    if entry.symlink_target is not None:
        found.symlink_target = entry.symlink_target
    return found
