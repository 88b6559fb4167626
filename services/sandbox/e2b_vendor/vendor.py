"""E2B's control plane: sandboxes made, found, put to sleep, ended."""

from __future__ import annotations

from collections import OrderedDict
from functools import partial
from typing import Any, Literal

import httpx
import structlog
from e2b import AsyncSandbox, SandboxException, SandboxQuery, SandboxState

from services.sandbox.e2b_vendor.access import E2bAccess
from services.sandbox.e2b_vendor.errors import template_told, translated
from services.sandbox.e2b_vendor.sandbox import PROBE_SECONDS, E2bSandbox
from services.sandbox.vendor import (
    CannotPause,
    Listed,
    SandboxLost,
    SandboxVendor,
    VendorSandbox,
    VendorState,
)

_log = structlog.get_logger(__name__)
_REMEMBERED = 2_000
# How a vendor says that it can't do what is asked for.
_CANT = {400, 405, 501}
_NOT_FOUND = 404


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
            # Who asked is told at once, with the vendor's Retry-After, rather than kept waiting for it.
            "retries": 0,
        }
        self._http = httpx.AsyncClient(timeout=PROBE_SECONDS, trust_env=False)
        # Connecting costs a request to the control plane; what it answers stays true as long as the sandbox lives.
        self._known: OrderedDict[str, E2bSandbox] = OrderedDict()

    async def create(
        self, labels: dict[str, str], lifetime_seconds: int, key: str
    ) -> VendorSandbox:
        """See ``SandboxVendor``."""
        create = partial(
            AsyncSandbox.create,
            timeout=lifetime_seconds,
            metadata=labels,
            idempotency_key=key,
            **self._options,
        )
        with translated(), template_told(self._access.template):
            try:
                sandbox = await create(template=self._access.template)
            except SandboxException as exc:
                if exc.status_code != _NOT_FOUND or not self._access.fallback:
                    raise
                _log.warning("no such template", template=self._access.template)
                sandbox = await create(template=self._access.fallback)
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
            with translated():
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
            with translated():
                await self._pause(vendor_id, "full")
        except CannotPause:
            with translated():
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
        with translated():
            return self._remember(
                await AsyncSandbox.connect(vendor_id, timeout=seconds, **self._options)
            )

    async def last(self, vendor_id: str, seconds: int) -> None:
        """See ``SandboxVendor``."""
        with translated():
            await AsyncSandbox.set_timeout(vendor_id, seconds, **self._options)

    async def kill(self, vendor_id: str) -> None:
        """See ``SandboxVendor``."""
        self._known.pop(vendor_id, None)
        with translated():
            await AsyncSandbox.kill(vendor_id, **self._options)

    async def exists(self, vendor_id: str) -> bool:
        """See ``SandboxVendor``."""
        return await self.state(vendor_id) is not VendorState.GONE

    async def list(self, labels: dict[str, str]) -> list[Listed]:
        """See ``SandboxVendor``."""
        found: list[Listed] = []
        with translated():
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
