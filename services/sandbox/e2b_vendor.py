"""E2B through its official SDK: the only file that knows it. Its exceptions end here."""

from __future__ import annotations

import asyncio
import signal
from collections import OrderedDict
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Collection,
    Iterator,
    Sequence,
)
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, Self

import httpx
import structlog
from connectrpc.errors import ConnectError
from e2b import (
    AsyncCommandHandle,
    AsyncSandbox,
    AuthenticationException,
    CommandExitException,
    FileNotFoundException,
    InvalidArgumentException,
    NotEnoughSpaceException,
    RateLimitException,
    SandboxException,
    SandboxNotFoundException,
    SandboxQuery,
    SandboxState,
    TimeoutException,
)
from e2b.exceptions import SandboxNotRunningException, ServiceBusyException
from e2b.sandbox.filesystem.filesystem import EntryInfo, FileType, WriteEntry
from e2b.sandbox.filesystem.watch_handle import FilesystemEvent

from kit.errors import ServiceError, Unavailable
from services.sandbox import listing
from services.sandbox.commands import Channel, Command, Ended
from services.sandbox.model import PREVIEW_PORT, Content, Entry, Kind, Metrics, Scan
from services.sandbox.settings import E2bSettings
from services.sandbox.vendor import (
    CannotPause,
    DiskFull,
    Listed,
    OnOutput,
    PathMissing,
    PathUnfit,
    RunningCommand,
    SandboxLost,
    SandboxVendor,
    Upload,
    VendorSandbox,
    VendorState,
    Watch,
)

_log = structlog.get_logger(__name__)

HEALTH = "/__sandwright/health"
_PROBE_SECONDS = 2.0
_REMEMBERED = 2_000
# Files up to the first size are sent many in one request of up to the second, larger ones as streams of their own.
_SMALL_BYTES = 1024 * 1024
_BATCH_BYTES = 4 * 1024 * 1024
_BATCH_FILES = 100
_PIECE_BYTES = 256 * 1024
# How a vendor says that it can't do what is asked for.
_CANT = {400, 405, 501}
# The service itself ends a command at its timeout; the vendor does where the service can't.
_TIMEOUT_MARGIN_SECONDS = 30
_KINDS = {FileType.FILE: Kind.FILE, FileType.DIR: Kind.DIRECTORY}


@dataclass(frozen=True, slots=True)
class E2bAccess:
    """How E2B is reached; empty strings mean the vendor's own addresses."""

    api_key: str
    api_url: str
    sandbox_url: str
    domain: str
    template: str
    timeout_seconds: float

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
        )


