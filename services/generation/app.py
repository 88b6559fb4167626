"""Puts the generation service together."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import grpc

from kit.auth.keys import read_public_keys, read_signing_keys
from kit.auth.published import PublishedKeys
from kit.auth.tokens import ServiceIdentity, Verifier
from kit.channels import open_channel
from kit.db import Database
from kit.db.listen import Listener
from kit.db.migrate import prepare as bring_up_to_date
from kit.server import Application, StartupError
from kit.settings import DeadlineSettings
from protos.generation.v1 import generation_pb2_grpc
from services.generation.anthropic_clients import open_client
from services.generation.anthropic_vendor import AnthropicModel
from services.generation.browsing.browser import find_browser
from services.generation.checks.process import Checker
from services.generation.language_model import LanguageModel
from services.generation.peers import Projects, Sandboxes
from services.generation.prices import price_book, unlisted_price
from services.generation.projects_peer import ProjectsPeer
from services.generation.repository.wakeups import CHANNEL
from services.generation.rpc import GenerationServicer
from services.generation.sandbox_peer import SandboxPeer
from services.generation.service.budget import Budget
from services.generation.service.changes import Changes
from services.generation.service.generations import Generations
from services.generation.service.models import Models
from services.generation.service.start import Start
from services.generation.service.usage import OwnUsages
from services.generation.service.watch import Watch
from services.generation.settings import GenerationSettings
from services.generation.worker.pool import Pool
from services.generation.worker.surroundings import Surroundings

GENERATION = "sandwright.generation.v1.GenerationService"
PROJECTS = "sandwright.projects.v1.ProjectsService"
ACCOUNTS = "sandwright.projects.v1.AccountsService"
SANDBOX = "sandwright.sandbox.v1.SandboxService"
MIGRATIONS = Path(__file__).parent / "migrations"
# StartGeneration has this much longer than its sandbox before a worker takes over.
_HOLD_EXTRA_SECONDS = 5.0


async def prepare(settings: GenerationSettings) -> None:
    """Brings the schema up to date. Raises ``StartupError`` where the database does not answer."""
    await bring_up_to_date("generation", settings, MIGRATIONS)


def build(
    settings: GenerationSettings,
    *,
    model: LanguageModel | None = None,
    projects: Projects | None = None,
    sandboxes: Sandboxes | None = None,
) -> Application:
    """The service, ready to be served; fakes take the places of what it talks to.

    Raises ``StartupError`` for a key file that can't be used, or where no model is reachable.
    """
    identity, service_keys = _keys(settings)
    projects_channel = open_channel(
        settings.projects_address, (PROJECTS, ACCOUNTS), identity=identity, wait_for_ready=True
    )
    sandbox_channel = open_channel(
        settings.sandbox_address, (SANDBOX,), identity=identity, wait_for_ready=True
    )
    app = Application(
        services={},
        verifier=Verifier("generation", service_keys, PublishedKeys(projects_channel)),
    )
    vendor, prices = (
        model or _model(settings, app),
        price_book(unlisted_price(settings.unpriced_models)),
    )
    around = Surroundings(
        database=Database(
            settings.database_url, pool_size=settings.database_pool_size, name="generation"
        ),
        listener=Listener(settings.database_url, CHANNEL),
        model=vendor,
        projects=projects or ProjectsPeer(projects_channel),
        sandboxes=sandboxes or SandboxPeer(sandbox_channel),
        models=Models(vendor, prices, default=settings.model, seconds=settings.models_seconds),
        prices=prices,
        checker=Checker(settings.check_seconds),
        browser=find_browser(settings.browser, settings.browser_seconds),
        settings=settings,
    )
    # What is closed last is named first.
    _close_after(app, around, projects_channel, sandbox_channel)
    _serve(app, around)
    _run_beside(app, around)
    return app


def _keys(settings: GenerationSettings) -> tuple[ServiceIdentity, Any]:
    try:
        identity = ServiceIdentity(read_signing_keys(settings.service_key_file)[0])
        return identity, read_public_keys(settings.service_keys_file)
    except ValueError as exc:
        raise StartupError(str(exc)) from exc


def _model(settings: GenerationSettings, app: Application) -> LanguageModel:
    try:
        model = AnthropicModel(open_client(settings))
    except ValueError as exc:
        raise StartupError(str(exc)) from exc
    app.resources.push_async_callback(model.close)
    return model


def _serve(app: Application, around: Surroundings) -> None:
    settings = around.settings
    budget = Budget(
        settings.max_cost_usd,
        settings.max_cost_usd_per_day,
        settings.max_cost_usd_per_month,
        settings.least_cost_usd,
    )
    start = Start(
        around.database,
        around.projects,
        around.sandboxes,
        models=around.models,
        budget=budget,
        max_attached=settings.max_attachment_bytes_per_user,
        max_queued=settings.max_queued_per_user,
        hold_seconds=DeadlineSettings().create_sandbox_seconds + _HOLD_EXTRA_SECONDS,
    )
    watch = Watch(around.database, around.listener, app.stopping, settings.poll_seconds)
    app.resources.push_async_callback(start.close)
    usages = OwnUsages(
        around.database, budget, settings.max_running_per_user, settings.max_queued_per_user
    )
    generations = Generations(around.database, around.projects)
    servicer = GenerationServicer(start, generations, watch, around.models, usages)
    app.services[GENERATION] = partial(
        generation_pb2_grpc.add_GenerationServiceServicer_to_server, servicer
    )


def _run_beside(app: Application, around: Surroundings) -> None:
    changes = Changes(around.database, around.projects)
    app.background += [
        _until(app.stopping, around.listener.run()),
        _until(app.stopping, changes.follow()),
        Pool(around).run(app.stopping),
    ]


def _close_after(app: Application, around: Surroundings, *channels: grpc.aio.Channel) -> None:
    app.resources.push_async_callback(around.database.close)
    app.resources.push_async_callback(around.checker.close)
    for channel in channels:
        app.resources.push_async_callback(channel.close)


async def _until(stopping: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    """Runs endless work until the server drains. Where it fails, so does the process."""
    task = asyncio.create_task(work)
    waiter = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait({task, waiter}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
    finally:
        waiter.cancel()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
