"""What is read out of a prompt."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local.model.composer import brief
from local.model.composer.compose import compose


@pytest.mark.parametrize(
    ("prompt", "kind", "topic"),
    [
        ("a landing page for a bakery in Lisbon", "landing", "bakery"),
        ("website for my law firm", "landing", "law"),
        ("a yoga studio site", "landing", "yoga"),
        ("landing page for a to-do app", "landing", "saas"),
        ("a bakery website with a blog", "landing", "bakery"),
        ("flower shop in Delft", "landing", "florist"),
        ("portfolio for a wedding photographer", "portfolio", "photographer"),
        ("my personal website, I am a software engineer", "portfolio", "developer"),
        ("a travel blog", "blog", ""),
        ("a conference about databases", "event", "conference"),
        ("a wedding website", "event", "celebration"),
        ("landing page for a wedding photographer", "landing", "photographer"),
        ("docs for my CLI tool", "docs", ""),
        ("a todo list app", "tool", "todo"),
        ("Build a CALCULATOR", "tool", "calculator"),
        ("pomodoro timer", "tool", "pomodoro"),
        ("a game of snake in the browser", "game", "snake"),
        ("make a game like breakout", "game", "breakout"),
        ("tic tac toe", "game", "tictactoe"),
        ("a restaurant menu", "menu", "restaurant"),
        ("tienda online de cerámica", "shop", ""),
        ("my resume", "resume", ""),
        ("a photo gallery", "gallery", "photographer"),
        ("ein Töpferkurs in Hamburg", "course", ""),
        ("a sales dashboard", "dashboard", ""),
        ("a bakery, three pages: home, menu, contact", "landing", "bakery"),
        ("una página para una panadería en Madrid", "landing", "bakery"),
        ("eine Seite für meine Zahnarztpraxis", "landing", "dentist"),
        ("uma página para a minha barbearia", "landing", "barber"),
        ("a dark bakery called The Snake Pit", "landing", "bakery"),
        ("something nice", "landing", ""),
        ("", "landing", ""),
    ],
)
def test_the_kind_and_the_topic(prompt: str, kind: str, topic: str) -> None:
    found = brief.parse(prompt)
    assert (found.kind, found.topic) == (kind, topic) or (
        # The subject of these may also be a trade; nothing hangs on it.
        kind in ("blog", *brief.SHEETS) and found.kind == kind
    )


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ('a café called "Blue Door" in Porto', "Blue Door"),
        ("a café called Blue Door in Porto", "Blue Door"),
        ("a café named Joe’s & Sons, with a menu", "Joe’s & Sons"),
        ("portfolio for Ana Silva, an illustrator", "Ana Silva"),
        ("a wedding site for Mia and Tom in Rome", "Mia and Tom"),
        ("a landing page for a bakery in Lisbon", ""),
        ("a landing page for Lisbon", ""),
        ("a shop “Ü & <b>”", "Ü & <b>"),
        ("a café called 'O’Hara'", "O’Hara"),
        ("a gym called " + "Very " * 40, ("Very " * 12).strip()),
    ],
)
def test_the_name(prompt: str, name: str) -> None:
    assert brief.parse(prompt).name == name


@pytest.mark.parametrize(
    ("prompt", "place", "country"),
    [
        ("a bakery in Lisbon", "Lisbon", "pt"),
        ("a bakery in lisbon", "Lisbon", "pt"),
        ("a nice bakery", "", "any"),
        ("a bakery in Nice", "Nice", "fr"),
        ("a bakery in Little Snoring", "Little Snoring", "any"),
        ("sushi bar in new york", "New York", "us"),
    ],
)
def test_the_place(prompt: str, place: str, country: str) -> None:
    found = brief.parse(prompt)
    assert (found.place, found.country) == (place, country)


@pytest.mark.parametrize(
    ("prompt", "color", "scheme"),
    [
        ("a green site", "#2f8549", "auto"),
        ("a site in #ABC", "#aabbcc", "auto"),
        ("a dark site in #A1B2C3", "#a1b2c3", "dark"),
        ("a site in light mode", "", "light"),
        ("a coffee roaster known for dark roast", "", "auto"),
        ("a café called Red Fox", "", "auto"),
    ],
)
def test_the_colour_and_the_scheme(prompt: str, color: str, scheme: str) -> None:
    found = brief.parse(prompt)
    assert (found.color, found.scheme) == (color, scheme)


# The first prompt of a kind reads its templates: no deadline.
@settings(deadline=None)
@given(st.text(max_size=300))
def test_any_prompt_makes_a_brief_that_survives_its_memo_and_a_site(prompt: str) -> None:
    found = brief.parse(prompt)
    assert brief.loads(found.dumps()) == found
    assert "index.html" in compose(found).files


@pytest.mark.parametrize(
    "memo",
    [
        "",
        "{}",
        "[]",
        '{"kind": "virus"}',
        '{"kind": "blog", "seed": "x"}',
        '{"kind": "tool", "name": 3}',
    ],
)
def test_what_is_no_memo_is_refused(memo: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        brief.loads(memo)


def test_a_memo_from_elsewhere_is_put_right() -> None:
    found = brief.loads(
        '{"kind": "blog", "color": "red;}", "scheme": "x", "country": "zz", "other": 1}'
    )
    assert (found.color, found.scheme, found.country) == ("", "auto", "any")


@pytest.mark.parametrize(
    ("prompt", "lang", "country"),
    [
        ("eine Speisekarte für ein Restaurant", "de", "de"),
        ("galería de fotos para mi estudio", "es", "es"),
        ("um curso de cerâmica com página de contacto", "pt", "pt"),
        ("a course in Spanish", "es", "es"),
        ("a course on Spanish cooking in Berlin", "en", "de"),
        ("a photo gallery", "en", "any"),
        ("una página para una panadería en Madrid", "es", "es"),
        ("eine Seite für meine Zahnarztpraxis", "de", "de"),
    ],
)
def test_the_language_and_what_it_lends(prompt: str, lang: str, country: str) -> None:
    found = brief.parse(prompt)
    assert (found.lang, found.country) == (lang, country)


@pytest.mark.parametrize(
    ("prompt", "pages"),
    [
        ("a bakery with about and contact pages", ("about", "contact")),
        ("a bakery, three pages: home, menu, contact", ("menu", "contact")),
        ("a site about bread with a contact page", ("contact",)),
        ("a landing page for a team", ()),
        ("ein Kurs mit Kontaktseite", ("contact",)),
        ("un curso con páginas de precios y contacto", ("pricing", "contact")),
    ],
)
def test_the_pages_asked_for(prompt: str, pages: tuple[str, ...]) -> None:
    assert brief.parse(prompt).pages == pages
