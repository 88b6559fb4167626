"""What every worker of a process works with."""

from __future__ import annotations

from dataclasses import dataclass

from kit.db import Database
from kit.db.listen import Listener
from services.generation.browsing.browser import Browser
from services.generation.checks.process import Checker
from services.generation.language_model import LanguageModel
from services.generation.peers import Projects, Sandboxes
from services.generation.prices import PriceBook
from services.generation.service.models import Models
from services.generation.settings import GenerationSettings


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Handed to each worker by the composition root."""

    database: Database
    listener: Listener
    model: LanguageModel
    projects: Projects
    sandboxes: Sandboxes
    models: Models
    prices: PriceBook
    checker: Checker
    browser: Browser | None
    """Where pages can be loaded."""
    settings: GenerationSettings
