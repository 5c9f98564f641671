"""A client's connection to a server that runs alone: uvicorn's, with deadlines, so that silent clients cost nothing.

Rules of this file
- An unauthenticated client has a deadline for everything: to finish a request's headers, to be answered, to read the
  answer, to send the next request.  An authenticated client may be silent for longer, and may have a lasting stream.
- The number of connections is bounded.  At the bound, a new connection replaces the least important one: first an idle
  unauthenticated client, then one that is being answered, then an idle authenticated client.  An answer to an
  authenticated client is never cut off for another connection.
- A client's error is answered once and ends its connection; the log reports such errors once a minute.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import MutableMapping
from enum import IntEnum
from http import HTTPStatus
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from shiftboss.web.log_throttle import LogThrottle, and_more
from shiftboss.web.operation import CONNECTION

REQUEST_WITHIN_S = 10.0  # from the first byte, or from the start of the connection, to the end of the headers
ANSWER_WITHIN_S = 60.0  # an unauthenticated request as a whole; the dashboard's files over a slow line take longest
TAKE_WITHIN_S = 20.0  # for 64 KiB of an answer
IDLE_S = 5.0  # between two requests of an unauthenticated client
IDLE_LET_IN_S = 75.0  # of an authenticated client; proxies keep theirs for a minute
REST_WITHIN_S = 2.0  # for the rest of an unwanted body, so that the client reads the answer before the end
MAX_REST_BYTES = 64 * 1024
MAX_HEADER_BYTES = 32 * 1024  # twice what Node accepts; the cookies of all programs on localhost are in them
SLICE_BYTES = 16 * 1024  # read at a time, so that the bound above is checked before a quarter of a megabyte is parsed


class Standing(IntEnum):
    """Which connection is closed first for a new one."""

    STRANGER_WAITING = 0
    STRANGER_ANSWERED = 1
    LET_IN_WAITING = 2
    LET_IN_ANSWERED = 3  # never


class ClientConnection(H11Protocol):
    """uvicorn makes one for each connection; at most *most* at a time."""

    def __init__(self, *args: Any, most: int, throttle: LogThrottle, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.logger = log = OnceAMinute(self.logger, throttle)  # type: ignore[assignment]  # has what uvicorn calls
        self._log = log
        self._most = most
        self._was_let_in = False
        self._has_begun = False  # the first byte of a request has come, and the end of its headers has not
        self._rest_bytes = MAX_REST_BYTES
        self._is_deaf = False  # everything that arrives now is ignored
        self._since_s = self.loop.time()
        self._deadline: asyncio.TimerHandle | None = None
        self._take_deadline: asyncio.TimerHandle | None = None

    def let_in(self) -> None:
        """The application calls this when the client is authenticated."""
        self._was_let_in = True

    @property
    def standing(self) -> Standing:
        return Standing(2 * self._was_let_in + self._is_answered)

    @property
    def _is_answered(self) -> bool:
        """Whether an answer is in progress."""
        return self.cycle is not None and not self.cycle.response_complete

    # ── coming and going ─────────────────────────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        self._within(REQUEST_WITHIN_S)
        if len(self.connections) > self._most:
            self._find_a_place()

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._deadline, self._take_deadline):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)
        self._unset_keepalive_if_required()

    def shutdown(self) -> None:
        """Called when the server ends."""
        if not self.transport.is_closing():  # otherwise h11 may be in the middle of a message
            super().shutdown()

    def drop(self) -> None:
        """Close it at once, whatever is in progress."""
        self.connections.discard(self)
        self._is_deaf = True
        self.transport.abort()

    def _find_a_place(self) -> None:
        others = [each for each in self.connections if isinstance(each, ClientConnection) and each is not self]
        least = min(others, key=lambda each: (each.standing, each._since_s), default=None)
        if least is None or least.standing is Standing.LET_IN_ANSWERED:
            self._log.warning("all connections are in use; new ones get 503")
            self._end_with(503, "All connections are in use; try again.")
        else:
            self._log.warning("too many connections; idle ones are closed first")
            least.drop()

    # ── deadlines ────────────────────────────────────────────────────────────────────────────────────────────────

    def _within(self, seconds: float) -> None:
        """Call `_too_late` after *seconds*, unless another deadline is set before."""
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self.loop.call_later(seconds, self._too_late)

    def _too_late(self) -> None:
        if self._is_answered:
            if not self._was_let_in or self.transport.is_closing():
                self.drop()
        elif self._has_begun and not self.transport.is_closing():
            self._end_with(408, "The request did not arrive in time.")
        elif self.transport.is_closing() or self.transport.get_write_buffer_size():
            self.drop()  # the client does not read
        else:
            self._end()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._take_deadline = self.loop.call_later(TAKE_WITHIN_S, self.drop)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._take_deadline is not None:
            self._take_deadline.cancel()
            self._take_deadline = None

    # ── requests ─────────────────────────────────────────────────────────────────────────────────────────────────

    def data_received(self, data: bytes) -> None:
        if self._is_deaf or self.transport.is_closing():
            return
        if not self._is_answered and self.conn.their_state is h11.SEND_BODY and not self._wants_rest(len(data)):
            return
        for begin in range(0, len(data), SLICE_BYTES):
            if not self._is_answered and not self._has_begun and self.conn.their_state is h11.IDLE:
                self._has_begun = True
                self._within(REQUEST_WITHIN_S)
            super().data_received(data[begin : begin + SLICE_BYTES])
            if self._is_deaf or self.transport.is_closing():
                return

    def handle_events(self) -> None:
        before = self.cycle
        super().handle_events()
        if self.cycle is not before and self._is_answered:
            self._has_begun = False
            self._since_s = self.loop.time()
            scope: MutableMapping[str, Any] = self.scope  # type: ignore[assignment]  # uvicorn's type has no extensions
            scope["extensions"] = {CONNECTION: self}
            self._within(ANSWER_WITHIN_S)

    def on_response_complete(self) -> None:
        cycle = self.cycle
        super().on_response_complete()
        self._unset_keepalive_if_required()  # our deadline also holds while bytes trickle in
        if self.cycle is not cycle:  # the next request is here already
            return
        self._since_s = self.loop.time()
        if self.transport.is_closing():
            self._within(TAKE_WITHIN_S)
        elif self.conn.their_state is h11.SEND_BODY:
            self._rest_bytes = MAX_REST_BYTES
            self._within(REST_WITHIN_S)
        else:
            self._within(IDLE_LET_IN_S if self._was_let_in else IDLE_S)

    def _wants_rest(self, size: int) -> bool:
        """Whether *size* more bytes of a body, after its answer, are skipped; otherwise only the deadline is left."""
        self._rest_bytes -= size
        if self._rest_bytes < 0:
            self._is_deaf = True
            self.flow.pause_reading()
        return not self._is_deaf

    def send_400_response(self, msg: str) -> None:
        self._end_with(400, msg)

    def _end_with(self, status: int, message: str) -> None:
        """Write the last answer here: h11 refuses one in the middle of another."""
        cycle = self.cycle
        if cycle is None or cycle.response_complete or not cycle.response_started:
            body = message.encode("ascii")
            self.transport.write(
                b"HTTP/1.1 %d %b\r\nconnection: close\r\ncontent-type: text/plain\r\ncontent-length: %d\r\n\r\n%b"
                % (status, HTTPStatus(status).phrase.encode("ascii"), len(body), body)
            )
        self._end()

    def _end(self) -> None:
        """End the connection once the client has read everything; the application sees a disconnect."""
        self._is_deaf = True
        if self._is_answered:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()
        self._within(TAKE_WITHIN_S)


class OnceAMinute(logging.LoggerAdapter[logging.Logger]):
    """uvicorn's logger, throttled: clients can cause its lines."""

    def __init__(self, logger: logging.Logger, throttle: LogThrottle) -> None:
        super().__init__(logger)
        self._throttle = throttle

    @property
    def level(self) -> int:
        return self.logger.level

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        error = kwargs.get("exc_info")
        unsaid = self._throttle.counted((msg, type(error)))
        if unsaid is not None:
            super().log(level, f"{str(msg).rstrip()}%s", *args, and_more(unsaid), **kwargs)
