"""Learns of commits on other nodes, and announces ours.

Rules of this file
- It has a connection and a thread of its own: LISTEN must outlive transactions, and a NOTIFY within a transaction would
  make all committers wait for each other.
- Our commits are announced after they are committed: ten in a row at once, by the session that has committed; from then
  on at most one every 20 ms, by the thread.
- What nobody announces is found by looking: what LISTEN missed, everything behind a pooler, and the arrivals from
  callers' transactions, which must not notify anybody themselves.
- It never fails: a broken connection is opened again, with a growing pause.
"""

from __future__ import annotations

import os
import random
import select
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

import psycopg

from shiftboss.clock import SystemClock
from shiftboss.errors import ShiftbossError
from shiftboss.stores.postgres.address import Address
from shiftboss.stores.postgres.connection import BEGIN, BEGIN_READING, COMMIT, NUMBER_SEEN, SETTINGS, BoundStatement
from shiftboss.stores.postgres.deadline import CALL_S, Deadlines
from shiftboss.stores.postgres.link import Link, close_quietly, link_to
from shiftboss.stores.postgres.wire import TEXT, Broken, ResultSet, ServerRefused, Statement, Values
from shiftboss.stores.sql.pace import Pace

# Each announcement is a commit on the server, so a busy node makes 50 a second.  A node with some to make after a pause
# makes them at once: with a gap after each, a trigger started elsewhere after 9 to 21 ms at p99.
GAP_S, BURST = 0.020, 10
# A look costs 40 µs of a core here and 40 of the server's (measured): five a second are 0.02 % of a core for each node.
LOOK_S = 0.2
MIN_BACK_OFF_S, MAX_BACK_OFF_S = 0.1, 2.0
CLOSE_WITHIN_S = 0.5  # for the last announcement; other nodes look by themselves five times a second
CUT_WITHIN_S = 0.2  # for the thread to notice that its connection was cut; a connecting one is not waited for

# Nobody needs the announcement after a crash, so it must not wait for the disk.
NOT_DURABLE = Statement("SELECT set_config('synchronous_commit', 'off', true)")
ANNOUNCE = Statement("SELECT pg_notify($1, $2)", TEXT, TEXT)

_clock = SystemClock()


class Heard(Protocol):
    """Called from the notifier's thread with the number of a commit."""

    def __call__(self, number: int, *, has_arrivals: bool) -> None: ...