class E2bVendor(SandboxVendor):
    """Sandboxes at E2B, or at whatever speaks its protocol."""

    def __init__(self, access: E2bAccess) -> None:
        """Nothing connects before the first call."""
        self._access = access
        self._options: dict[str, Any] = {
            "api_key": access.api_key,
            "api_url": access.api_url or None,
            "sandbox_url": access.sandbox_url or None,
            "domain": access.domain or None,
            "request_timeout": access.timeout_seconds,
            # Whatever E2B_DEBUG says: it would leave the control plane out.
            "debug": False,
        }
        self._http = httpx.AsyncClient(timeout=_PROBE_SECONDS, trust_env=False)
        # Connecting costs a request to the control plane; what it answers stays true as long as the sandbox lives.
        self._known: OrderedDict[str, E2bSandbox] = OrderedDict()

    async def create(
        self, labels: dict[str, str], lifetime_seconds: int, key: str
    ) -> VendorSandbox:
        """See ``SandboxVendor``."""
        with _translated():
            sandbox = await AsyncSandbox.create(
                template=self._access.template,
                timeout=lifetime_seconds,
                metadata=labels,
                idempotency_key=key,
                **self._options,
            )
        return self._remember(sandbox)

    async def connect(self, vendor_id: str, seconds: int = 60) -> VendorSandbox:
        """See ``SandboxVendor``."""
        if vendor_id in self._known:
            self._known.move_to_end(vendor_id)
            return self._known[vendor_id]
        # To connect is to wake: whoever does that has to know.
        if await self.state(vendor_id) is not VendorState.RUNNING:
            raise SandboxLost(vendor_id)
        return await self.wake(vendor_id, seconds)

    async def state(self, vendor_id: str) -> VendorState:
        """See ``SandboxVendor``."""
        try:
            with _translated():
                info = await AsyncSandbox.get_info(vendor_id, **self._options)
        except SandboxLost:
            found = VendorState.GONE
        else:
            asleep = info.state == SandboxState.PAUSED
            found = VendorState.PAUSED if asleep else VendorState.RUNNING
        if found is not VendorState.RUNNING:
            self._known.pop(vendor_id, None)
        return found

    async def pause(self, vendor_id: str) -> None:
        """See ``SandboxVendor``."""
        self._known.pop(vendor_id, None)
        try:
            with _translated():
                await self._pause(vendor_id, "full")
        except CannotPause:
            with _translated():
                await self._pause(vendor_id, "filesystem")

    async def _pause(self, vendor_id: str, mode: Literal["full", "filesystem"]) -> None:
        try:
            await AsyncSandbox.pause(vendor_id, mode=mode, **self._options)
        except SandboxException as exc:
            if exc.status_code in _CANT:
                raise CannotPause(mode) from exc
            raise

    async def wake(self, vendor_id: str, seconds: int) -> VendorSandbox:
        """See ``SandboxVendor``."""
        with _translated():
            return self._remember(
                await AsyncSandbox.connect(vendor_id, timeout=seconds, **self._options)
            )

    async def last(self, vendor_id: str, seconds: int) -> None:
        """See ``SandboxVendor``."""
        with _translated():
            await AsyncSandbox.set_timeout(vendor_id, seconds, **self._options)

    async def kill(self, vendor_id: str) -> None:
        """See ``SandboxVendor``."""
        self._known.pop(vendor_id, None)
        with _translated():
            await AsyncSandbox.kill(vendor_id, **self._options)

    async def exists(self, vendor_id: str) -> bool:
        """See ``SandboxVendor``."""
        return await self.state(vendor_id) is not VendorState.GONE

    async def list(self, labels: dict[str, str]) -> list[Listed]:
        """See ``SandboxVendor``."""
        found: list[Listed] = []
        with _translated():
            pages = AsyncSandbox.list(query=SandboxQuery(metadata=labels), **self._options)
            while pages.has_next:
                found += [
                    Listed(one.sandbox_id, one.metadata, one.state == SandboxState.PAUSED)
                    for one in await pages.next_items()
                ]
        # Asked for by label, and looked at again: what is closed by mistake does not come back.
        return [one for one in found if labels.items() <= one.labels.items()]

    async def close(self) -> None:
        """See ``SandboxVendor``."""
        await self._http.aclose()

    def _remember(self, sandbox: AsyncSandbox) -> E2bSandbox:
        found = E2bSandbox(sandbox, self._access, self._http, self._options)
        self._known[sandbox.sandbox_id] = found
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return found


