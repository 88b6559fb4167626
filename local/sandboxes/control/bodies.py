"""What callers send to the control plane, checked, and what they get back."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from local.sandboxes.errors import InvalidError, UnsupportedError
from local.sandboxes.metering import Metrics
from local.sandboxes.model import ENVD_VERSION, OnTimeout, Order
from local.sandboxes.sandbox import Sandbox
from local.sandboxes.snapshots import Snapshot
from local.sandboxes.spawner.limits import Limits

CLIENT_ID = "local"
_LOOPBACK_ONLY = (
    "network: sandboxes of this local engine reach nothing but their own loopback, "
    "so nothing can be allowed"
)
_HOST = re.compile(r"(?:[A-Za-z0-9._:\[\]-]|\$\{PORT\}){1,255}")
BodyT = TypeVar("BodyT", bound="_Body")


class _Body(BaseModel):
    # The vendor adds fields faster than we can name them; those that would change a sandbox's
    # safety (volumes, MCP, network rules) are named, and refused where we can't honour them.
    model_config = ConfigDict(extra="ignore", populate_by_name=True)


class AutoResume(_Body):
    """Whether a request wakes a paused sandbox."""

    enabled: bool = False


class NewSandbox(_Body):
    """The body of a create."""

    template_id: str = Field(alias="templateID", min_length=1, max_length=128)
    timeout: int | None = None
    metadata: dict[str, str] = Field(default_factory=dict)
    env_vars: dict[str, str] = Field(default_factory=dict, alias="envVars")
    auto_pause: bool = Field(default=False, alias="autoPause")
    auto_pause_memory: bool = Field(default=True, alias="autoPauseMemory")
    auto_resume: AutoResume | None = Field(default=None, alias="autoResume")
    allow_internet_access: bool | None = None
    network: dict[str, Any] | None = None
    mcp: dict[str, Any] | None = None
    volume_mounts: list[dict[str, Any]] | None = Field(default=None, alias="volumeMounts")
    iam: dict[str, Any] | None = None

    def order(self, default_timeout: int) -> Order:
        """What this asks for; raises UnsupportedError for what one machine can't do."""
        self._refuse_the_impossible()
        if any("\0" in text for pair in self.env_vars.items() for text in pair):
            raise InvalidError("envVars: contains a NUL character")
        return Order(
            template=self.template_id,
            timeout=default_timeout if self.timeout is None else self.timeout,
            metadata=self.metadata,
            envs=self.env_vars,
            on_timeout=OnTimeout.PAUSE if self.auto_pause else OnTimeout.KILL,
            pause_memory=self.auto_pause_memory,
            auto_resume=self.auto_resume is not None and self.auto_resume.enabled,
            private_traffic=(self.network or {}).get("allowPublicTraffic") is False,
            mask_host=_mask((self.network or {}).get("maskRequestHost")),
        )

    def _refuse_the_impossible(self) -> None:
        if not self.auto_pause_memory and self.auto_resume is not None and self.auto_resume.enabled:
            raise InvalidError(
                "autoResume: needs autoPauseMemory, because a request that wakes a sandbox expects "
                "to find its processes"
            )
        if self.mcp:
            raise UnsupportedError("mcp: this local engine has no MCP gateway")
        if self.volume_mounts:
            raise UnsupportedError("volumeMounts: this local engine has no volumes")
        if self.iam:
            raise UnsupportedError("iam: this local engine issues no workload identities")
        if self.network and (self.network.get("allowOut") or self.network.get("rules")):
            raise UnsupportedError(_LOOPBACK_ONLY)


class Network(_Body):
    """The body of a change of network rules."""

    allow_out: list[str] | None = Field(default=None, alias="allowOut")
    rules: dict[str, Any] | None = None

    def refuse_the_impossible(self) -> None:
        """Raises UnsupportedError for rules that open anything."""
        if self.allow_out or self.rules:
            raise UnsupportedError(_LOOPBACK_ONLY)


