"""A prompt becomes files, a version and a log that can be true."""

from __future__ import annotations

from tests.fixtures.generation import World
from tests.fixtures.history import kinds
from tests.fixtures.scripted_model import Answer, done


async def test_a_prompt_becomes_files_a_version_and_a_log(world: World) -> None:
    world.model.script = [
        Answer()
        .text("I write two files.")
        .write("index.html", "<!doctype html><h1>Olá, Lisboa 🥐</h1>")
        .write("css/site.css", "h1 { color: teal }")
        .stop("tool_use"),
        done("A bakery's page."),
    ]
    person = await world.user()
    generation_id = await person.start("A bakery\nin Lisbon")
    events = await person.checked(generation_id)
    names = kinds(events)
    assert names[:2] == ["queued", "started"]
    assert names.count("file_written") == 2
    assert {"text_delta", "file_delta", "usage"} <= set(names)
    assert names[-1] == "succeeded"
    last = events[-1].succeeded
    assert (last.version, last.files_written) == (1, 2)
    assert last.preview_url
    assert await person.read("index.html") == "<!doctype html><h1>Olá, Lisboa 🥐</h1>".encode()
    (version,) = await person.versions()
    assert (version.title, version.generation_id) == ("A bakery", generation_id)
    assert version.head
    assert not version.partial
