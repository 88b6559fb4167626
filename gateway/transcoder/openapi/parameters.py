"""Parameters of an operation: from the path, the query and headers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from gateway.transcoder.codec.fields import is_map, message_of
from gateway.transcoder.codec.wellknown import ANY, STRUCTURES
from gateway.transcoder.contract import HttpRule, Method
from gateway.transcoder.openapi.schemas import Schemas
from gateway.transcoder.template import ANY as ONE_SEGMENT
from gateway.transcoder.template import REST, Template, Variable
from gateway.transcoder.text import is_textual

Parameter = dict[str, Any]


def path_and_parameters(
    method: Method, rule: HttpRule, schemas: Schemas
) -> tuple[str, list[Parameter]]:
    """The path as OpenAPI writes it, and a parameter for each wildcard in it."""
    parts: list[str] = []
    found: list[Parameter] = []
    template = rule.template
    for index, segment in enumerate(template.segments):
        if segment.kind not in (ONE_SEGMENT, REST):
            parts.append(segment.text)
            continue
        variable = _variable_at(template, index)
        name = _name(variable, index, template, method.request)
        parts.append(f"{{{name}}}")
        found.append(_path_parameter(name, variable, segment.kind, method.request, schemas))
    verb = f":{template.verb}" if template.verb else ""
    return "/" + "/".join(parts) + verb, found


def _variable_at(template: Template, index: int) -> Variable | None:
    for variable in template.variables:
        if variable.start <= index and (variable.stop is None or index < variable.stop):
            return variable
    return None


def _name(variable: Variable | None, index: int, template: Template, request: Descriptor) -> str:
    if variable is None:
        return f"segment{index + 1}"
    name = json_path(request, variable.path)
    stop = len(template.segments) if variable.stop is None else variable.stop
    wild = [
        i for i in range(variable.start, stop) if template.segments[i].kind in (ONE_SEGMENT, REST)
    ]
    return name if len(wild) == 1 else f"{name}{wild.index(index) + 1}"


def json_path(request: Descriptor, path: tuple[str, ...]) -> str:
    """A field path in JSON names."""
    return ".".join(field.json_name for field in _fields(request, path))


def _fields(request: Descriptor, path: tuple[str, ...]) -> Iterator[FieldDescriptor]:
    level = request
    for index, name in enumerate(path):
        field = level.fields_by_name[name]
        yield field
        if index < len(path) - 1:
            level = message_of(field)


def _path_parameter(
    name: str, variable: Variable | None, kind: str, request: Descriptor, schemas: Schemas
) -> Parameter:
    schema: dict[str, Any] = {"type": "string"}
    notes = []
    if variable is not None:
        field = list(_fields(request, variable.path))[-1]
        described = schemas.field(field)
        notes.append(described.pop("description", ""))
        if not variable.multi or kind == REST:
            schema = described
    if kind == REST:
        notes.append("May hold slashes.")
    found = {"name": name, "in": "path", "required": True, "schema": schema}
    text = " ".join(note for note in notes if note)
    return {**found, "description": text} if text else found


def query_parameters(method: Method, rule: HttpRule, schemas: Schemas) -> list[Parameter]:
    """Every field that is neither in the path nor in the body."""
    if rule.body == "*":
        return []
    bound = {variable.name for variable in rule.template.variables} | {rule.body}
    return list(_query(method.request, (), "", bound, schemas))


def _query(
    descriptor: Descriptor, above: tuple[str, ...], prefix: str, bound: set[str], schemas: Schemas
) -> Iterator[Parameter]:
    for field in descriptor.fields:
        name = ".".join((*above, field.name))
        if name in bound or is_map(field):
            continue
        if is_textual(field):
            if not (field.is_repeated and field.message_type is not None):
                yield _query_parameter(f"{prefix}{field.json_name}", field, schemas)
        elif not field.is_repeated and _has_parameters(message_of(field), len(above)):
            path = (*above, field.name)
            yield from _query(
                message_of(field), path, f"{prefix}{field.json_name}.", bound, schemas
            )


def _has_parameters(descriptor: Descriptor, depth: int) -> bool:
    # A message may hold itself: beyond the second level the reader knows how it goes on.
    return depth < 2 and descriptor.full_name not in STRUCTURES | {ANY}


def _query_parameter(name: str, field: FieldDescriptor, schemas: Schemas) -> Parameter:
    schema = schemas.field(field)
    found: Parameter = {"name": name, "in": "query"}
    description = schema.pop("description", None)
    if description:
        found["description"] = description
    if schemas.required(field):
        found["required"] = True
    return {**found, "schema": schema}


def header_parameters(method: Method) -> list[Parameter]:
    """The headers that the method's options give a meaning."""
    options, found = method.options, []
    if options.idempotency_field:
        text = "The same key gives the same result; it fills the body's field where that is empty."
        found.append(_header("Idempotency-Key", text))
    if options.event_stream.resume_field:
        text = "The id of the last event that arrived; the stream goes on after it."
        found.append(_header("Last-Event-ID", text))
    if options.etag_field:
        text = "An ETag that is held: where it is still right the answer is 304 without a body."
        found.append(_header("If-None-Match", text))
    return found


def _header(name: str, description: str) -> Parameter:
    return {"name": name, "in": "header", "description": description, "schema": {"type": "string"}}
