"""All SQL of the generation service. Each class works on one connection; who calls begins and ends the transaction."""

from services.generation.repository.attachments import Attachments
from services.generation.repository.budgets import Budgets, Period, Spent
from services.generation.repository.events import Events, LoggedEvent
from services.generation.repository.jobs import Jobs, NewJob
from services.generation.repository.known import KnownFiles, own_of_all
from services.generation.repository.ledger import Ledger, TurnKey
from services.generation.repository.leftovers import Leftovers
from services.generation.repository.positions import Positions
from services.generation.repository.queue import Queue
from services.generation.repository.transcript import Transcript

__all__ = [
    "Attachments",
    "Budgets",
    "Events",
    "Jobs",
    "KnownFiles",
    "Ledger",
    "Leftovers",
    "LoggedEvent",
    "NewJob",
    "Period",
    "Positions",
    "Queue",
    "Spent",
    "Transcript",
    "TurnKey",
    "own_of_all",
]
