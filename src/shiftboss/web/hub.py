"""The live streams of a process, and which frames each gets; one thread (`live_poller.py`) reads for all.

Rules of this file
- A queue has a bound.  A client that reads too slowly is told to read the lists again, and never delays the others.
- Queues share their frames: a stream that its client does not read costs only one portion of its own.
- The last places are kept for higher roles: viewers cannot keep an administrator out.
- Without streams nothing is read: the thread ends with the last stream, and the next thread continues with its state.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import NamedTuple

from shiftboss.app.orchestrator import Orchestrator
from shiftboss.app.roles import Role
from shiftboss.app.views import Views
from shiftboss.errors import NotStarted
from shiftboss.web import frames
from shiftboss.web.frames import LOG, STATUS, Frame
from shiftboss.web.live_poller import MAX_RING, LivePoller
from shiftboss.web.problems import Problem

MAX_STREAMS = 200  # per process; each costs a socket and a queue
STREAMS_KEPT = {Role.VIEWER: 40, Role.OPERATOR: 10, Role.ADMIN: 0}  # places kept for higher roles
MAX_QUEUED = MAX_RING + 100  # frames for a stream that does not read; one that reconnects has missed up to MAX_RING
MAX_QUEUED_BYTES = 4 << 20  # beside the first frame
PORTION_BYTES = 32 * 1024  # handed to the server at a time
MAX_LOGS = 20  # runs whose lines are followed: each needs a query of its own


class Wanted(NamedTuple):
    """What a stream's client asked for."""

    topics: frozenset[str]
    worker: str | None = None
    run: int | None = None
    last_event: int | None = None

    def takes(self, frame: Frame) -> bool:
        if not frame.topic:
            return True
        if frame.topic not in self.topics:
            return False
        if frame.topic == STATUS:
            return True
        if frame.topic == LOG:
            return self.run == frame.run
        return self.worker in (None, frame.worker) and self.run in (None, frame.run)


class Stream:
    """The stream of one client.  Its queue is used only on its own loop."""

    def __init__(self, wanted: Wanted, loop: asyncio.AbstractEventLoop) -> None:
        self.wanted = wanted
        self.loop = loop
        self.is_over = False
        self._queue: deque[Frame] = deque()
        self._queued_bytes = 0
        self._rest = memoryview(b"")  # the rest of a frame whose beginning was taken
        self._ready = asyncio.Event()

    def offer(self, new_frames: Sequence[Frame], *, last: bool) -> None:
        """Called on its loop.  If there are too many at once they are dropped, and the client is told so."""
        if not self._has_room(new_frames):
            reason = "this client was too slow: its buffer is full"
            new_frames = (frames.resync_frame(tuple(sorted(self.wanted.topics)), reason), *(new_frames if last else ()))
            self._queue.clear()
            self._queued_bytes = 0
        self._queue.extend(new_frames)
        self._queued_bytes += sum(len(frame.data) for frame in new_frames)
        self.is_over = self.is_over or last
        self._ready.set()

    def _has_room(self, new_frames: Sequence[Frame]) -> bool:
        size = sum(len(frame.data) for frame in new_frames)
        return len(self._queue) + len(new_frames) <= MAX_QUEUED and (
            not self._queue or self._queued_bytes + size <= MAX_QUEUED_BYTES
        )

    async def take(self, timeout_s: float) -> bytes:
        """The next portion of the queue; empty if nothing came."""
        if not self.has_more and not self.is_over:
            try:
                async with asyncio.timeout(timeout_s):
                    await self._ready.wait()
            except TimeoutError:
                return b""
        self._ready.clear()
        pieces: list[memoryview] = []
        room = PORTION_BYTES
        while room and self.has_more:
            if not self._rest:
                frame = self._queue.popleft()
                self._queued_bytes -= len(frame.data)
                self._rest = memoryview(frame.data)
            piece, self._rest = self._rest[:room], self._rest[room:]
            pieces.append(piece)
            room -= len(piece)
        return b"".join(pieces)

    @property
    def has_more(self) -> bool:
        return bool(self._rest or self._queue)


