"""Puts the sandbox service together."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import grpc

from kit.auth.keys import read_public_keys, read_signing_keys
from kit.auth.published import PublishedKeys
from kit.auth.tokens import ServiceIdentity, Verifier
from kit.channels import open_channel
from kit.db import Database
from kit.db.listen import Listener
from kit.db.migrate import prepare as bring_up_to_date
from kit.server import Application, StartupError
from protos.sandbox.v1 import sandbox_pb2_grpc
from services.sandbox.e2b_vendor import E2bAccess, E2bVendor
from services.sandbox.locks import Locks
from services.sandbox.model import Size
from services.sandbox.prices import price_list
from services.sandbox.projects_peer import SERVICE as PROJECTS
from services.sandbox.projects_peer import ProjectsPeer
from services.sandbox.report_repository import CHANNEL
from services.sandbox.rpc import SandboxServicer, UseCases
from services.sandbox.service.access import Access
from services.sandbox.service.after_commands import TakingOver
from services.sandbox.service.allowance import Allowance
from services.sandbox.service.applying import Applying
from services.sandbox.service.archives import Archives
from services.sandbox.service.attending import Attending
from services.sandbox.service.claiming import Claiming
from services.sandbox.service.commands import CommandLimits, Commands
from services.sandbox.service.creation import Creation, CreationLimits
from services.sandbox.service.drafts import Drafts
from services.sandbox.service.ending import Ending, EndingLimits
from services.sandbox.service.extension import Extension
from services.sandbox.service.file_events import FileEvents
from services.sandbox.service.files import Files
from services.sandbox.service.filling import Filling
from services.sandbox.service.follower import Follower
from services.sandbox.service.ignoring import Ignored
from services.sandbox.service.intake import Limits
from services.sandbox.service.lifecycle import Lifecycle
from services.sandbox.service.measuring import Measuring
from services.sandbox.service.ports import Ports
from services.sandbox.service.reconcile import Reconcile
from services.sandbox.service.reports import Reports
from services.sandbox.service.sleeping import Sleeping
from services.sandbox.service.sweep import Sweep
from services.sandbox.service.syncing import Syncing, SyncLimits
from services.sandbox.service.unpacking import ArchiveLimits
from services.sandbox.service.usage import Reckoning
from services.sandbox.service.use import Use
from services.sandbox.service.watching import Watching, WatchLimits
from services.sandbox.service.writing import Writing
from services.sandbox.settings import SandboxSettings
from services.sandbox.template import preview_server
from services.sandbox.vendor import SandboxVendor

SANDBOX = "sandwright.sandbox.v1.SandboxService"
ACCOUNTS = "sandwright.projects.v1.AccountsService"
MIGRATIONS = Path(__file__).parent / "migrations"


@dataclass(frozen=True, slots=True)
class Parts:
    """The service in pieces, for whoever wants to reach one: tests sweep at once."""

    application: Application
    vendor: SandboxVendor
    lifecycle: Lifecycle
    sweep: Sweep
    ending: Ending
    follower: Follower
    archives: Archives
    file_events: FileEvents
    syncing: Syncing
    watching: Watching
    database: Database
    commands: Commands


async def prepare(settings: SandboxSettings) -> None:
    """Brings the schema up to date. Raises ``StartupError`` where the database does not answer."""
    await bring_up_to_date("sandbox", settings, MIGRATIONS)


def build(settings: SandboxSettings, vendor: SandboxVendor | None = None) -> Application:
    """The service, ready to be served. Raises ``StartupError`` for a key file that can't be used."""
    return assemble(settings, vendor).application


def assemble(settings: SandboxSettings, vendor: SandboxVendor | None = None) -> Parts:
    """As ``build``, with the pieces."""
    try:
        identity = ServiceIdentity(read_signing_keys(settings.service_key_file)[0])
        service_keys = read_public_keys(settings.service_keys_file)
    except ValueError as exc:
        raise StartupError(str(exc)) from exc
    channel = open_channel(
        settings.projects_address, (PROJECTS, ACCOUNTS), identity=identity, wait_for_ready=True
    )
    verifier = Verifier("sandbox", service_keys, PublishedKeys(channel))
    app = Application(services={}, verifier=verifier)
    return _assembled(settings, app, channel, vendor or E2bVendor(E2bAccess.of(settings)))


