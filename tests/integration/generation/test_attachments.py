"""What comes along with a prompt is what it says, is seen by the model, and can be placed in the site."""

from __future__ import annotations

import base64
import json
from typing import Any

import grpc
import pytest

from protos.generation.v1 import generation_pb2 as pb
from tests.fixtures.generation import Person, World
from tests.fixtures.history import kinds
from tests.fixtures.scripted_model import Answer, done

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
PDF = b"%PDF-1.7 a document"


def attachment(name: str, content: bytes, media_type: str = "") -> pb.Attachment:
    return pb.Attachment(name=name, content=content, media_type=media_type)


async def refusal(person: Person, *attachments: pb.Attachment) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as found:
        await person.start(attachments=attachments)
    assert found.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    return str(found.value.details())


async def test_the_model_sees_each_kind_and_the_generation_tells_of_them(world: World) -> None:
    person = await world.user()
    generation_id = await person.start(
        attachments=[
            attachment("logo.png", PNG),
            attachment("menu.pdf", PDF, "application/pdf"),
            attachment("notes", b"caf\xc3\xa9"),
        ]
    )
    await person.checked(generation_id)
    about, image, document, text, prompt = world.model.requests[0]["messages"][0]["content"]
    assert '"logo.png": image/png' in about["text"]
    data = base64.b64encode(PNG).decode()
    assert image == {
        "type": "image",
        "source": {"type": "base64", "media_type": "image/png", "data": data},
    }
    assert document["source"]["media_type"] == "application/pdf"
    assert text["source"] == {"type": "text", "media_type": "text/plain", "data": "café"}
    assert prompt["text"] == "A page"
    found = await person.get(generation_id)
    told = [(one.name, one.media_type, one.size_bytes) for one in found.attachments]
    assert told == [
        ("logo.png", "image/png", len(PNG)),
        ("menu.pdf", "application/pdf", len(PDF)),
        ("notes", "text/plain", 5),
    ]


async def test_an_attachment_is_placed_byte_for_byte(world: World) -> None:
    world.model.script = [
        Answer()
        .call("use_attachment", json.dumps({"name": "logo.png", "path": "img/logo.png"}))
        .call("use_attachment", json.dumps({"name": "other.png", "path": "img/other.png"}))
        .stop("tool_use"),
        done(),
    ]
    person = await world.user()
    events = await person.checked(await person.start(attachments=[attachment("logo.png", PNG)]))
    assert kinds(events)[-1] == "succeeded"
    assert await person.read("img/logo.png") == PNG
    results: list[Any] = world.model.requests[1]["messages"][-1]["content"]
    assert results[1]["is_error"]
    assert "'logo.png'" in results[1]["content"]


async def test_what_is_not_what_it_says_is_refused_and_changes_nothing(world: World) -> None:
    person = await world.user()
    good = attachment("good.png", PNG)
    assert "attachments[1].content" in await refusal(person, good, attachment("a.jpg", PNG))
    assert "attachments[0].content" in await refusal(person, attachment("a.txt", b"\xff\xfe"))
    said = await refusal(person, attachment("a.zip", b"PK\x03\x04"))
    assert "attachments[0].media_type" in said
    assert "image/webp" in said
    assert "attachments[1].name" in await refusal(person, good, good)
    large = [attachment(f"{n}.txt", b"x" * (2 * 1024 * 1024)) for n in range(3)]
    assert "5242880 bytes together" in await refusal(person, *large)
    assert not await world.rows("SELECT 1 FROM generations")


async def test_attachments_are_part_of_what_an_idempotency_key_stands_for(world: World) -> None:
    person = await world.user()
    one: dict[str, Any] = {"idempotency_key": "k", "attachments": [attachment("logo.png", PNG)]}
    generation_id = await person.start(**one)
    assert await person.start(**one) == generation_id
    with pytest.raises(grpc.aio.AioRpcError) as found:
        await person.start(idempotency_key="k", attachments=[attachment("logo.png", PNG + b"x")])
    assert found.value.code() is grpc.StatusCode.ABORTED
    await person.checked(generation_id)
    assert len(await world.rows("SELECT 1 FROM generation_attachments")) == 1
