"""The whole OpenAPI document."""

from __future__ import annotations

import re
from typing import Any

from gateway.transcoder.binding import HTTP_BODY
from gateway.transcoder.contract import Contract, HttpRule, Method
from gateway.transcoder.openapi.parameters import (
    header_parameters,
    path_and_parameters,
    query_parameters,
)
from gateway.transcoder.openapi.schemas import Schemas, reachable, status_schema
from protos.options.v1 import options_pb2

_BINARY = {"application/octet-stream": {"schema": {"contentMediaType": "application/octet-stream"}}}
_ERROR = {"$ref": "#/components/responses/Error"}
_VERBS = frozenset(("get", "put", "post", "delete", "options", "head", "patch", "trace"))
_SENTENCE = re.compile(r"(?<=[.!?])\s")


def build_document(
    contract: Contract, *, title: str, version: str, description: str = ""
) -> dict[str, Any]:
    """OpenAPI 3.1 of every annotated RPC."""
    annotated = [method for method in contract.methods if method.rules]
    asked: set[str] = set()
    answered: set[str] = set()
    for method in annotated:
        reachable(method.request, asked)
        reachable(method.response, answered)
    return _Document(contract, Schemas(contract, answered, asked)).build(
        annotated, {"title": title, "version": version, "description": description}
    )