class Hub:
    """Belongs to one start of *boss*; `store` identifies it."""

    def __init__(self, boss: Orchestrator) -> None:
        self.store = boss.store
        self._boss = boss
        self._is_closed = False
        self._lock = threading.Lock()  # protects the lists of streams and the life of the thread
        self._streams: set[Stream] = set()
        self._arriving: list[Stream] = []
        self._reader: LivePoller | None = None
        self._spare: Views | None = None  # the last reader's views; reading ten thousand workers again takes a second

    @property
    def count(self) -> int:
        return len(self._streams) + len(self._arriving)

    def join(self, wanted: Wanted, role: Role) -> Stream:
        """A stream on the running loop.  Raises Problem if there are too many for that role, and NotStarted."""
        most = MAX_STREAMS - STREAMS_KEPT[role]
        stream = Stream(wanted, asyncio.get_running_loop())
        with self._lock:
            if self._is_closed:
                raise NotStarted("the orchestrator has stopped")
            if self.count >= most:
                raise Problem(
                    503,
                    "too-many-streams",
                    f"{self.count} streams are open on this server; the limit for the role {role.name.lower()} is "
                    f"{most}.",
                    headers={"retry-after": "10"},
                )
            if wanted.run is not None and LOG in wanted.topics and self._logs_with(wanted.run) > MAX_LOGS:
                raise Problem(
                    503,
                    "too-many-logs",
                    f"The logs of {MAX_LOGS} runs are already followed on this server, which is the limit.",
                )
            if self._reader is None:
                reader = LivePoller(self, self._boss)
                reader.start()
                self._reader = reader
            self._arriving.append(stream)
            self._reader.wake()
        return stream

    def leave(self, stream: Stream) -> None:
        with self._lock:
            self._streams.discard(stream)
            if stream in self._arriving:
                self._arriving.remove(stream)
            if self.count == 0 and self._reader is not None:
                self._reader.wake()

    def close(self) -> None:
        """End all streams with `bye`, before the store is closed.  Callable from any thread."""
        with self._lock:
            self._is_closed = True
            reader = self._reader
        if reader is not None:
            reader.close()
        spare = self.spare()
        if spare is not None:
            spare.close()

    def _logs_with(self, run: int) -> int:
        streams = (*self._streams, *self._arriving)
        return len({run, *(each.wanted.run for each in streams if LOG in each.wanted.topics)} - {None})

    def spare(self) -> Views | None:
        """Take over the views that the last reader has left."""
        with self._lock:
            spare, self._spare = self._spare, None
            return spare

    def keep(self, views: Views) -> None:
        """Keep *views* for the next reader, or close them if there will be none."""
        with self._lock:
            is_wanted = self._spare is None and not self._is_closed
            if is_wanted:
                self._spare = views
        if not is_wanted:
            views.close()

    def read_ahead(self) -> None:
        """Read all workers for the first stream.  Raises what the store raises."""
        views = self._boss.new_views()
        try:
            views.assessed()
        except BaseException:
            views.close()
            raise
        self.keep(views)

    # ── for the reader ───────────────────────────────────────────────────────────────────────────────────────────

    def arrived(self) -> list[Stream]:
        """The streams that have joined since the last call; from now on they get every frame."""
        with self._lock:
            arrived, self._arriving = self._arriving, []
            self._streams.update(arrived)
            return arrived

    def nobody_is_left(self, reader: LivePoller) -> bool:
        """Whether *reader* may end; the next stream then starts another one."""
        with self._lock:
            if self._reader is not reader:
                return True
            if self.count:
                return False
            self._reader = None
            return True

    def ended(self, reader: LivePoller) -> list[Stream]:
        """*reader* ends: return the streams that end with it."""
        with self._lock:
            streams = [*self._streams, *self._arriving]
            if self._reader is reader:
                self._reader = None
                self._streams, self._arriving = set(), []
                return streams
            return []

    def wanted(self) -> list[Wanted]:
        with self._lock:
            return [stream.wanted for stream in self._streams]

    def tell(self, new_frames: Sequence[Frame], *, last: bool = False) -> None:
        with self._lock:
            streams = list(self._streams)
        self.tell_some([(stream, new_frames) for stream in streams], last=last)

    def tell_some(self, frames_by_stream: Iterable[tuple[Stream, Sequence[Frame]]], *, last: bool = False) -> None:
        """Schedule one call on each loop, however many streams it has."""
        chosen = [(stream, [f for f in some if stream.wanted.takes(f)]) for stream, some in frames_by_stream]
        chosen = [(stream, some) for stream, some in chosen if some or last]
        by_loop = sorted(chosen, key=lambda pair: id(pair[0].loop))
        for _, pairs in groupby(by_loop, key=lambda pair: id(pair[0].loop)):
            batch = list(pairs)
            try:
                batch[0][0].loop.call_soon_threadsafe(_offer, batch, last)
            except RuntimeError:  # a closed loop: its streams are gone with it
                for stream, _ in batch:
                    self.leave(stream)


def _offer(batch: Sequence[tuple[Stream, Sequence[Frame]]], last: bool) -> None:
    for stream, some in batch:
        stream.offer(some, last=last)
