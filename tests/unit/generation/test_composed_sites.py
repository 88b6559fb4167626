"""What the local model composes has nothing that the checks would find."""

from dataclasses import replace

import pytest

from local.model.agent import change
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


WISHES = {
    "en": (
        "make it dark",
        'change the title to "Blue Door"',
        "add a contact page",
        "use green",
        "remove the pricing section",
    ),
    "es": (
        "hazlo oscuro",
        "cambia el título a Blue Door",
        "añade una página de contacto",
        "usa verde",
        "quita la sección de precios",
    ),
    "de": (
        "mach es dunkel",
        "ändere den Titel in „Blue Door“",
        "füge eine Kontaktseite hinzu",
        "verwende Grün",
        "entferne die Preise",
    ),
    "pt": (
        "deixe escuro",
        "mude o título para Blue Door",
        "adicione uma página de contato",
        "use verde",
        "remova a seção de preços",
    ),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lang", WISHES)
def test_each_wish_does_what_it_says_to_each_kind_and_leaves_a_site_without_a_finding(
    kind: str, lang: str
) -> None:
    plain = Brief(kind)
    dark, named, more, green, less = (change.apply(plain, wish)[0] for wish in WISHES[lang])
    assert dark == replace(plain, scheme="dark")
    assert named == replace(plain, name="Blue Door")
    assert more == replace(plain, pages=("contact",))
    assert green == replace(plain, color="#2f8549")
    # Of these only an event sells tickets; nobody is told that prices went where there were none.
    assert less == (replace(plain, without=("pricing",)) if kind == "event" else plain)
    every = plain
    for wish in WISHES[lang]:
        every, _ = change.apply(every, wish)
    files = compose(every).files
    assert findings({path: text.encode() for path, text in files.items()}) == []
    assert "Blue Door" in files["index.html"]
    assert "contact.html" in files
    assert "#tickets" not in files["index.html"]


def test_a_product_s_prices_go_when_they_are_not_wanted() -> None:
    product = brief.parse("a landing page for a startup's app with pricing")
    assert 'id="pricing"' in compose(product).files["index.html"]
    less, done = change.apply(product, "remove the pricing section")
    assert done == ["took out the pricing section"]
    files = compose(less).files
    assert "pricing" not in files["index.html"]
    assert findings({path: text.encode() for path, text in files.items()}) == []
