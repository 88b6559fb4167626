"""What a set of descriptors says: the RPCs, their HTTP rules, our options, and the comments."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from google.api import annotations_pb2, http_pb2
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import Descriptor, MethodDescriptor

from gateway.transcoder.comments import comments_of
from gateway.transcoder.errors import ContractError
from gateway.transcoder.template import Template, parse_template
from protos.options.v1 import options_pb2

_NO_SIDE_EFFECTS = descriptor_pb2.MethodOptions.NO_SIDE_EFFECTS


@dataclass(frozen=True)
class HttpRule:
    """One HTTP binding of an RPC."""

    verb: str  # upper-case, or "*" for any
    template: Template
    body: str  # "", "*" or a field of the request
    response_body: str  # "" or a field of the response


@dataclass(frozen=True)
class Method:
    """One RPC. ``descriptor`` belongs to the contract's own pool."""

    descriptor: MethodDescriptor
    rules: tuple[HttpRule, ...]
    options: options_pb2.RpcOptions
    read_only: bool
    deprecated: bool = False

    @property
    def full_name(self) -> str:
        """``package.Service.Method``."""
        return str(self.descriptor.full_name)

    @property
    def service(self) -> str:
        """``package.Service``."""
        return str(self.descriptor.containing_service.full_name)

    @property
    def path(self) -> str:
        """The path of the RPC in gRPC."""
        return f"/{self.service}/{self.descriptor.name}"

    @property
    def request(self) -> Descriptor:
        """The request's descriptor."""
        return self.descriptor.input_type

    @property
    def response(self) -> Descriptor:
        """The response's descriptor."""
        return self.descriptor.output_type


@dataclass(frozen=True)
class Contract:
    """A loaded descriptor set."""

    pool: descriptor_pool.DescriptorPool
    methods: tuple[Method, ...]
    comments: dict[str, str] = field(default_factory=dict)  # by full name
    field_options: dict[str, descriptor_pb2.FieldOptions] = field(default_factory=dict)
    oneof_options: dict[str, descriptor_pb2.OneofOptions] = field(default_factory=dict)


def load_contract(descriptor_set: bytes) -> Contract:
    """Reads a serialized FileDescriptorSet that holds all imports; source info gives the comments."""
    files = descriptor_pb2.FileDescriptorSet.FromString(descriptor_set).file
    pool = descriptor_pool.DescriptorPool()
    comments: dict[str, str] = {}
    for file in files:
        comments.update(comments_of(file))
        bare = descriptor_pb2.FileDescriptorProto()
        bare.CopyFrom(file)
        bare.ClearField("source_code_info")
        try:
            pool.AddSerializedFile(bare.SerializeToString())
        except TypeError as exc:
            raise ContractError(f"{file.name} cannot be loaded: {exc}") from exc
    methods = tuple(method for file in files for method in _methods(file, pool))
    return Contract(
        pool, methods, comments, dict(_field_options(files)), dict(_oneof_options(files))
    )


def _methods(
    file: descriptor_pb2.FileDescriptorProto, pool: descriptor_pool.DescriptorPool
) -> Iterator[Method]:
    for service in file.service:
        name = f"{file.package}.{service.name}" if file.package else service.name
        found = pool.FindServiceByName(name)
        for proto in service.method:
            # The options are read from the file's own message: there the extensions are known,
            # whichever pool the descriptor lives in.
            options = proto.options
            yield Method(
                descriptor=found.methods_by_name[proto.name],
                rules=tuple(_rules(f"{name}.{proto.name}", options)),
                options=options.Extensions[options_pb2.rpc],
                read_only=options.idempotency_level == _NO_SIDE_EFFECTS,
                deprecated=options.deprecated,
            )


def _rules(name: str, options: descriptor_pb2.MethodOptions) -> Iterator[HttpRule]:
    if not options.HasExtension(annotations_pb2.http):
        return
    first = options.Extensions[annotations_pb2.http]
    for rule in [first, *first.additional_bindings]:
        if rule is not first and rule.additional_bindings:
            raise ContractError(f"{name}: additional_bindings may not be nested")
        try:
            yield _rule(rule)
        except ContractError as exc:
            raise ContractError(f"{name}: {exc}") from exc


def _rule(rule: http_pb2.HttpRule) -> HttpRule:
    pattern = rule.WhichOneof("pattern")
    if pattern is None:
        raise ContractError("an HTTP rule without a pattern")
    if pattern == "custom":
        verb, path = rule.custom.kind, rule.custom.path
        if not verb:
            raise ContractError("a custom HTTP rule without a kind")
    else:
        verb, path = pattern, getattr(rule, pattern)
    return HttpRule(verb.upper(), parse_template(path), rule.body, rule.response_body)


def _messages(
    files: Iterable[descriptor_pb2.FileDescriptorProto],
) -> Iterator[tuple[str, descriptor_pb2.DescriptorProto]]:
    pending = [(file.package, message) for file in files for message in file.message_type]
    while pending:
        scope, message = pending.pop()
        name = f"{scope}.{message.name}" if scope else message.name
        yield name, message
        pending.extend((name, nested) for nested in message.nested_type)


def _field_options(
    files: Iterable[descriptor_pb2.FileDescriptorProto],
) -> Iterator[tuple[str, descriptor_pb2.FieldOptions]]:
    for name, message in _messages(files):
        for item in message.field:
            if item.HasField("options"):
                yield f"{name}.{item.name}", item.options


def _oneof_options(
    files: Iterable[descriptor_pb2.FileDescriptorProto],
) -> Iterator[tuple[str, descriptor_pb2.OneofOptions]]:
    for name, message in _messages(files):
        for item in message.oneof_decl:
            if item.HasField("options"):
                yield f"{name}.{item.name}", item.options
