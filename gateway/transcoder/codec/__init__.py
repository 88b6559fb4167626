"""JSON for protobuf messages, compiled once from each descriptor.

With ``short_enums`` off it is exactly the specification's mapping
(https://protobuf.dev/programming-guides/json/); with it on, an enum value appears by its short
lower-case name, and every form is accepted.
"""

from __future__ import annotations

from gateway.transcoder.codec.interface import Codec, JsonError
from gateway.transcoder.codec.registry import JsonCodecs

__all__ = ["Codec", "JsonCodecs", "JsonError"]
