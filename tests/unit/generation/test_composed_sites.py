"""What the local model composes has nothing that the checks would find."""

import pytest

from local.model.composer import brief
from local.model.composer.brief import KINDS, Brief
from local.model.composer.compose import compose
from services.generation.checks import findings


@pytest.mark.parametrize("kind", KINDS)
def test_a_composed_site_of_each_kind_has_no_finding(kind: str) -> None:
    plain = Brief(kind)
    more = Brief(kind, pages=("about", "contact"), added=("faq",), lang="es", scheme="dark")
    for made in (plain, more):
        files = {path: text.encode() for path, text in compose(made).files.items()}
        assert findings(files) == []


def test_every_kind_can_be_asked_for() -> None:
    prompts = ["a bakery", "a portfolio", "a blog", "a conference", "docs", "a timer", "snake"]
    sheets = ["a restaurant menu", "an online shop", "a resume", "a photo gallery", "a course"]
    asked = {brief.parse(prompt).kind for prompt in [*prompts, *sheets, "a dashboard"]}
    assert asked == set(KINDS)
