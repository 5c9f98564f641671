"""A stream as an HTTP answer: server-sent events until the client disconnects or the hub sends `bye`.

Rules of this file
- security_middleware.py cuts off a client that does not read.
- A client that loses its access, or whose session ends, gets nothing more: both are checked again during the stream.
- The stream ends within a second when the server is about to end: uvicorn waits for open answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from shiftboss.app.roles import Role
from shiftboss.web import frames
from shiftboss.web.hub import Hub, Wanted

HEARTBEAT_S = 15.0  # proxies cut a connection that is silent for a minute
LOOK_S = 1.0
SEND_WITHIN_S = 30.0  # for the part of any answer that a server buffers, usually 64 KiB
HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-store",
    "x-accel-buffering": "no",  # nginx
}


class EventStream(Response):
    def __init__(
        self, hub: Hub, wanted: Wanted, role: Role, may_still: Callable[[], Awaitable[bool]], recheck_s: float
    ) -> None:
        """*may_still*: whether the client still has access; called every *recheck_s*."""
        self._hub = hub
        self._may_still = may_still
        self._recheck_s = recheck_s
        self._stream = hub.join(wanted, role)
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        gone = asyncio.ensure_future(_disconnected(receive))
        try:
            head = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
            await send({"type": "http.response.start", "status": 200, "headers": head})
            with contextlib.suppress(OSError):
                await self._send_all(send, gone)
        finally:
            gone.cancel()
            self._hub.leave(self._stream)

    async def _send_all(self, send: Send, gone: asyncio.Future[None]) -> None:
        await _body(send, frames.PREAMBLE)
        loop = asyncio.get_running_loop()
        beat_at = loop.time() + HEARTBEAT_S
        recheck_at = loop.time() + self._recheck_s
        stream = self._stream
        while not gone.done():
            data = await stream.take(LOOK_S)
            if loop.time() >= recheck_at:
                if not await self._may_still():
                    await _body(send, frames.written("bye", frames.Bye("your access has ended")))
                    break
                recheck_at = loop.time() + self._recheck_s
            if not data and loop.time() >= beat_at:
                data = frames.HEARTBEAT
            if data:
                await _body(send, data)
                beat_at = loop.time() + HEARTBEAT_S
            if (stream.is_over and not stream.has_more) or _server_ends():
                break
        if not gone.done():
            await _body(send, b"", more=False)


async def _body(send: Send, data: bytes, *, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": more})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _server_ends() -> bool:
    """Whether the uvicorn of this process was told to end: it notifies no application, and waits for open answers."""
    server: Any = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return getattr(server, "should_exit", False) is True
