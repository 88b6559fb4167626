"""A team at one generation: who does what, what may go wrong with one, and what holds for all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from kit.testing import eventually
from protos.generation.v1 import generation_pb2 as pb
from tests.fixtures.generation import World
from tests.fixtures.history import kinds
from tests.fixtures.scripted_model import Answer, done
from tests.fixtures.team import ScriptedTeam, plan, reported, site_page

TEAM = pb.GENERATION_MODE_TEAM
PAGES = ("index.html", "about.html", "contact.html")


@pytest.fixture
def team(world: World) -> ScriptedTeam:
    made = ScriptedTeam()
    world.model.otherwise = made.answer
    return made


@pytest.fixture
async def repairing(world: World) -> None:
    """What is found goes back to the model, as it does by default."""
    await world.replicas.pop(0).stop()
    await world.replica(repair_rounds=2)


def of(events: list[pb.GenerationEvent], kind: str) -> list[pb.GenerationEvent]:
    return [event for event in events if event.WhichOneof("event") == kind]


def finished(events: list[pb.GenerationEvent]) -> dict[str, bool]:
    found = of(events, "agent_finished")
    assert len({event.agent for event in found}) == len(found)
    return {event.agent: event.agent_finished.succeeded for event in found}


def _late(gate: asyncio.Event, path: str) -> Answer:
    return Answer().wait(gate).write(path, site_page(path)).stop("tool_use")


def _half(gate: asyncio.Event, path: str) -> Answer:
    return Answer().half_write(path, "<p>half").wait(gate)


async def test_a_team_plans_writes_and_reviews_and_the_events_say_who(
    world: World, team: ScriptedTeam
) -> None:
    person = await world.user()
    generation_id = await person.start("A bakery with three pages", mode=TEAM)
    events = await person.checked(generation_id)
    assert kinds(events)[-1] == "succeeded"
    assert await person.paths() == ["about.html", "contact.html", "css/site.css", "index.html"]
    started = [(event.agent, event.agent_started.role) for event in of(events, "agent_started")]
    assert started[0] == ("planner", "plan")
    assert set(started[1:-1]) == {(path, "page") for path in PAGES}
    assert started[-1] == ("reviewer", "review")
    assert finished(events) == dict.fromkeys(("planner", *PAGES, "reviewer"), True)
    written = {event.file_written.path: event.agent for event in of(events, "file_written")}
    assert written == {"css/site.css": "planner", **{path: path for path in PAGES}}
    deltas = of(events, "file_delta")
    assert {(e.agent, e.file_delta.path) for e in deltas} == {(a, p) for p, a in written.items()}
    found = await person.get(generation_id)
    assert found.mode == TEAM
    assert found.check.passed
    assert found.usage.turns == len(world.model.requests) == 9
    assert found.usage.output_tokens == 9 * 50
    (booked,) = await world.rows("SELECT count(*), sum(cost_usd) AS cost FROM generation_usage")
    assert booked["count"] == 9
    assert float(booked["cost"]) == pytest.approx(found.usage.cost_usd)


async def test_a_single_agent_s_events_name_nobody(world: World) -> None:
    person = await world.user()
    events = await person.checked(await person.start())
    assert {event.agent for event in events} == {""}


async def test_page_agents_see_the_plan_and_the_shared_style_and_work_at_the_same_time(
    world: World, team: ScriptedTeam
) -> None:
    gate = asyncio.Event()
    for path in PAGES:
        team.scripts[path] = [partial(_late, gate, path)]
    person = await world.user()
    generation_id = await person.start("A bakery", mode=TEAM)
    await eventually(lambda: all(team.asked[path] for path in PAGES))
    gate.set()
    assert kinds(await person.checked(generation_id))[-1] == "succeeded"
    shown = [team.asked[path][0]["messages"][0]["content"] for path in PAGES]
    assert shown[0][0]["text"] == shown[1][0]["text"] == shown[2][0]["text"]
    for words in ("A bakery", "body { margin: 0 }", "All of about.html."):
        assert words in shown[0][0]["text"]
    assert len({str(team.asked[path][0]["system"]) for path in PAGES}) == 1


async def test_no_more_agents_than_the_setting_allows_write_at_once(
    world: World, team: ScriptedTeam
) -> None:
    await world.replicas.pop(0).stop()
    await world.replica(team_parallel=2)
    team.pages = tuple(f"p{number}.html" for number in range(5))
    gate = asyncio.Event()
    for path in team.pages:
        team.scripts[path] = [partial(_late, gate, path)]
    person = await world.user()
    generation_id = await person.start(mode=TEAM)
    await eventually(lambda: sum(bool(team.asked[path]) for path in team.pages) == 2)
    rows = await world.rows("SELECT count(DISTINCT agent) AS n FROM generation_messages")
    assert rows[0]["n"] <= 3
    assert sum(bool(team.asked[path]) for path in team.pages) == 2
    gate.set()
    assert kinds(await person.checked(generation_id))[-1] == "succeeded"


async def test_a_bad_plan_and_a_foreign_path_are_answered_with_what_is_wrong(
    world: World, team: ScriptedTeam
) -> None:
    team.pages = ("index.html",)
    team.scripts["planner"] = [
        lambda: Answer().call("plan_site", plan("index.html", "INDEX.html")).stop("tool_use")
    ]
    team.scripts["index.html"] = [
        lambda: Answer().write("css/site.css", "* { all: unset }").stop("tool_use")
    ]
    team.scripts["planner"].append(
        lambda: (
            Answer()
            .call("plan_site", plan("index.html"))
            .write("css/site.css", "body { margin: 0 }")
            .stop("tool_use")
        )
    )
    team.scripts["index.html"].append(
        lambda: Answer().write("index.html", site_page("index.html")).stop("tool_use")
    )
    person = await world.user()
    events = await person.checked(await person.start(mode=TEAM))
    assert kinds(events)[-1] == "succeeded"
    (first,) = team.asked["planner"][1]["messages"][-1]["content"]
    assert first["is_error"]
    assert "pages: must not hold both index.html and INDEX.html" in str(first["content"])
    (second,) = team.asked["index.html"][1]["messages"][-1]["content"]
    assert second["is_error"]
    assert "css/site.css: not yours" in str(second["content"])
    assert await person.read("css/site.css") == b"body { margin: 0 }"


@pytest.mark.usefixtures("repairing")
async def test_a_plan_that_never_comes_ends_the_generation(
    world: World, team: ScriptedTeam
) -> None:
    team.scripts["planner"] = [done, done, done]
    person = await world.user()
    events = await person.checked(await person.start(mode=TEAM))
    assert events[-1].failed.failure.reason == "TEAM_NO_PLAN"
    assert "plan_site" in reported(team.asked["planner"][1])


@pytest.mark.usefixtures("repairing")
async def test_no_page_misses_the_shared_style(world: World, team: ScriptedTeam) -> None:
    """One is told and mends it; the other never does, and the platform links it."""
    bare = {path: site_page(path, style="") for path in PAGES}
    team.scripts["about.html"] = [
        lambda: Answer().write("about.html", bare["about.html"]).stop("tool_use"),
        done,
        lambda: Answer().write("about.html", site_page("about.html")).stop("tool_use"),
    ]
    team.scripts["contact.html"] = [
        lambda: Answer().write("contact.html", bare["contact.html"]).stop("tool_use")
    ]
    person = await world.user()
    generation_id = await person.start(mode=TEAM)
    events = await person.checked(generation_id)
    assert kinds(events)[-1] == "succeeded"
    assert "shared-style" in reported(team.asked["about.html"][2])
    assert "shared-style" in reported(team.asked["reviewer"][1])
    link = '<link rel="stylesheet" href="css/site.css">'
    for path in PAGES:
        assert link in (await person.read(path)).decode()
    last = of(events, "file_written")[-1]
    assert (last.agent, last.file_written.path) == ("reviewer", "contact.html")
    rules = {finding.rule for e in of(events, "check") for finding in e.check.findings}
    assert rules == {"shared-style"}


async def test_what_one_page_s_agent_leaves_the_reviewer_takes_over(
    world: World, team: ScriptedTeam
) -> None:
    team.scripts["about.html"] = [lambda: Answer().text("No.").stop("refusal")]
    team.scripts["reviewer"] = [
        lambda: Answer().write("about.html", site_page("about.html")).stop("tool_use")
    ]
    person = await world.user()
    events = await person.checked(await person.start(mode=TEAM))
    assert kinds(events)[-1] == "succeeded"
    assert finished(events)["about.html"] is False
    told = team.asked["reviewer"][0]["messages"][0]["content"][-1]["text"]
    assert "about.html: its designer could not finish it." in told
    assert "about.html" in await person.paths()


async def test_a_page_that_nobody_writes_fails_the_generation(
    world: World, team: ScriptedTeam
) -> None:
    team.scripts["about.html"] = [lambda: Answer().text("No.").stop("refusal")]
    person = await world.user()
    events = await person.checked(await person.start(mode=TEAM))
    assert events[-1].failed.failure.reason == "TEAM_INCOMPLETE"
    assert events[-1].failed.partial_version


async def test_a_model_that_is_gone_ends_all_agents(world: World, team: ScriptedTeam) -> None:
    never, gone = asyncio.Event(), asyncio.Event()
    team.scripts["index.html"] = [lambda: Answer().text("I begin.").wait(never)]
    team.scripts["contact.html"] = [lambda: Answer().text("I begin.").wait(never)]
    team.scripts["about.html"] = [
        lambda: Answer().text("I begin.").wait(gone).error("invalid_request_error")
    ]
    person = await world.user()
    generation_id = await person.start(mode=TEAM)
    await eventually(lambda: team.asked["index.html"] and team.asked["contact.html"])
    gone.set()
    events = await person.checked(generation_id)
    assert kinds(events)[-1] == "failed"
    assert "reviewer" not in team.asked
    await eventually(lambda: world.model.left >= 1)
    rows = await world.rows(
        "SELECT sum(output_tokens) AS n, sum(cost_usd) AS c FROM generation_usage"
    )
    usage = (await person.get(generation_id)).usage
    assert rows[0]["n"] == usage.output_tokens
    assert float(rows[0]["c"]) == pytest.approx(usage.cost_usd)


async def test_cancelling_stops_every_agent_and_keeps_what_is_done(
    world: World, team: ScriptedTeam
) -> None:
    never = asyncio.Event()
    for path in ("index.html", "contact.html"):
        team.scripts[path] = [partial(_half, never, path)]
    person = await world.user()
    generation_id = await person.start(mode=TEAM)
    await eventually(lambda: team.asked["index.html"] and team.asked["contact.html"])
    await eventually(lambda: len(team.asked["about.html"]) == 2)
    request = pb.CancelGenerationRequest(generation_id=generation_id)
    await person.stub().CancelGeneration(request)
    events = await person.checked(generation_id)
    assert kinds(events)[-1] == "cancelled"
    await eventually(lambda: world.model.left == 2)
    assert await person.paths() == ["about.html", "css/site.css"]


def _wait(*_: Any) -> Answer:
    return Answer().text("I begin.").wait(asyncio.Event())


POINTS: dict[str, tuple[str, list[Callable[[], Answer]]]] = {
    "while it plans": ("planner", [_wait]),
    "while pages are written": ("about.html", [_wait]),
    "after a page's file": (
        "about.html",
        [lambda: Answer().write("about.html", site_page("about.html")).stop("tool_use"), _wait],
    ),
    "while it reviews": ("reviewer", [_wait]),
}


@pytest.mark.parametrize(("agent", "script"), POINTS.values(), ids=POINTS.keys())
async def test_a_killed_worker_s_team_goes_on_and_nobody_works_twice(
    world: World, team: ScriptedTeam, agent: str, script: list[Callable[[], Answer]]
) -> None:
    steps = len(script)
    team.scripts[agent] = list(script)
    person = await world.user()
    generation_id = await person.start(mode=TEAM)
    await eventually(lambda: len(team.asked[agent]) == steps)
    others = [path for path in PAGES if path != agent]
    if agent != "planner":
        count = "SELECT count(*) AS n FROM generation_events WHERE kind = 'agent_finished'"

        async def done_() -> bool:
            expected = 4 if agent == "reviewer" else 3
            return bool((await world.rows(count))[0]["n"] == expected)

        await eventually(done_)
    before = {path: len(team.asked[path]) for path in others}
    other = await world.replica()
    await world.replicas.pop(0).kill()
    events = await person.checked(generation_id, other)
    assert kinds(events)[-1] == "succeeded"
    assert finished(events) == dict.fromkeys(("planner", *PAGES, "reviewer"), True)
    started = [event.agent for event in of(events, "agent_started")]
    assert sorted(started) == sorted(finished(events))
    restarted = {event.agent for event in of(events, "turn_restarted")}
    assert restarted == {agent}
    # What it was asked is asked again, word for word; who had finished is not asked at all.
    assert team.asked[agent][steps] == team.asked[agent][steps - 1]
    if agent != "planner":
        assert {path: len(team.asked[path]) for path in others} == before


async def test_agents_at_work_at_once_share_what_is_left_to_spend(
    world: World, team: ScriptedTeam
) -> None:
    person = await world.user()
    events = await person.checked(await person.start(mode=TEAM))
    assert kinds(events)[-1] == "succeeded"
    first = [team.asked[path][0]["max_tokens"] for path in PAGES]
    alone = team.asked["planner"][0]["max_tokens"]
    # A dollar pays for about 100,000 tokens of this model: alone an agent gets the turn's limit.
    assert alone == 32_000
    assert sum(first) <= 100_000


async def test_a_team_s_follow_up_changes_only_the_pages_that_it_plans(
    world: World, team: ScriptedTeam
) -> None:
    person = await world.user()
    await person.checked(await person.start(mode=TEAM))
    before = await person.read("index.html")
    team.scripts["planner"] = [
        lambda: Answer().call("plan_site", plan("about.html")).stop("tool_use")
    ]
    changed = site_page("about.html", extra="<p>More</p>")
    team.scripts["about.html"] = [lambda: Answer().write("about.html", changed).stop("tool_use")]
    events = await person.checked(await person.start("More about us", mode=TEAM))
    assert kinds(events)[-1] == "succeeded"
    assert set(finished(events)) == {"planner", "about.html", "reviewer"}
    assert (await person.read("about.html")).decode() == changed
    assert await person.read("index.html") == before
    assert "css/site.css" in str(team.asked["planner"][-1]["messages"][0])
