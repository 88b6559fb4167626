"""How E2B is reached."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from services.sandbox.settings import E2bSettings


@dataclass(frozen=True, slots=True)
class E2bAccess:
    """How E2B is reached; empty strings mean the vendor's own addresses."""

    api_key: str
    api_url: str
    sandbox_url: str
    domain: str
    template: str
    timeout_seconds: float
    fallback: str = ""
    """The template where the vendor has no other one; empty: none."""

    def __repr__(self) -> str:
        """Without the key."""
        return f"E2bAccess(template={self.template!r})"

    @classmethod
    def of(cls, settings: E2bSettings) -> Self:
        """As the settings say."""
        return cls(
            api_key=settings.e2b_api_key.get_secret_value(),
            api_url=settings.e2b_api_url,
            sandbox_url=settings.e2b_sandbox_url,
            domain=settings.e2b_domain,
            template=settings.e2b_template,
            timeout_seconds=settings.e2b_timeout_seconds,
            fallback=settings.e2b_fallback_template,
        )
