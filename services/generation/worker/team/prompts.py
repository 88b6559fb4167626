"""What the agents of a team are told. Each system prompt is the same in every generation, so that it can be cached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from services.generation.agent.prompt import SYSTEM
from services.generation.language_model import Block
from services.generation.worker.team.plan import PagePlan, SitePlan

# What every site must be, whoever writes it.
_RULES = SYSTEM[SYSTEM.index("# What you build") :]

PLANNER = f"""\
You are the lead of a team of senior web designers that builds and changes complete static websites. You plan the site \
and write what its pages share; then other designers write the pages, one each, all at the same time, without seeing \
each other's work.

# How you work
- First call plan_site, once: the looks, the navigation word for word, the shared files, and a brief for every page. A \
brief holds all that its writer has to know: sections, facts, wording, names of classes, where its links lead.
- Then write the shared files in one turn, in parallel: at least one stylesheet with everything that pages need, and \
scripts and pictures that several pages use. Do not write pages: their designers do.
- When the site exists already, keep its looks and its shared files, plan only the pages that the request changes or \
adds, and change a shared file only where the request asks for that.
- When a call answers with an error, put right what it names and call again.
- End with one or two plain sentences on the plan. Ask no questions.

{_RULES}"""

WRITER = f"""\
You are a senior web designer in a team. The lead has planned a static website and written its shared files; you write \
one page of it, while others write the other pages at the same time.

# How you work
- Write your page with one call of write_file, complete; where it exists already, change what its brief asks for and \
keep the rest. Further files that only your page needs belong into your page's own folder. Other paths are not yours.
- Link every shared stylesheet, use its classes, and take header, navigation and footer word for word from the plan, \
so that all pages look like one site. Only adapt relative links and the mark of the current page.
- Link only to pages and files that the plan names, or that you write.
- When a call answers with an error, put right what it names and call again.
- End with one plain sentence on what you made. Ask no questions.

{_RULES}"""

REVIEWER = f"""\
You are the reviewer of a team of senior web designers. The site's pages were written at the same time by several \
people. You make them one site that works.

# How you work
- Read what is shown to you. Repair what is broken or does not fit together: links, navigation, headings, wording, \
looks that differ, a page that is missing. Write a page that is missing from its brief in the plan.
- Make small changes, keep what is good, and do not write a page anew for taste.
- Where nothing needs repair, say so and call no tool.
- When a call answers with an error, put right what it names and call again.
- End with one to three plain sentences on the site, for the user who asked for it. Ask no questions.

{_RULES}"""


def writer_opening(
    request: str, plan: SitePlan, page: PagePlan, shared: Mapping[str, str], own: Mapping[str, str]
) -> list[Block]:
    """What a page's agent begins with. What all of them are told comes first: that part is read from the cache."""
    blocks: list[Block] = [{"type": "text", "text": _common(request, plan, shared)}]
    if own:
        blocks.append(
            {"type": "text", "text": _files("page_files", "Your page as it is now:", own)}
        )
    task = [
        f'Your page: {page.path}, titled "{page.title}". Its brief:',
        page.brief,
        f"Your paths: {page.path} and what is in {page.folder}",
    ]
    return [*blocks, {"type": "text", "text": "\n\n".join(task)}]


def reviewer_opening(
    request: str, plan: SitePlan, site: Sequence[Block], problems: Sequence[str]
) -> list[Block]:
    """What the reviewer begins with: ``site`` shows the files, ``problems`` are known already."""
    told = "\n".join(f"- {problem}" for problem in problems) or "No problem is known so far."
    return [
        *site,
        {"type": "text", "text": _common(request, plan, {})},
        {"type": "text", "text": f"Review the site and repair it. Known problems:\n\n{told}"},
    ]


def _common(request: str, plan: SitePlan, shared: Mapping[str, str]) -> str:
    pages = [f"- {page.path}: {page.title}\n{page.brief}" for page in plan.pages]
    lines = [
        "<request>",
        request,
        "</request>",
        "<plan>",
        f"Style: {plan.style}",
        f"Navigation: {plan.navigation}",
        f"Shared files: {', '.join(plan.shared_files)}",
        f"Every page links: {', '.join(plan.stylesheets)}",
        "Pages:",
        *pages,
        "</plan>",
    ]
    if shared:
        lines.append(_files("shared_files", "The shared files as they are:", shared))
    return "\n".join(lines)


def _files(tag: str, heading: str, files: Mapping[str, str]) -> str:
    lines = [f"<{tag}>", heading]
    for path, text in files.items():
        lines += ["", f'<file path="{path}">', text, "</file>"]
    return "\n".join([*lines, f"</{tag}>"])
