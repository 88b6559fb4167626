"""OpenAPI 3.1 from the descriptors: comments become descriptions, validation rules constraints."""

from __future__ import annotations

from gateway.transcoder.openapi.document import build_document

__all__ = ["build_document"]
