"""One client, until it leaves."""

from __future__ import annotations

import time
from _socket import SHUT_WR

from . import events
from .answers import Answer, Answers
from .http import READ_BYTES, REASONS, Reader, Refused, Request, head
from .inject import OURS
from .room import Room
from .watch import Watch

TYPE_CHECKING = False
if TYPE_CHECKING:  # at run time it would cost a megabyte
    from _socket import socket

SEND_SECONDS = 60.0
"""How long a client may take for one piece of an answer."""
LINGER_SECONDS = 1.0
LINGER_BYTES = 1024 * 1024


class Connection:
    """Answers request after request."""

    def __init__(self, client: socket, answers: Answers, watch: Watch, room: Room) -> None:
        self._client = client
        self._answers = answers
        self._watch = watch
        self._room = room

    def serve(self) -> None:
        """Returns when the client has left, or has to."""
        try:
            self._serve(Reader(self._client))
        except Refused as refused:
            self._refuse(refused.status)
        except OSError:
            return  # the client has left
        except Exception:
            self._refuse(500)
            raise

    def _serve(self, reader: Reader) -> None:
        while (request := self._next(reader)) is not None:
            self._client.settimeout(SEND_SECONDS)
            if request.method == "GET" and request.path == f"{OURS}events":
                events.stream(self._client, self._watch)
                return
            self._answer(request)
            if request.has_body:
                self._linger()
            if not request.keep:
                return

    def _next(self, reader: Reader) -> Request | None:
        if reader.waiting:
            self._room.idle(self._client)
        try:
            return reader.next()
        finally:
            self._room.busy(self._client)

    def _answer(self, request: Request) -> None:
        answer = self._answers.to(request)
        try:
            size = None if answer.status == 304 else answer.end - answer.begin
            said = head(answer.status, answer.headers, size, keep=request.keep)
            if request.method == "HEAD" or answer.status == 304:
                self._client.sendall(said)
            elif isinstance(answer.body, bytes):
                self._client.sendall(said + answer.body[answer.begin : answer.end])
            else:
                self._client.sendall(said)
                self._send_file(answer)
        finally:
            answer.close()

    def _send_file(self, answer: Answer) -> None:
        at, file = answer.begin, answer.body
        assert not isinstance(file, bytes)
        file.seek(at)
        while at < answer.end:
            piece = file.read(min(READ_BYTES, answer.end - at))
            if not piece:
                raise OSError("the file became shorter")
            self._client.sendall(piece)
            at += len(piece)

    def _refuse(self, status: int) -> None:
        reason = REASONS[status].encode()
        said = head(status, {"Content-Type": "text/plain"}, len(reason), keep=False)
        try:
            self._client.settimeout(SEND_SECONDS)
            self._client.sendall(said + reason)
            self._linger()
        except OSError:
            return  # the client has left

    def _linger(self) -> None:
        """Takes what the client still sends: closed with bytes unread, it might never see the answer."""
        until, taken = time.monotonic() + LINGER_SECONDS, 0
        self._client.shutdown(SHUT_WR)
        while taken < LINGER_BYTES and (left := until - time.monotonic()) > 0:
            self._client.settimeout(left)
            piece = self._client.recv(READ_BYTES)
            if not piece:
                return
            taken += len(piece)