class Timeout(_Body):
    """The body of a timeout; seconds from now."""

    timeout: int


class Refresh(_Body):
    """The body of a refresh; seconds from now, never shortening what is left."""

    duration: int | None = None


class Connect(_Body):
    """The body of a connect; seconds from now, never shortening what is left."""

    timeout: int | None = None
    memory: bool = True


class Pause(_Body):
    """The body of a pause; without ``memory`` the files alone are kept."""

    memory: bool = True


class NewSnapshot(_Body):
    """The body of a snapshot."""

    name: str = Field(default="", max_length=300)
    memory: bool | None = None

    def refuse_the_impossible(self) -> None:
        """Raises UnsupportedError for one that is to hold memory, too."""
        if self.memory:
            raise UnsupportedError("memory: this local engine's snapshots hold files only")


class Fork(_Body):
    """The body of a fork; seconds to live."""

    timeout: int | None = None
    count: int = 1


def _mask(value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str) or not _HOST.fullmatch(value):
        raise InvalidError(
            "network.maskRequestHost: must be a host name, with ${PORT} for the port"
        )
    return value


def parse(model: type[BodyT], raw: bytes) -> BodyT:
    """A body from its JSON, an empty one as ``{}``; raises InvalidError that names the field."""
    try:
        return model.model_validate_json(raw or b"{}", strict=True)
    except ValidationError as exc:
        first = exc.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "body"
        raise InvalidError(f"{field}: {first['msg']}") from exc


def created(sandbox: Sandbox, domain: str) -> dict[str, Any]:
    """The answer to create and connect."""
    return {
        "templateID": sandbox.order.template,
        "alias": sandbox.order.template,
        "sandboxID": sandbox.sandbox_id,
        "clientID": CLIENT_ID,
        "envdVersion": ENVD_VERSION,
        "envdAccessToken": sandbox.identity.access_token,
        "trafficAccessToken": sandbox.identity.traffic_token,
        "domain": domain,
    }


def snapshot(found: Snapshot) -> dict[str, Any]:
    """A snapshot as its maker and the list see it."""
    return {"snapshotID": found.snapshot_id, "names": found.names}


def listed(sandbox: Sandbox, limits: Limits) -> dict[str, Any]:
    """A sandbox as the list shows it."""
    return {
        "templateID": sandbox.order.template,
        "alias": sandbox.order.template,
        "sandboxID": sandbox.sandbox_id,
        "clientID": CLIENT_ID,
        "startedAt": _time(sandbox.identity.started_at),
        "endAt": _time(sandbox.ends_at),
        "cpuCount": max(1, round(limits.cpus)),
        "memoryMB": limits.memory_bytes >> 20,
        "diskSizeMB": limits.disk_bytes >> 20,
        "metadata": sandbox.order.metadata,
        "state": sandbox.state.value,
        "envdVersion": ENVD_VERSION,
    }


def detail(sandbox: Sandbox, limits: Limits, domain: str) -> dict[str, Any]:
    """A sandbox as its own page shows it."""
    return {
        **listed(sandbox, limits),
        "domain": domain,
        "envdAccessToken": sandbox.identity.access_token,
        "allowInternetAccess": False,
        "lifecycle": {
            "onTimeout": sandbox.order.on_timeout.value,
            "autoResume": sandbox.order.auto_resume,
        },
    }


def metrics(measured: Metrics, limits: Limits) -> dict[str, Any]:
    """One measurement."""
    return {
        "timestamp": _time(datetime.fromtimestamp(measured.timestamp, UTC)),
        "timestampUnix": int(measured.timestamp),
        "cpuCount": max(1, round(limits.cpus)),
        "cpuUsedPct": measured.cpu_percent,
        "memUsed": measured.memory_used,
        "memTotal": limits.memory_bytes,
        "memCache": measured.memory_cache,
        "diskUsed": measured.disk_used,
        "diskTotal": measured.disk_total,
    }


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
