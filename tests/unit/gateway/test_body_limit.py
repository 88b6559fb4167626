"""Which requests may be larger than others."""

from __future__ import annotations

from gateway.transcoder.endpoint import _holds_bytes
from protos.generation.v1 import generation_pb2
from protos.projects.v1 import projects_pb2


def test_only_a_request_that_holds_files_has_the_larger_limit() -> None:
    attached = generation_pb2.StartGenerationRequest.DESCRIPTOR
    plain = projects_pb2.CreateProjectRequest.DESCRIPTOR
    assert _holds_bytes(attached, set())
    assert not _holds_bytes(plain, set())
