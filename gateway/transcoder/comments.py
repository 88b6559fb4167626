"""Comments of a proto file, by the full name of what they stand at."""

from __future__ import annotations

from collections.abc import Iterator

from google.protobuf import descriptor_pb2

# Field numbers in descriptor.proto, of which a source location's path is made.
_FILE_MESSAGE, _FILE_ENUM, _FILE_SERVICE = 4, 5, 6
_MESSAGE_FIELD, _MESSAGE_NESTED, _MESSAGE_ENUM, _MESSAGE_ONEOF = 2, 3, 4, 8
_ENUM_VALUE, _SERVICE_METHOD = 2, 2

Path = tuple[int, ...]


def comments_of(file: descriptor_pb2.FileDescriptorProto) -> dict[str, str]:
    """Leading comments (else trailing ones), without the leading space of each line."""
    found = {
        tuple(location.path): _clean(location.leading_comments or location.trailing_comments)
        for location in file.source_code_info.location
    }
    return {name: found[path] for name, path in _names(file) if found.get(path)}


def _clean(comment: str) -> str:
    return "\n".join(line.strip() for line in comment.strip().splitlines())


def _names(file: descriptor_pb2.FileDescriptorProto) -> Iterator[tuple[str, Path]]:
    scope = f"{file.package}." if file.package else ""
    for index, message in enumerate(file.message_type):
        yield from _message_names(message, scope, (_FILE_MESSAGE, index))
    for index, enum in enumerate(file.enum_type):
        yield from _enum_names(enum, scope, (_FILE_ENUM, index))
    for index, service in enumerate(file.service):
        name = f"{scope}{service.name}"
        yield name, (_FILE_SERVICE, index)
        for number, method in enumerate(service.method):
            yield f"{name}.{method.name}", (_FILE_SERVICE, index, _SERVICE_METHOD, number)


def _message_names(
    message: descriptor_pb2.DescriptorProto, scope: str, path: Path
) -> Iterator[tuple[str, Path]]:
    name = f"{scope}{message.name}"
    yield name, path
    for index, field in enumerate(message.field):
        yield f"{name}.{field.name}", (*path, _MESSAGE_FIELD, index)
    for index, oneof in enumerate(message.oneof_decl):
        yield f"{name}.{oneof.name}", (*path, _MESSAGE_ONEOF, index)
    for index, nested in enumerate(message.nested_type):
        yield from _message_names(nested, f"{name}.", (*path, _MESSAGE_NESTED, index))
    for index, enum in enumerate(message.enum_type):
        yield from _enum_names(enum, f"{name}.", (*path, _MESSAGE_ENUM, index))


def _enum_names(
    enum: descriptor_pb2.EnumDescriptorProto, scope: str, path: Path
) -> Iterator[tuple[str, Path]]:
    name = f"{scope}{enum.name}"
    yield name, path
    for index, value in enumerate(enum.value):
        yield f"{name}.{value.name}", (*path, _ENUM_VALUE, index)
