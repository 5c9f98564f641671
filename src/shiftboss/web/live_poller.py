"""One thread reads for all streams of a process: it waits for commits, reads the changes once, and sends them to all.

Rules of this file
- The store is read at most four times a second, with the same queries for any number of browsers.
- The thread itself admits new streams, between two looks.  So a stream's first frames and those that follow have no
  gap and no overlap.
- The thread ends with the node: when the node begins to stop, every stream gets `bye`, and none delays the end.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING

from shiftboss.app.orchestrator import Orchestrator
from shiftboss.app.views import Views
from shiftboss.core.events import Event
from shiftboss.errors import NotStarted, OperatorError
from shiftboss.logs import get_logger
from shiftboss.web import frames
from shiftboss.web.changes import LineChanges, RunChanges
from shiftboss.web.frames import LOG, RUN, Frame, LiveStatus

if TYPE_CHECKING:
    from shiftboss.web.hub import Hub, Stream, Wanted

log = get_logger("shiftboss.web")

LOOK_EVERY_S = 0.25  # four frames a second are as live as a person can see
TURN_S = 5.0  # for changes by time alone: a run becomes due, a lease ends
MAX_RING = 1000  # stored events after which a stream can continue
PAGE = 1000
CLOSE_WITHIN_S = 2.0  # until the thread ends; it does not wait for a store that does not answer


class LivePoller:
    """The reading thread; it ends with the last stream, or with the node."""

    def __init__(self, hub: Hub, boss: Orchestrator) -> None:
        self._hub = hub
        self._boss = boss
        self._clock = boss.clock
        self._views: Views | None = None  # opened by its thread
        self._wake = threading.Event()
        self._closing = False
        self._looked_s = float("-inf")
        self._last = 0  # the newest event that was sent
        self._ring: deque[tuple[int, Frame]] = deque(maxlen=MAX_RING)
        self._status: LiveStatus | None = None
        self._welcome_status: list[Frame] = []  # an earlier status, and the changes since
        self._runs: RunChanges | None = None
        self._lines = LineChanges()
        self._is_stale = False
        self._thread = threading.Thread(target=self._run, name="shiftboss-live", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        self._wake.set()
        views = self._views
        if views is not None:
            views.wake()

    def close(self) -> None:
        """End, with `bye` to every stream; waits for that, but not for a store that does not answer."""
        self._closing = True
        self.wake()
        self._thread.join(CLOSE_WITHIN_S)

    # ── the thread ───────────────────────────────────────────────────────────────────────────────────────────────

    def _run(self) -> None:
        try:
            boss = self._boss
            views = self._hub.spare() or boss.new_views()
            self._views = views
            try:
                self._read(views)
            except BaseException:
                views.close()
                raise
            self._hub.keep(views)
        except NotStarted:
            log.debug("the store was closed while live streams were open")
        except Exception:
            log.exception("the reader of the live streams ends because of a bug in shiftboss; clients reconnect")
        finally:
            self._say_goodbye()

    def _read(self, views: Views) -> None:
        while not self._is_over():
            try:
                self._turn(views)
            except OperatorError as error:
                self._store_failed(views, error)

    def _is_over(self) -> bool:
        return self._closing or self._boss.is_stopping or self._hub.nobody_is_left(self)

    def _turn(self, views: Views) -> None:
        if self._status is None:
            self._begin(views)
        self._let_in(views)
        if not self._wake.is_set():
            views.wait(TURN_S)
        self._let_in(views)
        while (wait_s := self._looked_s + LOOK_EVERY_S - self._clock.monotonic_s()) > 0 and not self._is_over():
            self._wake.wait(wait_s)
            self._wake.clear()
            self._let_in(views)
        self._wake.clear()
        if self._is_over():
            return
        if views.has_changed() or self._clock.monotonic_s() - self._looked_s >= TURN_S:
            self._look(views)

    def _begin(self, views: Views) -> None:
        self._last = views.last_event()
        self._ring.extend(_numbered(views.events(after=max(0, self._last - MAX_RING), limit=MAX_RING)))
        if self._ring:
            self._last = max(self._last, self._ring[-1][0])
        self._status = LiveStatus(*views.live_status())
        self._looked_s = self._clock.monotonic_s()

    def _look(self, views: Views) -> None:
        """Read the changes and send them.  The status comes first: later commits are sent at the next look."""
        now = LiveStatus(*views.live_status())
        new_frames = list(self._new_events(views))
        before, self._status = self._status, now
        if self._is_stale or before is None:
            self._welcome_status = [frames.status_frame(frames.full_status(now))]
            new_frames += self._welcome_status
        elif (change := frames.status_change(before, now)) is not None:
            new_frames.append(frames.status_frame(change))
            self._add_to_welcome(new_frames[-1])
        self._is_stale = False
        wanted = self._hub.wanted()
        new_frames += self._new_runs(views, is_wanted=any(RUN in each.topics for each in wanted))
        new_frames += self._new_lines(views, wanted)
        self._looked_s = self._clock.monotonic_s()
        self._hub.tell(new_frames)

    def _new_events(self, views: Views) -> Iterable[Frame]:
        while page := views.events(after=self._last, limit=PAGE):
            numbered = _numbered(page)
            self._ring.extend(numbered)
            self._last = page[-1][0]
            yield from (frame for _, frame in numbered)
            if len(page) < PAGE:
                return

    def _new_runs(self, views: Views, *, is_wanted: bool) -> list[Frame]:
        if not is_wanted:
            self._runs = None
            return []
        if self._runs is None:
            self._runs = RunChanges(views)
            return []
        runs, are_all = self._runs.look(views)
        if are_all:
            return [frames.run_frame(run) for run in runs]
        return [frames.resync_frame((RUN,), "too many runs changed to send them one by one", topic=RUN)]

    def _new_lines(self, views: Views, wanted: Iterable[Wanted]) -> list[Frame]:
        watched = {each.run for each in wanted if LOG in each.topics and each.run is not None}
        return [frames.log_frame(line) for line in self._lines.look(views, watched)]

    # ── coming and going ─────────────────────────────────────────────────────────────────────────────────────────

    def _let_in(self, views: Views) -> None:
        """Send new streams their first frames from memory; only the first stream on a topic costs a query."""
        arrived = self._hub.arrived()
        if not arrived or self._status is None:
            return
        status = self._status_for_those_who_come(self._status)
        lines: list[Frame] = []
        try:  # first what exists already: everything that comes after the hello is sent
            if self._runs is None and any(RUN in stream.wanted.topics for stream in arrived):
                self._runs = RunChanges(views)
            if any(LOG in stream.wanted.topics for stream in arrived):
                lines = self._new_lines(views, self._hub.wanted())
        finally:
            self._hub.tell_some((stream, [*self._welcome(stream), *status]) for stream in arrived)
        self._hub.tell(lines)

    def _status_for_those_who_come(self, status: LiveStatus) -> list[Frame]:
        """The same frames for all new streams, so that streams that do not read share them."""
        if not self._welcome_status:
            self._welcome_status = [frames.status_frame(frames.full_status(status))]
        return self._welcome_status

    def _add_to_welcome(self, change: Frame) -> None:
        """Add a change, until the changes are longer than a full status; then the next stream gets a new full one."""
        if self._welcome_status:
            self._welcome_status.append(change)
            full, *changes = (len(frame.data) for frame in self._welcome_status)
            if sum(changes) > full:
                self._welcome_status = []

    def _welcome(self, stream: Stream) -> list[Frame]:
        after = stream.wanted.last_event
        missed = None if after is None else self._after(after)
        topics = tuple(sorted(stream.wanted.topics))
        hello = frames.Hello(self._clock.now(), self._last, topics, resumed=missed is not None)
        if missed is None:
            new_frames = [Frame(frames.written("hello", hello, number=self._last))]
            return (
                new_frames
                if after is None
                else [*new_frames, frames.resync_frame(topics, "too much has happened since")]
            )
        # the events that follow carry the next ids, so that a stream that breaks off here continues here
        return [Frame(frames.written("hello", hello)), *missed]

    def _after(self, number: int) -> list[Frame] | None:
        """The events after that one; None if some of them are no longer kept here."""
        if number > self._last:  # the number is of another store, or of a store that was put back
            return None
        if number == self._last:
            return []
        first = self._ring[0][0] if self._ring else self._last + 1
        return [frame for each, frame in self._ring if each > number] if number >= first - 1 else None

    def _store_failed(self, views: Views, error: OperatorError) -> None:
        views.forget()
        if not self._is_stale:
            self._is_stale = True
            self._hub.tell([Frame(frames.written("stale", frames.Stale(str(error))))])
        self._wake.wait(LOOK_EVERY_S * 4)
        self._wake.clear()

    def _say_goodbye(self) -> None:
        bye = Frame(frames.written("bye", frames.Bye("this process is stopping")))
        self._hub.tell_some([(stream, [bye]) for stream in self._hub.ended(self)], last=True)


def _numbered(events: Iterable[tuple[int, Event]]) -> list[tuple[int, Frame]]:
    return [(number, frames.event_frame(number, event)) for number, event in events]
