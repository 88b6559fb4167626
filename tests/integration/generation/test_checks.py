"""What a generation made is checked; what is found goes back to the model, and what is left is told."""

from __future__ import annotations

import asyncio

import pytest

from kit.testing import eventually
from protos.generation.v1 import generation_pb2 as pb
from tests.fixtures.generation import Person, World
from tests.fixtures.history import kinds
from tests.fixtures.scripted_model import Answer, done, page

GOOD = '<!doctype html><html lang="en"><title>Hi</title><body><p>Hi</p></body></html>'
BROKEN = GOOD.replace("<p>Hi</p>", '<a href="about.html">About</a>')


@pytest.fixture
async def person(world: World) -> Person:
    """Somebody whose generations are repaired."""
    await world.replicas.pop(0).stop()
    await world.replica(repair_rounds=2)
    return await world.user()


def checks(events: list[pb.GenerationEvent]) -> list[pb.Check]:
    return [event.check for event in events if event.WhichOneof("event") == "check"]


async def test_a_good_site_passes_at_once(world: World, person: Person) -> None:
    world.model.script = [page(content=GOOD), done()]
    generation_id = await person.start()
    events = await person.checked(generation_id)
    assert kinds(events)[-2:] == ["check", "succeeded"]
    (check,) = checks(events)
    assert (check.passed, check.round, check.finding_count) == (True, 1, 0)
    found = await person.get(generation_id)
    assert found.check == check
    receipt = (await person.versions())[0].receipt
    assert (receipt.model, receipt.turns) == (found.model, 2)
    assert (receipt.checked, receipt.finding_count) == (True, 0)
    assert receipt.input_tokens == found.usage.input_tokens > 0
    assert receipt.output_tokens == found.usage.output_tokens > 0
    assert receipt.cost_usd == found.usage.cost_usd > 0


async def test_a_user_s_own_version_has_no_receipt(world: World, person: Person) -> None:
    await person.edit("index.html", GOOD.encode())
    world.model.script = [page("other.html", GOOD), done()]
    await person.checked(await person.start())
    made, edited = await person.versions()
    assert made.HasField("receipt")
    assert not edited.HasField("receipt")


async def test_a_broken_link_goes_back_and_is_repaired(world: World, person: Person) -> None:
    world.model.script = [page(content=BROKEN), done(), page(content=GOOD), done()]
    events = await person.checked(await person.start())
    first, second = checks(events)
    (finding,) = first.findings
    assert (first.passed, first.round, first.finding_count) == (False, 1, 1)
    assert (finding.path, finding.rule, finding.line) == ("index.html", "broken-link", 1)
    assert (second.passed, second.round) == (True, 2)
    sent = world.model.requests[2]["messages"][-1]
    assert sent["role"] == "user"
    assert "index.html:1 [broken-link] 'about.html' leads to no file." in str(sent["content"])
    assert await person.read("index.html") == GOOD.encode()


async def test_what_is_never_repaired_is_told_and_the_work_counts(
    world: World, person: Person
) -> None:
    world.model.script = [page(content=BROKEN), done(), done(), done()]
    generation_id = await person.start()
    events = await person.checked(generation_id)
    assert kinds(events)[-1] == "succeeded"
    assert [(check.round, check.passed) for check in checks(events)] == [
        (1, False),
        (2, False),
        (3, False),
    ]
    assert len(world.model.requests) == 4
    assert (await person.get(generation_id)).check.finding_count == 1
    receipt = (await person.versions())[0].receipt
    assert (receipt.checked, receipt.finding_count) == (True, 1)


async def test_a_model_that_fails_at_a_repair_does_not_undo_what_was_finished(
    world: World, person: Person
) -> None:
    refusal = Answer().text("No.").stop("refusal")
    world.model.script = [page(content=BROKEN), done(), refusal]
    events = await person.checked(await person.start())
    assert kinds(events)[-1] == "succeeded"
    assert checks(events)[-1].finding_count == 1
    assert (await person.versions())[0].head


async def test_what_was_wrong_before_is_not_blamed_and_what_was_broken_elsewhere_is(
    world: World, person: Person
) -> None:
    await person.edit("old.html", b"<p>no doctype, <a href='gone.html'>dead</a>")
    await person.edit("links.html", BROKEN.replace("about.html", "leaving.html").encode())
    await person.edit("leaving.html", GOOD.encode())
    answer = Answer().call("delete_file", '{"path": "leaving.html"}').stop("tool_use")
    world.model.script = [answer, done(), page("leaving.html", GOOD), done()]
    events = await person.checked(await person.start())
    (finding,) = checks(events)[0].findings
    assert (finding.path, finding.rule) == ("links.html", "broken-link")
    assert checks(events)[-1].passed


@pytest.mark.parametrize("sent_back", [True, False])
async def test_a_worker_lost_around_a_check_adds_no_second_report(
    world: World, person: Person, sent_back: bool
) -> None:
    gate = asyncio.Event()
    if sent_back:
        world.model.script = [page(content=BROKEN), done(), Answer().wait(gate)]
        world.model.script += [page(content=GOOD), done()]
    else:
        world.model.script = [page(content=BROKEN), done(), done(), done()]
    generation_id = await person.start()
    if sent_back:
        await eventually(lambda: len(world.model.requests) == 3)
        other = await world.replica(repair_rounds=2)
        await world.replicas.pop(0).kill()
        events = await person.checked(generation_id, other)
        assert world.model.requests[3] == world.model.requests[2]
        assert [check.round for check in checks(events)] == [1, 2]
        assert kinds(events).count("turn_restarted") == 1
        return
    await person.checked(generation_id)
    # As if the worker had died between the last check and the last event.
    # Who watched before saw an end that is about to be forged away.
    world.witness.watched.clear()
    await world.rows(
        "DELETE FROM generation_events WHERE generation_id = :id AND kind = 'succeeded'",
        id=generation_id,
    )
    await world.rows(
        "UPDATE generations SET status = 'running', last_sequence = last_sequence - 1, "
        "lease_until = clock_timestamp() WHERE generation_id = :id",
        id=generation_id,
    )
    events = await person.checked(generation_id)
    assert [check.round for check in checks(events)] == [1, 2, 3]
    assert len(world.model.requests) == 4


async def test_a_cancelled_generation_is_not_checked(world: World, person: Person) -> None:
    gate = asyncio.Event()
    world.model.script = [Answer().write("index.html", BROKEN).wait(gate)]
    generation_id = await person.start()
    await eventually(lambda: world.sandboxes.writes)
    await person.stub().CancelGeneration(pb.CancelGenerationRequest(generation_id=generation_id))
    events = await person.checked(generation_id)
    assert kinds(events)[-1] == "cancelled"
    assert not checks(events)
    (version,) = await person.versions()
    assert version.partial
    assert version.receipt.model
    assert not version.receipt.checked
