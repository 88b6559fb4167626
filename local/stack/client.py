"""The platform's REST API as the demo uses it: any HTTP client can do the same."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

Json = dict[str, Any]
ENDINGS = {"succeeded", "failed", "cancelled"}
RECONNECT_SECONDS = 0.3
PATIENCE_SECONDS = 60.0
# A part of the platform is restarting.
_PASSING = {429, 502, 503, 504}


class ApiError(Exception):
    """An answer that is not 2xx; the text is what the API said."""

    def __init__(self, said: str, status: int = 0) -> None:
        """``status`` as in HTTP; 0 where there was no answer."""
        super().__init__(said)
        self.status = status


@dataclass(frozen=True)
class Event:
    """One server-sent event."""

    sequence: int
    name: str
    data: Json


class Client:
    """One signed-in user."""

    def __init__(self, api: str) -> None:
        """``api`` is the gateway's address."""
        self._http = httpx.AsyncClient(base_url=api, trust_env=False, timeout=90)

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def register(self, email: str, password: str) -> None:
        """Makes an account and signs it in."""
        answer = await self.call("POST", "/api/auth/register", email=email, password=password)
        self._http.headers["Authorization"] = f"Bearer {answer['accessToken']}"

    async def call(self, method: str, path: str, /, **body: Any) -> Json:
        """One call. Raises ``ApiError``."""
        response = await self._http.request(method, path, json=body or None)
        if not response.is_success:
            raise _refused(response, response.content)
        found: Json = response.json()
        return found

    async def file(self, project_id: str, path: str) -> bytes:
        """A file of a project as the store has it."""
        response = await self._http.get(f"/api/projects/{project_id}/files/{quote(path)}")
        if not response.is_success:
            raise _refused(response, response.content)
        return response.content

    async def put_file(self, project_id: str, path: str, content: bytes) -> Json:
        """Writes a file of a project, into its sandbox and into the store."""
        url = f"/api/projects/{project_id}/sandbox/files/{quote(path)}"
        response = await self._http.put(url, content=content)
        if not response.is_success:
            raise _refused(response, response.content)
        found: Json = response.json()
        return found

    @property
    def authorization(self) -> str:
        """The Authorization header of this user."""
        return self._http.headers["Authorization"]

    async def events(self, generation_id: str) -> AsyncIterator[Event]:
        """A generation's events to the last one; a lost connection is taken up where it broke.

        Raises ``ApiError`` for what no new try can mend, and when the platform does not answer for a minute.
        """
        last, patience = 0, PATIENCE_SECONDS
        while True:
            try:
                async for event in self._stream(generation_id, last):
                    last, patience = event.sequence, PATIENCE_SECONDS
                    yield event
                    if event.name in ENDINGS:
                        return
            except httpx.TransportError as exc:
                if patience < 0:
                    raise ApiError("the platform does not answer") from exc
            except ApiError as exc:
                if exc.status not in _PASSING or patience < 0:
                    raise
            await asyncio.sleep(RECONNECT_SECONDS)
            patience -= RECONNECT_SECONDS

    async def _stream(self, generation_id: str, after: int) -> AsyncIterator[Event]:
        headers = {"Accept": "text/event-stream", "Last-Event-ID": str(after)}
        url = f"/api/generations/{generation_id}/events"
        async with self._http.stream("GET", url, headers=headers) as response:
            if not response.is_success:
                raise _refused(response, await response.aread())
            fields: dict[str, str] = {}
            async for line in response.aiter_lines():
                name, _, value = line.partition(":")
                if name:
                    fields[name] = value.removeprefix(" ")
                elif "data" in fields and "id" in fields:
                    yield Event(int(fields["id"]), fields["event"], json.loads(fields["data"]))
                    fields = {}


async def fetch_preview(url: str) -> int:
    """The status with which a preview answers.

    Not every resolver knows names below ``localhost``: those are dialled by address.
    """
    parts = urlsplit(url)
    headers = {}
    if (parts.hostname or "").endswith(".localhost"):
        headers["Host"] = parts.netloc
        url = parts._replace(netloc=f"127.0.0.1:{parts.port or 80}").geturl()
    async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
        return (await http.get(url, headers=headers)).status_code


def _refused(response: httpx.Response, body: bytes) -> ApiError:
    said = str(response.status_code)
    with suppress(ValueError, KeyError, TypeError):
        said = f"{said}: {json.loads(body)['message']}"
    return ApiError(said, response.status_code)
