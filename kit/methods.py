"""What our protos say about a method: who may call it, how long it may take, whether it may be repeated."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from google.api import annotations_pb2
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import MethodDescriptor

from protos.options.v1 import options_pb2

PACKAGE = "sandwright."
_IDEMPOTENT = {
    descriptor_pb2.MethodOptions.NO_SIDE_EFFECTS,
    descriptor_pb2.MethodOptions.IDEMPOTENT,
}


@dataclass(frozen=True, slots=True)
class MethodPolicy:
    """What holds for one method."""

    path: str
    """As on the wire: ``/package.Service/Method``."""
    service: str
    """Which of our services it belongs to, such as ``projects``; empty where it isn't ours."""
    access: options_pb2.Access.ValueType
    deadline: options_pb2.Deadline.ValueType
    idempotent: bool


@lru_cache(maxsize=1024)
def policy_of(path: str) -> MethodPolicy:
    """The policy of a method by its path. Methods of other packages (health, reflection) are public."""
    service, _, method = path.strip("/").partition("/")
    if not service.startswith(PACKAGE):
        return MethodPolicy(
            path, "", options_pb2.ACCESS_PUBLIC, options_pb2.DEADLINE_READ, idempotent=True
        )
    found = descriptor_pool.Default().FindServiceByName(service).methods_by_name[method]
    return policy_from(found)


def policy_from(method: MethodDescriptor) -> MethodPolicy:
    """The policy that a method's options give it."""
    options = method.GetOptions()
    rpc = options.Extensions[options_pb2.rpc]
    service = method.containing_service.full_name
    return MethodPolicy(
        path=f"/{service}/{method.name}",
        service=service.split(".")[1],
        access=rpc.access or _default_access(options),
        deadline=rpc.deadline or _default_deadline(method, options),
        idempotent=options.idempotency_level in _IDEMPOTENT,
    )


def _default_access(options: descriptor_pb2.MethodOptions) -> options_pb2.Access.ValueType:
    if options.HasExtension(annotations_pb2.http):
        return options_pb2.ACCESS_USER
    return options_pb2.ACCESS_INTERNAL


def _default_deadline(
    method: MethodDescriptor, options: descriptor_pb2.MethodOptions
) -> options_pb2.Deadline.ValueType:
    if method.server_streaming or method.client_streaming:
        return options_pb2.DEADLINE_NONE
    if options.idempotency_level == descriptor_pb2.MethodOptions.NO_SIDE_EFFECTS:
        return options_pb2.DEADLINE_READ
    return options_pb2.DEADLINE_WRITE
