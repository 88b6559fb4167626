"""An HTTP request into an RPC's request message, by one HTTP rule."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message

from gateway.transcoder.codec import Codec, JsonCodecs, JsonError
from gateway.transcoder.codec.wellknown import ANY, STRUCTURES
from gateway.transcoder.contract import HttpRule, Method
from gateway.transcoder.errors import ContractError, invalid, invalid_field
from gateway.transcoder.query import QueryBinder, refuse_all
from gateway.transcoder.text import Setter, is_textual, text_setter

HTTP_BODY = "google.api.HttpBody"
_FIELD_MASK = "google.protobuf.FieldMask"

Path = tuple[str, ...]


class RequestBinder:
    """Compiled from a method and one of its rules.

    It binds the body, the query, the headers, and last the path: nothing overrides what the path says.
    """

    def __init__(self, method: Method, rule: HttpRule, codecs: JsonCodecs) -> None:
        request = method.request
        self.message_class = message_factory.GetMessageClass(request)
        self._path = [
            _path_setter(request, variable.path, codecs) for variable in rule.template.variables
        ]
        # What the path identifies is not part of what a PATCH changes.
        self._bound = {
            ".".join(variable.path[1:])
            for variable in rule.template.variables
            if variable.path[0] == rule.body
        }
        body = _body_field(request, rule)
        self.raw_body = _raw_body_path(request, rule.body, body)
        self.takes_body = bool(rule.body)
        self.body: Codec | None = None
        if rule.body and self.raw_body is None:
            self.body = codecs.message(request) if body is None else codecs.field(body)
        self._body_name = "" if body is None else body.json_name
        self._query: Callable[[bytes, Any], None]
        if rule.body == "*":
            self._query = lambda query, _: refuse_all(query)
        else:
            self._query = QueryBinder(request, codecs, excluded={rule.body} - {""}).bind
        self._mask = _mask_field(request, rule)
        self._resume = _header_setter(method, method.options.event_stream.resume_field, codecs)
        self._idempotency = _header_setter(method, method.options.idempotency_field, codecs)
        self._idempotency_name = method.options.idempotency_field
        self._recursive = _may_nest(request, set())

    def bind(
        self,
        values: Sequence[str],
        query: bytes,
        body: bytes,
        header: Callable[[bytes], str | None],
    ) -> Message:
        """The request. ``body`` is JSON (empty counts as ``{}``). Raises HttpError 400."""
        message: Any = self.message_class()
        if self.body is not None and body:
            self._decode_body(body, message)
        if query:
            self._query(query, message)
        if self._mask is not None and body:
            self._fill_mask(body, message)
        self._bind_headers(header, message)
        for (name, setter), text in zip(self._path, values, strict=True):
            try:
                setter(message, text)
            except JsonError as exc:
                raise invalid_field(name, str(exc), "path parameter") from exc
        if self._recursive:
            _check_depth(message)
        return message  # type: ignore[no-any-return]  # Any above: fields are set by name

    def _decode_body(self, body: bytes, message: Any) -> None:
        assert self.body is not None
        try:
            self.body.decode(body, message)
        except JsonError as exc:
            path = exc.path
            if self._body_name:
                path = f"{self._body_name}.{path}" if path else self._body_name
            if not exc.path:
                raise invalid(f"the request body: {exc.reason}", (path, exc.reason)) from exc
            raise invalid_field(path, exc.reason) from exc

    def _fill_mask(self, body: bytes, message: Any) -> None:
        assert self._mask is not None
        assert self.body is not None
        mask = getattr(message, self._mask)
        if not mask.paths:
            mask.paths.extend(path for path in self.body.paths(body) if path not in self._bound)

    def _bind_headers(self, header: Callable[[bytes], str | None], message: Any) -> None:
        if self._resume is not None:
            text = header(b"last-event-id")
            if text:
                _from_header("Last-Event-ID", self._resume, message, text)
        if self._idempotency is not None:
            text = header(b"idempotency-key")
            if text and not getattr(message, self._idempotency_name):
                _from_header("Idempotency-Key", self._idempotency, message, text)


def _from_header(name: str, setter: Setter, message: Any, text: str) -> None:
    try:
        setter(message, text)
    except JsonError as exc:
        raise invalid_field(name, str(exc), "header") from exc


def _path_setter(request: Descriptor, path: Path, codecs: JsonCodecs) -> tuple[str, Setter]:
    """The variable's JSON name and what sets its field."""
    field, outer = _resolve(request, path)
    if field.is_repeated or not is_textual(field):
        raise ContractError(
            f"path variable {'.'.join(path)} must be a single value, which can be written as text"
        )
    leaf = text_setter(field, codecs)
    names = [item.name for item in outer]

    def setter(message: Any, text: str) -> None:
        for name in names:
            message = getattr(message, name)
        leaf(message, text)

    return ".".join(item.json_name for item in (*outer, field)), setter