class E2bSandbox(VendorSandbox):
    """One sandbox at E2B."""

    def __init__(
        self,
        sandbox: AsyncSandbox,
        access: E2bAccess,
        http: httpx.AsyncClient,
        options: dict[str, Any],
    ) -> None:
        """Made by ``E2bVendor``."""
        self._sandbox = sandbox
        self._access = access
        self._http = http
        self._options = options

    @property
    def vendor_id(self) -> str:
        """See ``VendorSandbox``."""
        return self._sandbox.sandbox_id

    @property
    def url(self) -> str:
        """See ``VendorSandbox``."""
        return self.url_of(PREVIEW_PORT)

    def url_of(self, port: int) -> str:
        """See ``VendorSandbox``."""
        plain = (self._access.sandbox_url or self._access.api_url).startswith("http://")
        scheme = "http" if plain else "https"
        return f"{scheme}://{self._sandbox.get_host(port)}"

    async def write(self, uploads: Sequence[Upload]) -> None:
        """See ``VendorSandbox``."""
        with _translated(files=True):
            for batch in _batches(uploads):
                await self._sandbox.files.write_files(
                    [
                        WriteEntry(path=one.path, data=one.content.piece(0, one.content.size))
                        for one in batch
                    ]
                )
            for one in uploads:
                if not _fits_a_batch(one):
                    await self._sandbox.files.write(one.path, _pieces(one.content))

    async def rename(self, old: str, new: str) -> None:
        """See ``VendorSandbox``."""
        with _translated(files=True):
            await self._sandbox.files.rename(old, new)

    async def remove(self, path: str) -> None:
        """See ``VendorSandbox``."""
        try:
            with _translated(files=True):
                await self._sandbox.files.remove(path)
        except PathMissing:
            return

    async def make_folder(self, path: str) -> None:
        """See ``VendorSandbox``."""
        with _translated(files=True):
            await self._sandbox.files.make_dir(path)

    async def read(self, path: str) -> AsyncGenerator[bytes, None]:
        """See ``VendorSandbox``."""
        with _translated(files=True):
            reader = await self._sandbox.files.read(path, format="stream")

        async def pieces() -> AsyncGenerator[bytes, None]:
            async with reader:
                with _translated(files=True):
                    async for piece in reader:
                        yield piece

        return pieces()

    async def list(self, path: str, depth: int) -> list[Entry]:
        """See ``VendorSandbox``."""
        with _translated(files=True):
            return [_entry(one) for one in await self._sandbox.files.list(path, depth=depth)]

    async def hashes(self, path: str, ignored: Collection[str] = ()) -> dict[str, str]:
        """See ``VendorSandbox``."""
        _, printed = await self._looked(listing.hashes(path, ignored))
        return listing.hashed(printed)

    async def scan(self, path: str, ignored: Collection[str] = ()) -> Scan:
        """See ``VendorSandbox``."""
        code, printed = await self._looked(listing.scan(path, ignored))
        return listing.scanned(printed, complete=code == 0)

    async def hashes_of(self, paths: Sequence[str]) -> dict[str, str]:
        """See ``VendorSandbox``."""
        found: dict[str, str] = {}
        for command in listing.hashes_of(paths):
            found |= listing.hashed((await self._looked(command))[1])
        return found

    async def watch(self, path: str, heeded: Callable[[str], bool]) -> Watch:
        """See ``VendorSandbox``."""
        changed, over = asyncio.Event(), asyncio.Event()

        def hear(event: FilesystemEvent) -> None:
            if heeded(event.name):
                changed.set()

        def end(_: Exception | None) -> None:
            over.set()
            changed.set()

        with _translated(files=True):
            handle = await self._sandbox.files.watch_dir(
                path, hear, on_exit=end, timeout=0, recursive=True
            )
        return Watch(changed, over, handle.stop)

    async def _looked(self, command: str) -> tuple[int, str]:
        """The exit code of a command that looks at files, and what it printed."""
        with _translated():
            try:
                done = await self._sandbox.commands.run(command)
            except CommandExitException as exc:
                if exc.exit_code == listing.MISSING:
                    raise PathMissing(command) from exc
                if exc.exit_code != listing.INCOMPLETE:
                    raise Unavailable(
                        "the sandbox can't read its own files", retry_after=1.0
                    ) from exc
                return exc.exit_code, exc.stdout
        return 0, done.stdout

    async def start(self, command: str) -> None:
        """See ``VendorSandbox``."""
        with _translated():
            handle = await self._sandbox.commands.run(command, background=True, timeout=0)
            await handle.disconnect()

    async def begin(self, command: Command, on_output: OnOutput) -> RunningCommand:
        """See ``VendorSandbox``."""
        try:
            with _translated(files=True):
                handle = await self._sandbox.commands.run(
                    command.text,
                    background=True,
                    envs=dict(command.env),
                    cwd=command.cwd,
                    on_stdout=lambda text: on_output(Channel.STDOUT, text),
                    on_stderr=lambda text: on_output(Channel.STDERR, text),
                    timeout=command.timeout_seconds + _TIMEOUT_MARGIN_SECONDS,
                    retain_output=False,
                )
        except PathUnfit as exc:
            raise PathMissing(command.cwd) from exc
        return E2bCommand(handle)

    async def run(self, command: str, seconds: float = 60) -> str:
        """See ``VendorSandbox``."""
        with _translated():
            done = await self._sandbox.commands.run(command, timeout=seconds)
        return done.stdout

    async def preview_answers(self) -> bool:
        """See ``VendorSandbox``."""
        base, headers = self.url, {}
        if self._access.sandbox_url:
            # The host names of a local engine resolve in browsers, but not everywhere.
            base = self._access.sandbox_url.rstrip("/")
            headers = {"E2b-Sandbox-Id": self.vendor_id, "E2b-Sandbox-Port": str(PREVIEW_PORT)}
        try:
            answer = await self._http.get(base + HEALTH, headers=headers)
        except httpx.HTTPError:
            return False
        return answer.status_code == httpx.codes.OK

    async def metrics(self) -> Metrics:
        """See ``VendorSandbox``."""
        with _translated():
            measured = await AsyncSandbox.get_metrics(self.vendor_id, **self._options)
            info = await AsyncSandbox.get_info(self.vendor_id, **self._options)
        if not measured:
            return Metrics(info.cpu_count, 0, 0, info.memory_mb * 1024 * 1024, 0, 0)
        last = measured[-1]
        return Metrics(
            cpu_count=last.cpu_count,
            # E2B tells percent of all processors together.
            cpu_used_percent=last.cpu_used_pct * last.cpu_count,
            memory_used=last.mem_used,
            memory_total=last.mem_total,
            disk_used=last.disk_used,
            disk_total=last.disk_total,
        )


