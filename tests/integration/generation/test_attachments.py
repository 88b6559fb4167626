"""What comes along with a prompt is what it says, is seen by the model, and can be placed in the site."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import grpc
import pytest

from kit.testing import eventually
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


async def kept(world: World) -> list[bool]:
    """Whether each attachment's bytes are there, in the order of asking."""
    rows = await world.rows(
        "SELECT content IS NOT NULL AS there FROM generation_attachments JOIN generations USING (generation_id)"
        " ORDER BY created_at"
    )
    return [bool(row["there"]) for row in rows]


async def test_bytes_and_conversation_go_some_time_after_the_end_and_what_is_told_stays(
    world: World,
) -> None:
    person = await world.user()
    generation_id = await person.start(attachments=[attachment("logo.png", PNG)])
    await person.checked(generation_id)
    assert await kept(world) == [True]
    gate = asyncio.Event()
    world.model.script = [Answer().wait(gate).text("Done.").stop("end_turn")]
    await person.start(attachments=[attachment("new.png", PNG)])
    await world.replica(keep_work_days=0)

    async def forgotten() -> bool:
        return await kept(world) == [False, True]

    await eventually(forgotten)
    assert (
        await world.rows(
            "SELECT 1 FROM generation_messages WHERE generation_id = :id", id=generation_id
        )
        == []
    )
    (told,) = (await person.get(generation_id)).attachments
    assert (told.name, told.media_type, told.size_bytes) == ("logo.png", "image/png", len(PNG))
    assert await person.checked(generation_id)
    gate.set()


async def test_a_user_keeps_no_more_bytes_than_the_limit_and_what_has_ended_makes_room(
    world: World,
) -> None:
    await world.replicas.pop(0).stop()
    await world.replica(max_attachment_bytes_per_user=5 * 1024 * 1024)
    two = 2 * 1024 * 1024
    person, other = await world.user(), await world.user()
    for name in ("a", "b"):
        await person.checked(await person.start(attachments=[attachment(name, b"x" * two)]))
    gate = asyncio.Event()
    world.model.otherwise = lambda _: Answer().wait(gate).text("Done.").stop("end_turn")
    await person.start(attachments=[attachment("c", b"x" * two)])
    assert await kept(world) == [False, True, True]
    await person.start(attachments=[attachment("d", b"x" * two)])
    assert await kept(world) == [False, False, True, True]
    with pytest.raises(grpc.aio.AioRpcError) as found:
        await person.start(attachments=[attachment("e", b"x" * two)])
    assert found.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert f"have {2 * two} bytes, these have {two}; the limit is 5242880" in str(
        found.value.details()
    )
    assert await person.start()
    assert await other.start(attachments=[attachment("e", b"x" * two)])
    gate.set()
