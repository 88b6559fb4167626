"""The models that can be asked for. All of them are the composer, and their names say so."""

from typing import Any

from local.model.errors import NotFound
from local.model.rules import MAX_OUTPUT_TOKENS

COMPOSER = "sandwright-composer-1"
COMPOSER_NAME = "Sandwright composer (local, no network)"
# Listed so that a program's default finds itself; any other `claude-…` name is answered as well.
STANDS_IN_FOR = ("claude-sonnet-5-5", "claude-opus-5-5", "claude-haiku-5-5", "claude-fable-5-1")
MAX_INPUT_TOKENS = 1_000_000
_RELEASED = "2026-11-01T00:00:00Z"
_YES = {"supported": True}
_NO = {"supported": False}
_CAPABILITIES = {
    "batch": _NO,
    "citations": _NO,
    "code_execution": _NO,
    "context_management": {"supported": False},
    "effort": {"supported": False, "low": _NO, "medium": _NO, "high": _NO, "max": _NO},
    "image_input": _NO,
    "pdf_input": _NO,
    "server_tools": {"supported": False, "code_execution": _NO, "web_search": _NO},
    "structured_outputs": _NO,
    "thinking": {
        "supported": True,
        "types": {"adaptive": _YES, "between_tools": _YES, "disabled": _NO, "enabled": _NO},
    },
}


def everything() -> list[dict[str, Any]]:
    """The list as the API answers it: the composer under its own name first."""
    return [info(identifier) for identifier in (COMPOSER, *STANDS_IN_FOR)]


def info(identifier: str) -> dict[str, Any]:
    """One model; raises NotFound for a name that is neither the composer's nor a `claude-…`."""
    check(identifier)
    alias = "" if identifier == COMPOSER else f", standing in for {identifier}"
    return {
        "type": "model",
        "id": identifier,
        "display_name": COMPOSER_NAME + alias,
        "created_at": _RELEASED,
        "lifecycle": "active",
        "line": None,
        "deprecated_at": None,
        "retires_at": None,
        "max_input_tokens": MAX_INPUT_TOKENS,
        "max_tokens": MAX_OUTPUT_TOKENS,
        "capabilities": _CAPABILITIES,
    }


def check(identifier: str) -> None:
    """Raise NotFound unless `identifier` can be asked for."""
    if identifier != COMPOSER and not identifier.startswith("claude-"):
        raise NotFound(f"model: {identifier}")
