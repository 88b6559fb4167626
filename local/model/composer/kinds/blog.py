"""A blog: an index, a page for each post, a page about it."""

from typing import Any

from local.model.composer.brief import Brief
from local.model.composer.chance import Chance
from local.model.composer.lexicon import table
from local.model.composer.render import base_context, render
from local.model.composer.site import Site
from local.model.composer.text import capital, slug

NO_SUBJECT = "everyday things"


def compose(brief: Brief) -> Site:
    """The blog of `brief`."""
    words = table("blog")
    context = base_context(brief, words["color"]) | _context(brief, words)
    posts = context["posts"]
    files = {
        "css/theme.css": render("shared/theme.css", context),
        "css/style.css": render("blog/style.css", context),
        "img/logo.svg": render("shared/logo.svg", context),
    }
    for index, post in enumerate(posts):
        files[f"img/{post['slug']}.svg"] = render("shared/cover.svg", context | {"cover": index})
    files["index.html"] = render("blog/index.html", context)
    files["about.html"] = render("blog/about.html", context)
    for index, post in enumerate(posts):
        page = {"post": post, "next": posts[(index + 1) % len(posts)], "root": "../"}
        files[f"posts/{post['slug']}.html"] = render("blog/post.html", context | page)
    files["js/main.js"] = render("blog/main.js", context)
    return Site(context["name"], "blog", files, f"a blog about {context['subject']}")


def _context(brief: Brief, words: dict[str, Any]) -> dict[str, Any]:
    chance = Chance(brief.seed)
    subject = brief.subject or NO_SUBJECT
    filled = {"subject": subject, "Subject": capital(subject)}
    name = brief.name or chance.pick("name", words["names"]).format(**filled)
    return {
        "name": name,
        "slug": slug(name, "blog"),
        "motif": "pen",
        "subject": subject,
        "place": brief.place,
        "lead": words["lead"].format(**filled),
        "author": chance.pick("author", words["author"]),
        "about": [paragraph.format(**filled) for paragraph in words["about"]],
        "posts": [_post(post, filled) for post in words["posts"]],
        "chance": chance,
    }


def _post(post: dict[str, Any], filled: dict[str, str]) -> dict[str, Any]:
    return post | {
        "title": post["title"].format(**filled),
        "slug": slug(post["title"].format(subject="it", Subject="It")),
        "paragraphs": [paragraph.format(**filled) for paragraph in post["paragraphs"]],
    }