class Notifier:
    """Reports what it hears from its own thread."""

    def __init__(self, address: Address, deadlines: Deadlines, heard: Heard) -> None:
        self._address = address
        self._deadlines = deadlines
        self._heard = heard
        # A name cannot be a parameter; this one needs no quotes (address.NAME).
        self._listen = Statement(f'LISTEN "{address.schema}"', prepare=False)
        self._settings = SETTINGS, (f"{address.schema}, pg_temp",)
        self._lock = threading.Lock()  # protects _news, _is_woken, _pace and _thread
        self._news: int | None = None  # to be announced
        self._is_woken = False
        self._is_closed = False
        self.is_listening = threading.Event()
        self._thread: threading.Thread | None = None
        self._link: Link | None = None  # used by the thread
        self._pace = Pace(GAP_S, burst=BURST)  # of announcements
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._reading, False)
        os.set_blocking(self._writing, False)

    # ── from any thread ──────────────────────────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        """Listen, unless it listens already."""
        with self._lock:
            if self._thread is None and not self._is_closed:
                thread = threading.Thread(target=self._run, name="shiftboss-notifier", daemon=True)
                thread.start()
                self._thread = thread

    def announcement(self, number: int) -> Sequence[BoundStatement] | None:
        """What a session that has just committed sends behind its commit; None if that has to wait: `announce` it."""
        now_s = _clock.monotonic_s()
        with self._lock:
            if self._news is not None or self._pace.left_s(now_s):
                return None
            self._pace.took(now_s)
        return self._calls(number)

    def announce(self, number: int) -> None:
        """Tell the other nodes soon."""
        with self._lock:
            self._news = number
            was_woken, self._is_woken = self._is_woken, True
        if not was_woken:
            self._wake()
        if self._thread is None:
            self.start()

    def close(self) -> None:
        """Makes the pending announcement, if the server answers within a moment."""
        with self._lock:
            self._is_closed = True
            thread = self._thread
        self._wake()
        if thread is not None:
            thread.join(self._deadlines.left_s(CLOSE_WITHIN_S))
            link = self._link
            if thread.is_alive() and link is not None:
                link.line.cut()  # this ends its call
                thread.join(CUT_WITHIN_S)
        if thread is None or not thread.is_alive():
            os.close(self._reading)
            os.close(self._writing)

    def _wake(self) -> None:
        with suppress(BlockingIOError):  # the pipe is full of wake-ups
            os.write(self._writing, b".")

    # ── the thread ───────────────────────────────────────────────────────────────────────────────────────────────

    def _run(self) -> None:
        back_off_s = MIN_BACK_OFF_S
        while not self._is_closed or self._news is not None:
            try:
                link = link_to(self._address, self._deadlines)
            except ShiftbossError:
                if self._is_closed:
                    return
                self._pause(random.uniform(0.0, back_off_s))  # noqa: S311  # jitter, no secret
                back_off_s = min(MAX_BACK_OFF_S, 2 * back_off_s)
                continue
            self._link = link
            try:
                self._serve(link)
                back_off_s = MIN_BACK_OFF_S
            except (Broken, ServerRefused, psycopg.Error, OSError):
                if self._is_closed:
                    return
                self._pause(random.uniform(0.0, back_off_s))  # noqa: S311  # jitter, no secret
                back_off_s = min(MAX_BACK_OFF_S, 2 * back_off_s)
            finally:
                self._link = None
                self.is_listening.clear()
                close_quietly(link)

    def _serve(self, link: Link) -> None:
        self._ask(link, (self._listen, ()))
        self.is_listening.set()
        looks_s = _clock.monotonic_s()
        while True:
            now_s = _clock.monotonic_s()
            if self._news is not None and (not self._pace.left_s(now_s) or self._is_closed):
                with self._lock:
                    self._pace.took(now_s)
                self._announce(link)
            if self._is_closed:
                return
            if now_s >= looks_s:
                self._look(link)
                looks_s = now_s + LOOK_S
            for notice in iter(link.connection.pgconn.notifies, None):
                with suppress(ValueError):  # another program's NOTIFY on our channel
                    self._heard(int(notice.extra), has_arrivals=False)
            now_s = _clock.monotonic_s()
            left_s = min(looks_s - now_s, self._pace.left_s(now_s)) if self._news is not None else looks_s - now_s
            ready = self._pause(left_s, link.connection.pgconn.socket)
            if ready:
                link.connection.pgconn.consume_input()

    def _announce(self, link: Link) -> None:
        with self._lock:
            number, self._news, self._is_woken = self._news, None, False
        try:
            self._ask(link, *self._calls(number))
        except BaseException:
            with self._lock:
                self._news = self._news or number
            raise

    def _calls(self, number: int | None) -> Sequence[BoundStatement]:
        return (BEGIN, ()), (NOT_DURABLE, ()), (ANNOUNCE, (self._address.schema, str(number))), (COMMIT, ())

    def _look(self, link: Link) -> None:
        answers = self._ask(link, (BEGIN_READING, ()), self._settings, (NUMBER_SEEN, ()), (COMMIT, ()))
        if not answers[2].is_empty:
            self._heard(answers[2].number(0, 0), has_arrivals=bool(answers[2].number(0, 1)))

    def _ask(self, link: Link, *calls: tuple[Statement, Values]) -> list[ResultSet]:
        with self._deadlines.limit(link.line, CALL_S):
            link.wire.send(calls)
            return link.wire.receive()

    def _pause(self, seconds: float, *descriptors: int) -> bool:
        """Wait until one of *descriptors* is ready (True), somebody wakes the thread, or time is up."""
        ready, _, _ = select.select([self._reading, *descriptors], [], [], max(0.0, seconds))
        if self._reading in ready:
            with suppress(BlockingIOError):
                os.read(self._reading, 4096)
        return any(descriptor in ready for descriptor in descriptors)
