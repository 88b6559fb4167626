"""Writes docs/SETTINGS.md: every variable of every process, with its default and what it means."""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path, PurePath

from pydantic import AliasChoices, BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

CLASSES = {
    "Projects service": "services.projects.settings:ProjectsSettings",
    "Sandbox service": "services.sandbox.settings:SandboxSettings",
    "Generation service": "services.generation.settings:GenerationSettings",
    "Gateway": "gateway.settings:GatewaySettings",
    "Deadlines (every process that calls another)": "kit.settings:DeadlineSettings",
    "Logs (every process)": "kit.settings:LogSettings",
    "Local sandboxes": "local.sandboxes.settings:Settings",
    "Local model": "local.model.settings:Settings",
    "`make run` and `make demo`": "local.stack.settings:StackSettings",
}
HEAD = """# Settings

Generated from the code by `make protos`. Every setting is an environment variable; `make run`, `make demo` and
`make up` read `.env` too, and the environment wins. A wrong value ends the process with one line that names the
variable.
"""


def render() -> str:
    """The page."""
    parts = [HEAD]
    for title, where in CLASSES.items():
        module, name = where.split(":")
        parts += _section(title, getattr(importlib.import_module(module), name))
    return "\n".join(parts).rstrip() + "\n"


def _section(title: str, kind: type[BaseModel]) -> Iterator[str]:
    yield f"## {title}\n"
    yield "| variable | default | |\n|---|---|---|"
    prefix = str(kind.model_config.get("env_prefix", ""))
    docs = _docs(kind)
    for name, field in kind.model_fields.items():
        if inspect.isclass(field.annotation) and issubclass(field.annotation, BaseModel):
            continue
        said = " ".join((field.description or docs.get(name, "")).split()).replace("``", "`")
        yield f"| `{_variable(prefix, name, field)}` | {_default(field)} | {said.replace('|', chr(92) + '|')} |"
    yield ""


def _variable(prefix: str, name: str, field: FieldInfo) -> str:
    alias = field.validation_alias
    if isinstance(alias, AliasChoices):
        return str(alias.choices[0])
    return str(alias) if alias else f"{prefix}{name}".upper()


def _default(field: FieldInfo) -> str:
    value = field.default
    if value is PydanticUndefined:
        return "*required*"
    if isinstance(value, PurePath):
        return f"`{value.name}`"
    return "" if value in (None, "", ()) else f"`{value}`"


def _docs(kind: type[BaseModel]) -> dict[str, str]:
    """The strings under the fields of a class and of the classes that it builds on."""
    found: dict[str, str] = {}
    for base in reversed([c for c in kind.__mro__ if issubclass(c, BaseModel)]):
        if not base.__module__.startswith(("kit", "services", "gateway", "local")):
            continue
        tree = ast.parse(Path(inspect.getfile(base)).read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and node.name == base.__name__:
                found.update(_field_docs(node))
    return found


def _field_docs(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for field, after in zip(node.body, node.body[1:], strict=False):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(after, ast.Expr)
            and isinstance(after.value, ast.Constant)
        ):
            yield field.target.id, str(after.value.value)
