"""The files themselves: valid HTML, links that lead somewhere, nothing from elsewhere, nothing inline."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import PurePosixPath

import html5lib
import pytest

from local.model.composer import brief
from local.model.composer.compose import compose
from local.model.composer.site import Site

PROMPTS = [
    "a landing page for a bakery in Lisbon",
    "a site for a yoga studio",
    "landing page for an app that helps people split bills",
    "portfolio of a photographer",
    "a blog about coffee & <i>tea</i>",
    "a meetup about databases in Copenhagen",
    "a jazz festival called “Low Lights”",
    "documentation for 'Möbius'",
    "a to-do list",
    "a calculator",
    "a unit converter",
    "a timer",
    "a game of snake",
    "a memory game",
    "tic-tac-toe",
    "breakout",
    'a café called "<script>alert(1)</script>"',
    'a shop called "\'; DROP TABLE sites; --"',
    'a gym named "*/ body { display: none } /*"',
    "a hotel called “🏨 {{ name }} {% raw %} ${x}”",
    "portfolio for ‮Evil‬ \x00\x07 Name",
    "",
    "?!",
    "make something nice",
    "ein Café in München",
    "a florist " + "with very many flowers " * 1_400,
    "x" * 32_000,
]
NEW_KINDS = {
    "table": "a landing page for a bakery",
    "craft": "a landing page for a dentist",
    "product": "a landing page for a SaaS",
    "menu": "a restaurant menu",
    "shop": "an online shop",
    "resume": "a resume",
    "gallery": "a photo gallery",
    "course": "a course",
    "dashboard": "a dashboard",
}
LANGUAGES = {"en": "English", "es": "Spanish", "de": "German", "pt": "Portuguese"}
# Each kind in each language, and pages and sections on top of kinds with and without a navigation.
TRANSLATED = [
    f"{kind} in {language} with about, contact, faq, pricing, menu, team, services and news pages"
    if kind == "a course"
    else f"{kind} in {language}"
    for kind in NEW_KINDS.values()
    for language in LANGUAGES.values()
]
PROMPTS += [
    *TRANSLATED,
    "a bakery in Lisbon with about and contact pages",
    "a blog about tea with a contact page and a menu page",
    "a calculator with a faq page",
    "documentation for 'Möbius' with a team page",
]
LINKED = {"a": "href", "link": "href", "script": "src", "img": "src", "form": "action"}
SITES = [
    pytest.param(compose(brief.parse(prompt)), id=prompt[:56] or "empty") for prompt in PROMPTS
]
MAX_SITE_BYTES = 60_000


def _pages(site: Site) -> Iterator[tuple[str, ET.Element]]:
    for path, text in site.files.items():
        if path.endswith(".html"):
            parser = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False)
            yield path, parser.parse(text)


@pytest.mark.parametrize("site", SITES)
def test_pages_parse_without_an_error_and_ids_are_unique(site: Site) -> None:
    seen = 0
    for path, page in _pages(site):
        ids = [element.get("id") for element in page.iter() if element.get("id")]
        assert len(ids) == len(set(ids)), path
        assert page.get("lang") in LANGUAGES, path
        assert len(page.findall(".//h1")) == 1, path
        assert page.findtext(".//title"), path
        seen += 1
    assert seen >= 1


@pytest.mark.parametrize("site", SITES)
def test_every_link_leads_to_a_file_of_the_site_or_to_a_part_of_it(site: Site) -> None:
    anchors = {path: {element.get("id") for element in page.iter()} for path, page in _pages(site)}
    for path, page in _pages(site):
        for element in page.iter():
            target = element.get(LINKED.get(str(element.tag), ""), "")
            if not target or target.startswith(("mailto:", "tel:")):
                continue
            name, _, fragment = target.partition("#")
            file = _resolve(path, name) if name else path
            assert file in site.files, f"{path}: {target}"
            assert not fragment or fragment in anchors[file], f"{path}: {target}"


def _resolve(page: str, link: str) -> str:
    parts: list[str] = list(PurePosixPath(page).parent.parts)
    for part in PurePosixPath(link).parts:
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
    return "/".join(parts)


@pytest.mark.parametrize("site", SITES)
def test_pages_have_no_inline_script_style_or_handler(site: Site) -> None:
    for path, page in _pages(site):
        for element in page.iter():
            handlers = [name for name in element.attrib if name.startswith("on")]
            assert handlers == [], path
            assert "style" not in element.attrib, path
            assert element.tag != "style", path
            assert element.tag != "script" or (element.get("src") and not element.text), path


@pytest.mark.parametrize("site", SITES)
def test_styles_and_pictures_load_nothing_from_elsewhere(site: Site) -> None:
    for path, text in site.files.items():
        if path.endswith(".css"):
            for address in re.findall(r"url\(\"?([^)\"]*)", text):
                assert _resolve(path, address) in site.files, path
            assert "@import" not in text, path
        if path.endswith(".svg"):
            # The picture parses as XML, which a name with markup in it would break.
            picture = ET.fromstring(text)
            assert [part for part in picture.iter() if part.tag.endswith("script")] == [], path


@pytest.mark.parametrize("site", SITES)
def test_a_site_is_small_has_several_files_and_its_paths_are_plain(site: Site) -> None:
    assert len(site.files) >= 4
    assert "index.html" in site.files
    assert sum(len(text.encode()) for text in site.files.values()) < MAX_SITE_BYTES
    for path, text in site.files.items():
        assert re.fullmatch(r"[a-z0-9-]+(/[a-z0-9-]+)?\.(html|css|js|svg)", path), path
        assert text.endswith("\n"), path


@pytest.mark.parametrize("site", SITES)
def test_the_memo_stays_inside_its_comment(site: Site) -> None:
    theme = site.files["css/theme.css"]
    comment, _, rest = theme.partition("*/")
    assert "composer:brief" in comment
    assert rest.lstrip().startswith(":root")


def test_the_same_prompt_makes_the_same_bytes_and_another_prompt_other_ones() -> None:
    one = compose.__wrapped__(brief.parse(PROMPTS[0]))
    again = compose.__wrapped__(brief.parse(PROMPTS[0]))
    other = compose.__wrapped__(brief.parse("a landing page for a bakery in Porto"))
    assert one == again
    assert one.files != other.files


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("kind", NEW_KINDS)
def test_a_kind_speaks_the_language_that_was_asked_for_on_every_page(kind: str, lang: str) -> None:
    site = compose(brief.parse(f"{NEW_KINDS[kind]} in {LANGUAGES[lang]} with a contact page"))
    english = compose(brief.parse(f"{NEW_KINDS[kind]} in English with a contact page"))
    words = {path: set(_words(page)) for path, page in _pages(site)}
    assert set(words) == {"index.html", "contact.html"}
    for path, page in _pages(english):
        shared = words[path] & set(_words(page))
        assert lang == "en" or len(shared) < 0.35 * len(words[path]), f"{path}: {sorted(shared)}"
    assert {page.get("lang") for _, page in _pages(site)} == {lang}


def _words(page: ET.Element) -> list[str]:
    return re.findall(r"[^\W\d]{3,}", " ".join(page.find("body").itertext()).lower())  # type: ignore[union-attr]  # html5lib makes one


def test_a_kind_without_words_in_a_language_says_that_it_is_english() -> None:
    site = compose(brief.parse("ein Blog über Kaffee auf Deutsch"))
    assert {page.get("lang") for _, page in _pages(site)} == {"en"}


def test_prices_and_dates_are_written_as_the_language_and_the_place_do() -> None:
    german = compose(brief.parse("a course in German")).files["index.html"]
    assert "14. September 2027" in german
    assert "240 €" in german
    american = compose(brief.parse("a course in New York")).files["index.html"]
    assert "14 September 2027" in american
    assert "$" in american