class E2bCommand(RunningCommand):
    """One command at E2B."""

    def __init__(self, handle: AsyncCommandHandle[None]) -> None:
        """Made by ``E2bSandbox``."""
        self._handle = handle

    @property
    def pid(self) -> int:
        """See ``RunningCommand``."""
        return int(self._handle.pid)

    async def wait(self) -> Ended:
        """See ``RunningCommand``."""
        with _translated():
            try:
                await self._handle.wait()
            except CommandExitException as exc:
                return Ended(exc.exit_code, _signal_name(exc.error or ""))
            except Exception as exc:
                if type(exc) is not Exception:
                    raise
                # A bare one is how the SDK tells that the stream ended before the command did.
                raise _unavailable("SANDBOX_VENDOR_DOWN", 1.0) from exc
        return Ended(0)

    async def kill(self) -> None:
        """See ``RunningCommand``."""
        with _translated():
            await self._handle.kill()

    async def let_go(self) -> None:
        """See ``RunningCommand``."""
        await self._handle.disconnect()


def _signal_name(told: str) -> str:
    """E2B tells a signal by its description: ``signal: killed``."""
    kind, _, description = told.partition(": ")
    if kind != "signal":
        return ""
    wanted = description.partition(" (core dumped)")[0]
    for number in signal.Signals:
        if (signal.strsignal(number) or "").lower() == wanted.lower():
            return number.name
    return description


def _batches(uploads: Sequence[Upload]) -> Iterator[list[Upload]]:
    """Small files, as many as one request takes."""
    batch: list[Upload] = []
    size = 0
    for upload in uploads:
        if not _fits_a_batch(upload):
            continue
        batch.append(upload)
        size += upload.content.size
        if size >= _BATCH_BYTES or len(batch) == _BATCH_FILES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


async def _pieces(content: Content) -> AsyncIterator[bytes]:
    for begin in range(0, content.size, _PIECE_BYTES):
        yield content.piece(begin, _PIECE_BYTES)


def _fits_a_batch(upload: Upload) -> bool:
    # In a request of many files a name travels as a multipart file name, which is no place for odd characters.
    plain = (
        upload.path.isascii() and upload.path.isprintable() and not set(upload.path) & set('"%\\')
    )
    return upload.content.size <= _SMALL_BYTES and plain


def _entry(info: EntryInfo) -> Entry:
    return Entry(
        path=info.path,
        kind=_KINDS.get(info.type, Kind.OTHER) if info.type else Kind.OTHER,
        size_bytes=info.size,
        modified_at=info.modified_time,
        symlink_target=info.symlink_target or "",
    )


@contextmanager
def _translated(*, files: bool = False) -> Iterator[None]:
    """The SDK's exceptions become ours. ``files``: what is refused is refused for the path's sake."""
    try:
        yield
    except (SandboxNotFoundException, SandboxNotRunningException) as exc:
        raise SandboxLost(type(exc).__name__) from exc
    except FileNotFoundException as exc:
        raise PathMissing(str(exc)) from exc
    except NotEnoughSpaceException as exc:
        raise DiskFull from exc
    except AuthenticationException as exc:
        # Not the exception itself: what it was called with is told with it.
        _log.error("E2B refuses the key", setting="E2B_API_KEY")
        raise _unavailable("SANDBOX_VENDOR_REFUSED", 30.0) from exc
    except (RateLimitException, ServiceBusyException) as exc:
        raise _unavailable("SANDBOX_VENDOR_BUSY", 2.0) from exc
    except (TimeoutException, httpx.HTTPError, ConnectError, OSError) as exc:
        _log.warning("E2B does not answer", error=type(exc).__name__)
        raise _unavailable("SANDBOX_VENDOR_DOWN", 1.0) from exc
    except (InvalidArgumentException, CommandExitException, SandboxException) as exc:
        if files and (exc.status_code or 0) < 500:
            raise PathUnfit(str(exc)) from exc
        _log.error("E2B refuses", error=type(exc).__name__, status=exc.status_code)
        raise _unavailable("SANDBOX_VENDOR_FAILED", 5.0) from exc


def _unavailable(reason: str, retry_after: float) -> ServiceError:
    return Unavailable("sandboxes can't be reached now", reason=reason, retry_after=retry_after)
