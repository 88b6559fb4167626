"""Follow-up prompts change a brief, and only what they speak of."""

from dataclasses import replace

import pytest

from local.model.agent import change
from local.model.composer import brief

BASE = brief.parse("a landing page for a bakery in Lisbon")


@pytest.mark.parametrize(
    ("wish", "changed"),
    [
        ("make it dark", {"scheme": "dark"}),
        ("Please make the site darker", {"scheme": "dark"}),
        ("no dark mode please", {"scheme": "light"}),
        ("make it light", {"scheme": "light"}),
        ("use green", {"color": "#2f8549"}),
        ("change the colour to #112233", {"color": "#112233"}),
        ('change the title to "Pão Nosso"', {"name": "Pão Nosso"}),
        ("change the title to Golden Crust", {"name": "Golden Crust"}),
        ("rename it to The Blue Oven and use green", {"name": "The Blue Oven", "color": "#2f8549"}),
        ("call it Red Oven", {"name": "Red Oven"}),
        ("add a contact page", {"pages": ("contact",)}),
        ("please add about and team pages", {"pages": ("about", "team")}),
        ("add a FAQ section", {"added": ("faq",)}),
        ("mach es dunkel", {"scheme": "dark"}),
        ("usa el color verde", {"color": "#2f8549"}),
        ("remove the story section", {"without": ("story",)}),
        ("make it dark and remove the testimonials", {"scheme": "dark", "without": ("story",)}),
    ],
)
def test_a_wish_is_understood(wish: str, changed: dict[str, object]) -> None:
    after, done = change.apply(BASE, wish)
    assert after == replace(BASE, **changed)  # type: ignore[arg-type]  # a table of mixed fields
    assert done


@pytest.mark.parametrize("wish", ["add a shopping cart", "", "thank you!", "make the logo bigger"])
def test_a_wish_that_is_not_understood_changes_nothing(wish: str) -> None:
    assert change.apply(BASE, wish) == (BASE, [])


def test_another_kind_of_site_starts_over() -> None:
    after, done = change.apply(BASE, "Now build a snake game instead")
    assert (after.kind, after.topic) == ("game", "snake")
    assert done == ["started over"]


def test_a_language_is_changed_where_there_are_words_for_it() -> None:
    course = brief.parse("a pottery course")
    assert change.apply(course, "translate to Spanish") == (
        replace(course, lang="es"),
        ["put it into Spanish"],
    )
    blog = brief.parse("a blog about tea")
    assert change.apply(blog, "translate it to Spanish") == (blog, [])


def test_a_page_that_was_added_can_be_taken_out() -> None:
    more, _ = change.apply(BASE, "add contact and team pages")
    after, done = change.apply(more, "remove the team page")
    assert after.pages == ("contact",)
    assert done