def _resolve(
    request: Descriptor, path: Path
) -> tuple[FieldDescriptor, tuple[FieldDescriptor, ...]]:
    outer: list[FieldDescriptor] = []
    descriptor: Descriptor | None = request
    for index, name in enumerate(path):
        field = None if descriptor is None else descriptor.fields_by_name.get(name)
        if field is None:
            raise ContractError(f"{request.full_name} has no field {'.'.join(path)}")
        if index == len(path) - 1:
            return field, tuple(outer)
        if field.is_repeated:
            raise ContractError(f"{request.full_name}.{'.'.join(path)} leads through a list")
        outer.append(field)
        descriptor = field.message_type
    raise ContractError("an empty field path")


def _body_field(request: Descriptor, rule: HttpRule) -> FieldDescriptor | None:
    if rule.body in ("", "*"):
        return None
    field = request.fields_by_name.get(rule.body)
    if field is None:
        raise ContractError(f"body: {request.full_name} has no field {rule.body!r}")
    if field.is_repeated:
        raise ContractError(f"body: {field.full_name} is repeated")
    if any(variable.path[0] == rule.body for variable in rule.template.variables) and (
        field.message_type is None
    ):
        raise ContractError(f"body: {field.full_name} is bound by the path")
    return field


def _raw_body_path(request: Descriptor, body: str, field: FieldDescriptor | None) -> Path | None:
    """Where the HttpBody is that takes the body's bytes: () for the request itself."""
    if field is not None:
        is_raw = field.message_type is not None and field.message_type.full_name == HTTP_BODY
        return (field.name,) if is_raw else None
    return () if body == "*" and request.full_name == HTTP_BODY else None


def _mask_field(request: Descriptor, rule: HttpRule) -> str | None:
    """AIP-134: a PATCH whose body is the resource, beside an ``update_mask``."""
    field = request.fields_by_name.get("update_mask")
    if rule.verb != "PATCH" or rule.body in ("", "*") or field is None or field.is_repeated:
        return None
    is_mask = field.message_type is not None and field.message_type.full_name == _FIELD_MASK
    return field.name if is_mask else None


def _header_setter(method: Method, name: str, codecs: JsonCodecs) -> Setter | None:
    if not name:
        return None
    field, outer = _resolve(method.request, (name,))
    if outer or field.is_repeated or not is_textual(field):
        raise ContractError(f"{method.full_name}: {name} cannot be set from a header")
    return text_setter(field, codecs)


def _may_nest(descriptor: Descriptor, above: set[str]) -> bool:
    """Whether a message of this type can be nested without end."""
    name = descriptor.full_name
    if name in above or name in STRUCTURES or name == ANY:
        return True
    return any(
        _may_nest(field.message_type, above | {name})
        for field in descriptor.fields
        if field.message_type is not None
    )


def _check_depth(message: Any) -> None:
    """protobuf reads 100 levels: what is deeper would fail in the service as an internal error."""
    try:
        type(message).FromString(message.SerializeToString())
    except (DecodeError, ValueError) as exc:
        raise invalid("the request is nested too deeply") from exc
