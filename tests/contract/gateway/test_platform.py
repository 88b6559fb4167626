"""The platform's own contract, as the gateway offers it."""

from __future__ import annotations

import json
from typing import Any

import grpc
import pytest
from google.protobuf import message_factory
from openapi_spec_validator import OpenAPIV31SpecValidator

from gateway.app import describe, platform_descriptors
from gateway.transcoder import Contract, Transcoder, load_contract
from gateway.transcoder.codec import JsonCodecs
from gateway.transcoder.openapi import build_document
from protos.options.v1 import options_pb2
from tests.unit.gateway.sample.contract import sample_contract


@pytest.fixture(name="contract", scope="module")
def _contract() -> Contract:
    return load_contract(platform_descriptors())


@pytest.fixture(name="document", scope="module")
def _document(contract: Contract) -> dict[str, Any]:
    # Through JSON, as clients get it.
    return dict(json.loads(json.dumps(describe(contract))))


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """By operation id."""
    return {
        operation["operationId"]: operation
        for path in document["paths"].values()
        for operation in path.values()
    }


def test_the_description_is_valid_openapi(document: dict[str, Any]) -> None:
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []


def test_the_samples_description_is_valid_too() -> None:
    document = build_document(sample_contract(), title="Sample", version="1")
    assert list(OpenAPIV31SpecValidator(json.loads(json.dumps(document))).iter_errors()) == []
    found = operations(document)
    assert found["Samples_GetItem"]["summary"] == "Gets one item"
    assert found["Samples_GetItem"]["description"] == "It has a second paragraph."
    assert "Samples_GetItem_2" in found
    assert "/v1/items/{name}:cancel" in document["paths"]
    # PUT names the same place by another field: to OpenAPI it is the same path.
    assert set(document["paths"]["/v1/items/{name}"]) == {"get", "put", "patch", "delete"}


async def test_every_route_of_the_platform_can_be_served(contract: Contract) -> None:
    async with grpc.aio.insecure_channel("127.0.0.1:1") as channel:
        channels = dict.fromkeys({method.service for method in contract.methods}, channel)
        assert Transcoder(contract, channels).open_streams == 0


def test_exactly_the_annotated_rpcs_are_described(
    contract: Contract, document: dict[str, Any]
) -> None:
    wanted = {
        f"{method.service.rpartition('.')[2]}_{method.descriptor.name}"
        for method in contract.methods
        if method.rules
    }
    assert set(operations(document)) == wanted
    assert "SandboxService_EnsureSandbox" not in wanted


def test_every_operation_says_what_it_does(document: dict[str, Any]) -> None:
    for name, operation in operations(document).items():
        assert operation["summary"], name
        for parameter in operation.get("parameters", []):
            assert parameter["description"], (name, parameter["name"])
    for name, schema in document["components"]["schemas"].items():
        assert schema.get("description"), name


def test_public_operations_and_only_they_need_no_token(
    contract: Contract, document: dict[str, Any]
) -> None:
    public = {
        f"{method.service.rpartition('.')[2]}_{method.descriptor.name}"
        for method in contract.methods
        if method.rules and method.options.access == options_pb2.ACCESS_PUBLIC
    }
    assert public
    assert document["security"] == [{"bearer": []}]
    for name, operation in operations(document).items():
        assert (operation.get("security") == []) == (name in public), name


def test_rules_of_the_protos_are_in_the_schemas(document: dict[str, Any]) -> None:
    operation = operations(document)["GenerationService_StartGeneration"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    assert {"projectId", "prompt"} <= set(schema["required"])
    assert schema["properties"]["projectId"]["maxLength"] == 64
    assert schema["properties"]["projectId"]["pattern"]
    assert schema["additionalProperties"] is False
    assert "Idempotency-Key" in {p["name"] for p in operation["parameters"]}


def test_streams_and_files_are_described(document: dict[str, Any]) -> None:
    found = operations(document)
    watch = found["GenerationService_WatchGeneration"]
    content = watch["responses"]["200"]["content"]
    assert set(content) == {"text/event-stream", "application/x-ndjson", "application/json"}
    assert "file_written" in content["text/event-stream"]["schema"]["description"]
    assert "Last-Event-ID" in {p["name"] for p in watch["parameters"]}
    upload = found["SandboxService_UploadSandboxFile"]
    assert set(upload["requestBody"]["content"]) == {"*/*"}
    download = found["SandboxService_ReadSandboxFile"]["responses"]["200"]["content"]
    assert set(download) == {"application/octet-stream"}


def test_enums_are_described_as_they_are_printed(document: dict[str, Any]) -> None:
    status = document["components"]["schemas"]["Sandbox"]["properties"]["status"]
    assert "active" in status["enum"]
    assert not any(value.startswith("SANDBOX_STATUS") for value in status["enum"])


def test_every_message_of_the_platform_survives_json(contract: Contract) -> None:
    codecs = JsonCodecs(contract.pool)
    kinds = {m.request.full_name: m.request for m in contract.methods}
    kinds |= {m.response.full_name: m.response for m in contract.methods}
    assert len(kinds) > 20
    for descriptor in kinds.values():
        codec = codecs.message(descriptor)
        made: Any = message_factory.GetMessageClass(descriptor)
        message = _filled(made())
        found = made()
        codec.decode(codec.encode(message), found)
        assert found == message, descriptor.full_name


def _filled(message: Any, depth: int = 0) -> Any:
    """Every field set once, two levels deep."""
    for field in message.DESCRIPTOR.fields:
        is_map = field.message_type is not None and field.message_type.GetOptions().map_entry
        if field.message_type is not None and not is_map and depth < 2:
            if field.message_type.full_name.startswith("google.protobuf."):
                continue
            held = getattr(message, field.name)
            _filled(held.add() if field.is_repeated else held, depth + 1)
            if not field.is_repeated:
                held.SetInParent()
        elif field.message_type is None and not field.is_repeated:
            kinds: dict[int, Any] = {9: "text", 12: b"\x00\xff", 8: True, 1: 0.5, 2: 0.5, 14: 1}
            setattr(message, field.name, kinds.get(field.type, 7))
    return message
