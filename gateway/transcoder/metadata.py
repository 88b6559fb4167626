"""HTTP headers to gRPC metadata and back, and how long a call may take."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable

from google.rpc import code_pb2

from gateway.transcoder.contract import Method
from gateway.transcoder.errors import invalid_field, refusal
from gateway.transcoder.exchange import Exchange
from gateway.transcoder.options import TranscoderOptions
from protos.options.v1 import options_pb2

Metadata = list[tuple[str, str | bytes]]

# gRPC's servers refuse metadata above 16 KiB, and by chance from 8 KiB on; the difference is for
# what the channel adds. An entry counts 32 bytes more than its text (RFC 9113, 6.5.2).
_METADATA_BYTES = 7 * 1024
_ENTRY_BYTES = 32

_PREFIX = b"grpc-metadata-"
_KEY = re.compile(r"[a-z0-9_.\-]+")
_VALUE = re.compile(r"[\x20-\x7e]*")
_TIMEOUT = re.compile(r"([0-9]{1,8})([HMSmun])")
_UNITS = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}

# Not to be set by a Grpc-Metadata- header: they are the transport's, or carry who is calling.
_RESERVED = frozenset(
    [
        "authorization",
        "connection",
        "content-length",
        "content-type",
        "cookie",
        "host",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-request-id",
    ]
)


async def call_metadata(exchange: Exchange, options: TranscoderOptions) -> Metadata:
    """The metadata of the call: identity, request id, the client's address, and what it asked for.

    Raises HttpError 431 where it is more than a gRPC server takes.
    """
    found: Metadata = [("x-request-id", exchange.request_id.decode())]
    authorization = await options.authorize(exchange)
    if authorization is not None:
        found.append(("authorization", _printable("Authorization", authorization)))
    client = exchange.scope.get("client")
    if client:
        # Ours alone: the server has already replaced the address by what trusted proxies say.
        found.append(("x-forwarded-for", client[0]))
    for name, value in exchange.headers.items():
        if name.startswith(_PREFIX):
            key = name[len(_PREFIX) :].decode("latin-1")
            if _KEY.fullmatch(key) and key not in _RESERVED and not key.startswith("grpc-"):
                found.append((key, _metadata_value(key, value)))
    if sum(_wire_size(key, value) for key, value in found) > _METADATA_BYTES:
        raise refusal(
            431,
            code_pb2.INVALID_ARGUMENT,
            "HEADERS_TOO_LARGE",
            "the Authorization and Grpc-Metadata- headers together are larger than "
            f"{_METADATA_BYTES} bytes",
        )
    return found


def _wire_size(key: str, value: str | bytes) -> int:
    size = len(value) if isinstance(value, str) else -(-len(value) // 3) * 4  # sent as base64
    return len(key) + size + _ENTRY_BYTES


def _metadata_value(key: str, value: bytes) -> str | bytes:
    if not key.endswith("-bin"):
        return _printable(f"Grpc-Metadata-{key}", value.decode("latin-1"))
    try:
        text = value.decode("ascii").rstrip("=")
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (UnicodeDecodeError, binascii.Error) as exc:
        raise invalid_field(f"Grpc-Metadata-{key}", "must be base64", "header") from exc


def _printable(name: str, value: str) -> str:
    if not _VALUE.fullmatch(value):
        raise invalid_field(name, "must be printable ASCII", "header")
    return value


def response_headers(
    metadata: Iterable[tuple[str, str | bytes]] | None, prefix: bytes
) -> list[tuple[bytes, bytes]]:
    """Metadata of the answer as ``<prefix>-<key>`` headers."""
    found = []
    for key, value in metadata or ():
        if key.startswith("grpc-") or key in _RESERVED:
            continue
        data = base64.b64encode(value) if isinstance(value, bytes) else value.encode("latin-1")
        if not re.search(rb"[\x00-\x08\x0a-\x1f\x7f]", data):
            found.append((prefix + key.encode("ascii"), data))
    return found


def default_deadline(method: Method, options: TranscoderOptions) -> float | None:
    """Seconds, by the method's option; None: as long as it lasts."""
    kind = method.options.deadline
    if kind == options_pb2.DEADLINE_UNSPECIFIED:
        if method.descriptor.client_streaming or method.descriptor.server_streaming:
            return None
        return options.read_deadline if method.read_only else options.write_deadline
    return {
        options_pb2.DEADLINE_READ: options.read_deadline,
        options_pb2.DEADLINE_WRITE: options.write_deadline,
        options_pb2.DEADLINE_CREATE_SANDBOX: options.create_sandbox_deadline,
    }.get(kind)


def deadline(exchange: Exchange, default: float | None, options: TranscoderOptions) -> float | None:
    """Seconds: the client's Grpc-Timeout where it gives one, else the method's own."""
    text = exchange.header(b"grpc-timeout")
    if text is None:
        return default
    found = _TIMEOUT.fullmatch(text)
    if found is None:
        raise invalid_field("Grpc-Timeout", 'must be a duration such as "5S" or "200m"', "header")
    return min(int(found[1]) * _UNITS[found[2]], options.longest_deadline)