class _Document:
    def __init__(self, contract: Contract, schemas: Schemas) -> None:
        self._contract = contract
        self._schemas = schemas
        self._paths: dict[str, dict[str, Any]] = {}
        self._shapes: dict[
            str, str
        ] = {}  # a path with its names blanked, and the path as first written
        self._ids: set[str] = set()

    def build(self, methods: list[Method], info: dict[str, str]) -> dict[str, Any]:
        for method in methods:
            for rule in method.rules:
                if rule.verb.lower() in _VERBS:  # OpenAPI 3.1 has no words for others
                    self._add(method, rule)
        return {
            "openapi": "3.1.0",
            "info": info,
            "servers": [{"url": "/"}],
            "tags": self._tags(methods),
            "paths": self._paths,
            "security": [{"bearer": []}],
            "components": {
                "schemas": {**self._schemas.components, "Status": status_schema()},
                "responses": {"Error": _error_response()},
                "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            },
        }

    def _tags(self, methods: list[Method]) -> list[dict[str, str]]:
        names = dict.fromkeys(method.service for method in methods)
        return [
            {"name": _short(name), "description": self._contract.comments.get(name, "")}
            for name in names
        ]

    def _add(self, method: Method, rule: HttpRule) -> None:
        path, parameters = path_and_parameters(method, rule, self._schemas)
        path = self._merged(path, parameters)
        found = [
            *parameters,
            *query_parameters(method, rule, self._schemas),
            *header_parameters(method),
        ]
        operation = self._described(method)
        operation["operationId"] = self._operation_id(method)
        if found:
            operation["parameters"] = found
        if rule.body:
            operation["requestBody"] = self._body(method, rule)
        operation["responses"] = self._responses(method, rule)
        if method.options.access == options_pb2.ACCESS_PUBLIC:
            operation["security"] = []
        if method.deprecated:
            operation["deprecated"] = True
        self._paths.setdefault(path, {})[rule.verb.lower()] = operation

    def _merged(self, path: str, parameters: list[dict[str, Any]]) -> str:
        """Two templates that differ in names only are one path to OpenAPI: the first names win."""
        first = self._shapes.setdefault(re.sub(r"\{[^}]*\}", "{}", path), path)
        names = re.findall(r"\{([^}]*)\}", first)
        for parameter, name in zip(parameters, names, strict=True):
            parameter["name"] = name
        return first

    def _described(self, method: Method) -> dict[str, Any]:
        comment = self._contract.comments.get(method.full_name, "")
        summary, *rest = _SENTENCE.split(comment, maxsplit=1)
        found: dict[str, Any] = {"tags": [_short(method.service)]}
        if summary:
            found["summary"] = " ".join(summary.split()).rstrip(".")
        if rest:
            found["description"] = rest[0].strip()
        return found

    def _operation_id(self, method: Method) -> str:
        base = f"{_short(method.service)}_{method.descriptor.name}"
        name, count = base, 1
        while name in self._ids:
            count += 1
            name = f"{base}_{count}"
        self._ids.add(name)
        return name

    def _body(self, method: Method, rule: HttpRule) -> dict[str, Any]:
        request = method.request
        if rule.body == "*" and request.full_name != HTTP_BODY:
            bound = frozenset(v.path[0] for v in rule.template.variables if len(v.path) == 1)
            schema = self._schemas.object(request, bound)
            schema["additionalProperties"] = False
            required = bool(schema.get("required"))
        else:
            field = None if rule.body == "*" else request.fields_by_name[rule.body]
            kind = request if field is None else field.message_type
            if kind is not None and kind.full_name == HTTP_BODY:
                note = "The bytes, of any media type."
                return {"required": True, "description": note, "content": {"*/*": {"schema": {}}}}
            assert field is not None
            schema, required = self._schemas.field(field), True
        if method.descriptor.client_streaming:
            note = "One JSON message a line."
            return {"description": note, "content": {"application/x-ndjson": {"schema": schema}}}
        return {"required": required, "content": {"application/json": {"schema": schema}}}

    def _responses(self, method: Method, rule: HttpRule) -> dict[str, Any]:
        found: dict[str, Any] = {"200": self._success(method, rule)}
        if method.options.etag_field:
            found["304"] = {"description": "What is held is still right."}
        if method.options.event_stream.resume_field:
            found["204"] = {"description": "Nothing came after Last-Event-ID and nothing will."}
        found["400"] = _ERROR
        if method.options.access != options_pb2.ACCESS_PUBLIC:
            found["401"] = _ERROR
        if rule.body:
            found["413"] = found["415"] = _ERROR
        found["default"] = _ERROR
        return found

    def _success(self, method: Method, rule: HttpRule) -> dict[str, Any]:
        field = method.response.fields_by_name[rule.response_body] if rule.response_body else None
        kind = method.response if field is None else field.message_type
        if kind is not None and kind.full_name == HTTP_BODY:
            return {"description": "The bytes, as an attachment.", "content": _BINARY}
        schema = (
            self._schemas.message(method.response) if field is None else self._schemas.field(field)
        )
        if method.descriptor.server_streaming:
            return self._stream(method, schema)
        made: dict[str, Any] = {
            "description": "OK",
            "content": {"application/json": {"schema": schema}},
        }
        if method.options.etag_field:
            made["headers"] = {"ETag": {"schema": {"type": "string"}}}
        return made

    def _stream(self, method: Method, schema: dict[str, Any]) -> dict[str, Any]:
        options, shape = method.options.event_stream, method.response.full_name.rpartition(".")[2]
        parts = [f"Server-sent events. The data of each is a {shape} as JSON"]
        if options.id_field:
            parts.append(f"its id the message's {options.id_field}")
        if options.name_oneof:
            names = method.response.oneofs_by_name[options.name_oneof].fields
            parts.append("its name one of " + ", ".join(field.name for field in names))
        text = ", ".join(parts) + ". A failure is an event named error, whose data is a Status."
        lines = f'One {shape} a line; a failure is a last line {{"error": Status}}.'
        return {
            "description": "The messages as they come, in the form that Accept asks for.",
            "content": {
                "text/event-stream": {"schema": {"type": "string", "description": text}},
                "application/x-ndjson": {"schema": {"type": "string", "description": lines}},
                "application/json": {"schema": {"type": "array", "items": schema}},
            },
        }


def _short(name: str) -> str:
    return name.rpartition(".")[2]


def _error_response() -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Status"}
    return {"description": "An error.", "content": {"application/json": {"schema": schema}}}
