"""The parts of a team: who may do what, and when it is done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kit.errors import Invalid
from services.generation.agent.tools import (
    RUN_COMMAND,
    TOOLS,
    BadCall,
    Call,
    Noted,
    RunCommand,
    ViewFile,
    paths_of,
    read_call,
)
from services.generation.worker.part import Inspection, Opening, Part
from services.generation.worker.team import prompts
from services.generation.worker.team.plan import PLAN_SITE, PagePlan, plan_tool, read_plan

PLANNER, REVIEWER = "planner", "reviewer"
# A command can write anywhere: only who may write everything may run one.
_PAGE_TOOLS = tuple(tool for tool in TOOLS if tool["name"] != RUN_COMMAND)


def planner(most_pages: int, inspection: Inspection) -> Part:
    """Plans the site and writes what its pages share."""

    def reading(tool: str, given: dict[str, Any], valid: bool) -> Call:
        if tool == PLAN_SITE and valid:
            return _planned(given, most_pages)
        refusal = "Pages are written by their own designers: name them in plan_site."
        return _within(lambda path: not path.endswith(".html"), refusal, tool, given, valid)

    return Part(
        agent=PLANNER,
        role="plan",
        task="Plan the site and write what its pages share",
        system=prompts.PLANNER,
        tools=(plan_tool(most_pages), *_PAGE_TOOLS),
        reading=reading,
        inspection=inspection,
    )


def writer(page: PagePlan, opening: Opening, inspection: Inspection) -> Part:
    """Writes one page."""

    def reading(tool: str, given: dict[str, Any], valid: bool) -> Call:
        refusal = f"You write {page.path} and files in {page.folder}, nothing else."
        return _within(page.owns, refusal, tool, given, valid)

    return Part(
        agent=page.path,
        role="page",
        task=page.title,
        system=prompts.WRITER,
        tools=_PAGE_TOOLS,
        reading=reading,
        opening=opening,
        inspection=inspection,
    )


def reviewer(opening: Opening, inspection: Inspection) -> Part:
    """Makes one site of what the others wrote."""
    return Part(
        agent=REVIEWER,
        role="review",
        task="Review the site and repair it",
        system=prompts.REVIEWER,
        opening=opening,
        inspection=inspection,
        checked=True,
    )


def _planned(given: dict[str, Any], most_pages: int) -> Call:
    try:
        plan = read_plan(given, most_pages)
    except Invalid as exc:
        return BadCall(f"{exc.message}. The plan was not accepted. Call {PLAN_SITE} again.")
    shared = ", ".join(plan.shared_files)
    return Noted(f"The plan of {len(plan.pages)} pages is accepted. Now write {shared}.")


def _within(
    own: Callable[[str], bool], refusal: str, tool: str, given: dict[str, Any], valid: bool
) -> Call:
    """The call, where it changes nothing but its caller's own files. Looking is open to all."""
    call = read_call(tool, given, valid)
    if isinstance(call, RunCommand):
        return BadCall(f"There is no tool {tool!r} for you.")
    if isinstance(call, (BadCall, ViewFile)):
        return call
    foreign = [path for path in paths_of(call) or () if not own(path)]
    return BadCall(f"{foreign[0]}: not yours. {refusal} Nothing was done.") if foreign else call