def _assembled(
    settings: SandboxSettings, app: Application, channel: grpc.aio.Channel, vendor: SandboxVendor
) -> Parts:
    database = Database(
        settings.database_url, pool_size=settings.database_pool_size, name="sandbox"
    )
    listener = Listener(settings.database_url, CHANNEL)
    locks = Locks(settings.database_url)
    projects = ProjectsPeer(channel, settings.write_timeout_seconds)
    reports = Reports(database, projects, settings.report_wait_seconds)
    ignored = Ignored.of(settings.ignored_names)
    filling = Filling(projects, ignored)
    limits = _creation_limits(settings)
    sleeping = Sleeping(database, vendor, locks, filling, reports)
    creation = Creation(
        database,
        vendor,
        projects,
        filling,
        sleeping,
        reports,
        limits,
        settings.deployment,
        preview_server(settings),
    )
    allowance = Allowance(settings.max_active_per_user, settings.max_seconds_a_day)
    claiming = Claiming(database, limits, allowance, _size(settings))
    uses = Use(database, settings.idle_pause_seconds)
    attending = Attending(creation)
    lifecycle = Lifecycle(
        database, vendor, claiming, creation, sleeping, reports, listener, uses, attending
    )
    extension = Extension(database, vendor, locks, lifecycle, sleeping, limits, allowance)
    writing = Writing(database, locks, projects, filling, lifecycle, settings.write_timeout_seconds)
    access = Access(projects)
    reconcile = Reconcile(database, vendor, lifecycle, sleeping, settings.deployment)
    applying = Applying(database, access, lifecycle, writing)
    follower = Follower(database, locks, projects, applying)
    syncing = Syncing(
        database, locks, projects, lifecycle, writing, ignored, _sync_limits(settings)
    )
    lifecycle.before = syncing
    ending = Ending(database, lifecycle, sleeping, syncing, _ending_limits(settings))
    sweep = Sweep(
        database,
        ending,
        reconcile,
        reports,
        syncing,
        idle_seconds=settings.idle_pause_seconds,
        seconds_a_day=settings.max_seconds_a_day,
    )
    watching = Watching(
        database, lifecycle, listener, ignored, _watch_limits(settings), syncing.sync
    )
    after = TakingOver(watching, syncing)
    commands = Commands(database, lifecycle, _command_limits(settings), after)
    use = UseCases(
        access=access,
        lifecycle=lifecycle,
        extension=extension,
        reckoning=Reckoning(database, allowance, price_list()),
        files=Files(lifecycle, settings.max_listed_entries),
        writing=writing,
        drafts=Drafts(database, lifecycle),
        syncing=syncing,
        file_events=FileEvents(
            lifecycle, watching, uses, settings.max_listed_entries, settings.max_watches_per_user
        ),
        commands=commands,
        command_seconds=settings.command_timeout_seconds,
        ports=Ports(lifecycle),
        measuring=Measuring(database, projects, lifecycle),
        archives=Archives(lifecycle, writing, _archive_limits(settings), ignored),
        limits=Limits(settings.max_file_bytes, settings.max_write_bytes, settings.max_write_steps),
    )
    app.services[SANDBOX] = partial(
        sandbox_pb2_grpc.add_SandboxServiceServicer_to_server, SandboxServicer(use)
    )
    app.background += [
        listener.run_until(app.stopping),
        sweep.run(settings.sweep_seconds, app.stopping),
        ending.run(app.stopping),
        follower.run(app.stopping),
        watching.run(app.stopping),
        commands.tend(app.stopping),
    ]
    # Closed in the reverse order: what uses a connection ends before it.
    for close in (channel.close, database.close, locks.close, vendor.close):
        app.resources.push_async_callback(close)
    app.resources.push_async_callback(reports.finish)
    app.resources.push_async_callback(attending.finish)
    app.resources.push_async_callback(lifecycle.finish, settings.drain_seconds)
    # After the last call: what it began is ended before the vendor's connections are.
    app.resources.push_async_callback(commands.finish)
    return Parts(
        app,
        vendor,
        lifecycle,
        sweep,
        ending,
        follower,
        use.archives,
        use.file_events,
        syncing,
        watching,
        database,
        commands,
    )


def _archive_limits(settings: SandboxSettings) -> ArchiveLimits:
    return ArchiveLimits(
        archive_bytes=settings.max_archive_bytes,
        files=settings.max_project_files,
        file_bytes=settings.max_file_bytes,
        total_bytes=settings.max_write_bytes,
    )


def _sync_limits(settings: SandboxSettings) -> SyncLimits:
    return SyncLimits(
        file_bytes=settings.max_file_bytes,
        files=settings.max_project_files,
        total_bytes=settings.max_write_bytes,
        timeout_seconds=settings.write_timeout_seconds,
    )


def _ending_limits(settings: SandboxSettings) -> EndingLimits:
    return EndingLimits(
        ending_look_seconds=settings.ending_look_seconds,
        ending_lead_seconds=settings.ending_lead_seconds,
        vendor_grace_seconds=settings.vendor_grace_seconds,
        vendor_maximum_seconds=settings.vendor_maximum_seconds,
    )


def _watch_limits(settings: SandboxSettings) -> WatchLimits:
    return WatchLimits(
        watch_settle_seconds=settings.watch_settle_seconds,
        watch_rescan_seconds=settings.watch_rescan_seconds,
        watch_linger_seconds=settings.watch_linger_seconds,
        sync_debounce_seconds=settings.sync_debounce_seconds,
    )


def _creation_limits(settings: SandboxSettings) -> CreationLimits:
    return CreationLimits(
        lifetime_seconds=settings.lifetime_seconds,
        longest_seconds=min(settings.maximum_lifetime_seconds, settings.vendor_maximum_seconds),
        vendor_grace_seconds=settings.vendor_grace_seconds,
        vendor_maximum_seconds=settings.vendor_maximum_seconds,
        create_timeout_seconds=settings.create_timeout_seconds,
        attempt_seconds=settings.attempt_seconds,
        preview_timeout_seconds=settings.preview_timeout_seconds,
    )


def _size(settings: SandboxSettings) -> Size:
    place = settings.prices or ("local" if settings.e2b_api_url else "e2b")
    if place not in (known := price_list().places):
        raise StartupError(f"SANDBOX_PRICES: is none of {', '.join(sorted(known))}")
    return Size(settings.deployment, place, settings.cpu_count, settings.memory_mib)


def _command_limits(settings: SandboxSettings) -> CommandLimits:
    return CommandLimits(
        max_output_bytes=settings.max_command_output_bytes,
        max_env_bytes=settings.max_command_env_bytes,
        max_at_once=settings.max_commands_at_once,
        max_per_minute=settings.max_commands_per_minute,
    )
