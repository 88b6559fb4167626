"""Writes docs/API.md from the descriptors: every RPC with its REST route, and every message with its rules."""

from __future__ import annotations

from collections.abc import Iterator

from google.api import annotations_pb2
from google.protobuf import descriptor_pb2 as pb

from buf.validate import validate_pb2
from protos.options.v1 import options_pb2

_TYPES = pb.FieldDescriptorProto.Type
_ACCESS = {
    options_pb2.ACCESS_PUBLIC: "anybody",
    options_pb2.ACCESS_USER: "a user",
    options_pb2.ACCESS_INTERNAL: "services",
}
_VERBS = ("get", "put", "post", "delete", "patch")
HEAD = """# API reference

Generated from the protos by `make protos`. JSON uses the lowerCamelCase form of a field's name and the short
lower-case form of an enum's value. `string`, `int32` and so on are protobuf's types; times are RFC 3339. Over gRPC
the same methods are at `/package.Service/Method`, with the token in the metadata `authorization: Bearer …`. The live
OpenAPI 3.1 description is at `/openapi.json`.
"""


def render(files: pb.FileDescriptorSet) -> str:
    """The page for all files of ours in the set."""
    own = [file for file in files.file if file.package.startswith("sandwright.")]
    parts = [HEAD]
    for file in own:
        comments = _comments(file)
        for index, service in enumerate(file.service):
            parts += _service(file, service, index, comments)
    parts.append("## Messages\n")
    for file in own:
        comments = _comments(file)
        for index, message in enumerate(file.message_type):
            parts += _message(_named(file, message.name), message, (4, index), comments)
        for index, enum in enumerate(file.enum_type):
            parts += _enum(_named(file, enum.name), enum, (5, index), comments)
    return "\n".join(parts).rstrip() + "\n"


Comments = dict[tuple[int, ...], str]


def _named(file: pb.FileDescriptorProto, name: str) -> str:
    return _short(f"{file.package}.{name}")


def _short(full_name: str) -> str:
    """``projects.Project`` of ``sandwright.projects.v1.Project``: two packages may use one name."""
    parts = full_name.split(".")
    return f"{parts[1]}.{parts[-1]}"


def _comments(file: pb.FileDescriptorProto) -> Comments:
    return {
        tuple(place.path): " ".join(place.leading_comments.split())
        for place in file.source_code_info.location
        if place.leading_comments
    }


def _service(
    file: pb.FileDescriptorProto, service: pb.ServiceDescriptorProto, index: int, comments: Comments
) -> Iterator[str]:
    yield f"## {file.package}.{service.name}\n"
    yield f"{comments.get((6, index), '')}\n"
    for number, method in enumerate(service.method):
        yield f"### {method.name}\n"
        for route in _routes(method.options):
            yield f"`{route}`  "
        request = f"{'stream of ' * method.client_streaming}{_link(method.input_type)}"
        answer = f"{'stream of ' * method.server_streaming}{_link(method.output_type)}"
        yield f"{request} → {answer}, open to {_access(method.options)}\n"
        yield f"{comments.get((6, index, 2, number), '')}\n"


def _routes(options: pb.MethodOptions) -> Iterator[str]:
    if not options.HasExtension(annotations_pb2.http):
        return
    rule = options.Extensions[annotations_pb2.http]
    for binding in (rule, *rule.additional_bindings):
        verb = next(name for name in _VERBS if getattr(binding, name))
        yield f"{verb.upper()} {getattr(binding, verb)}"


def _access(options: pb.MethodOptions) -> str:
    access = options.Extensions[options_pb2.rpc].access
    if not access:
        known = options.HasExtension(annotations_pb2.http)
        access = options_pb2.ACCESS_USER if known else options_pb2.ACCESS_INTERNAL
    return _ACCESS[access]


def _message(
    name: str, message: pb.DescriptorProto, path: tuple[int, ...], comments: Comments
) -> Iterator[str]:
    yield f"### {name}\n"
    yield f"{comments.get(path, '')}\n"
    if not message.field:
        return
    yield "| field | type | |\n|---|---|---|"
    for index, field in enumerate(message.field):
        said = " ".join(filter(None, (comments.get((*path, 2, index), ""), _rules(field))))
        yield f"| `{field.json_name}` | {_type(field)} | {said.replace('|', chr(92) + '|')} |"
    yield ""


def _enum(
    name: str, enum: pb.EnumDescriptorProto, path: tuple[int, ...], comments: Comments
) -> Iterator[str]:
    yield f"### {name}\n"
    yield f"{comments.get(path, '')}\n"
    yield "| value | in JSON | |\n|---|---|---|"
    prefix = "".join("_" + c if c.isupper() else c.upper() for c in enum.name).lstrip("_") + "_"
    for index, value in enumerate(enum.value):
        short = value.name.removeprefix(prefix).lower()
        yield f"| `{value.name}` | `{short}` | {comments.get((*path, 2, index), '')} |"
    yield ""


def _type(field: pb.FieldDescriptorProto) -> str:
    scalar = _TYPES.Name(field.type).removeprefix("TYPE_").lower()
    name = _link(field.type_name) if field.type_name else scalar
    return f"list of {name}" if field.label == pb.FieldDescriptorProto.LABEL_REPEATED else name


def _link(type_name: str) -> str:
    full_name = type_name.lstrip(".")
    if not full_name.startswith("sandwright."):
        return f"`{full_name}`"
    name = _short(full_name)
    return f"[{name}](#{name.replace('.', '').lower()})"


def _rules(field: pb.FieldDescriptorProto) -> str:
    rules = field.options.Extensions[validate_pb2.field]
    kind = rules.WhichOneof("type")
    found = []
    if kind:
        for rule, value in getattr(rules, kind).ListFields():
            shown = ", ".join(map(str, value)) if rule.is_repeated else str(value)
            found.append(f"{rule.name} {shown.replace(chr(10), ' ')}")
    found += [rule.message for rule in rules.cel]
    return f"*({'; '.join(found)})*" if found else ""
