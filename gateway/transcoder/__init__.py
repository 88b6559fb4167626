"""REST for gRPC services, from their google.api.http annotations alone.

Knows no service: it is given descriptors (``load_contract``) and channels, and is an ASGI app.
"""

from __future__ import annotations

from gateway.transcoder.app import Transcoder
from gateway.transcoder.contract import Contract, load_contract
from gateway.transcoder.errors import ContractError, HttpError
from gateway.transcoder.options import Authorize, TranscoderOptions, forward_bearer

__all__ = [
    "Authorize",
    "Contract",
    "ContractError",
    "HttpError",
    "Transcoder",
    "TranscoderOptions",
    "forward_bearer",
    "load_contract",
]
