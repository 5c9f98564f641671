"""A fleet: everything in one schema of a PostgreSQL database, for any number of nodes on any number of machines.

Rules of this file
- Transactions that could contradict each other are serialised (locks.py), so a fleet obeys the same rules as one
  process.
- A store has a connection for each session, opened at its first use, one for the notifier, and one to ask whether a
  silent node lives, while that is asked.  So a node has two, its keeper a third, and there is one more for each thread
  that answers people's queries.
- Nobody can tell here whether a node's process is dead, so leases decide (C4).  A node's keeper, a process with a
  connection of its own, shows that the node lives (keepers.py).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from shiftboss.clock import Clock, SystemClock
from shiftboss.core.control import Request
from shiftboss.core.lives import Counted
from shiftboss.core.value import replace
from shiftboss.errors import Forked, NotStarted
from shiftboss.ports.store import Arrival, Schema
from shiftboss.stores.postgres import schema as postgres_schema
from shiftboss.stores.postgres.address import address_of
from shiftboss.stores.postgres.clock import DatabaseClock
from shiftboss.stores.postgres.connection import Database
from shiftboss.stores.postgres.deadline import Deadlines
from shiftboss.stores.postgres.epoch import Newest
from shiftboss.stores.postgres.keepers import Keepers
from shiftboss.stores.postgres.notifier import Notifier
from shiftboss.stores.postgres.session import PostgresSession
from shiftboss.stores.sql import codec


class PostgresStore:
    """Used by any thread; each session by one thread at a time."""

    tight = False  # the server notices a full disk, and then raises StoreFull
    trouble: str | None = None  # and everything else
    concern: str | None = None
    log_bytes = 0

    def __init__(self, url: str, *, clock: Clock) -> None:
        self._address = address_of(url)
        self._clock: Clock = DatabaseClock(clock) if isinstance(clock, SystemClock) else clock
        self._deadlines = Deadlines()
        self._notifier: Notifier | None = None
        self._keepers = Keepers(self._address, self._deadlines)
        self.newest = Newest()
        self.lived_with: int | None = None  # the start of the server that a node in this process has last lived with
        self._holds = 0  # how many nodes this process has
        self._sessions: list[PostgresSession] = []
        self._lock = threading.Lock()  # protects _sessions and _notifier
        self._is_open = False
        self._pid = os.getpid()

    @property
    def url(self) -> str:
        """The address without its password."""
        return self._address.url

    @property
    def durability(self) -> str:
        return "server"

    @property
    def clock(self) -> Clock:
        """The database's clock, or the one that was given in place of this machine's."""
        return self._clock

    def open(self, *, create: bool) -> None:
        if os.getpid() != self._pid or not self._is_open:
            self._deadlines = Deadlines()
            self._notifier = None
            self._keepers = Keepers(self._address, self._deadlines)
            self._sessions = []
            self._pid = os.getpid()
        try:
            postgres_schema.prepare(self._address, self._deadlines, self._clock, create=create)
        except BaseException:
            if not self._is_open:
                self._deadlines.close()
            raise
        self._is_open = True

    def saw_server(self, started: int) -> None:
        """A transaction has found everything, on a server that has been running since *started*."""
        if self._holds:
            self.lived_with = started

    def end_by(self, seconds: float) -> None:
        self._deadlines.end_by(seconds)

    def schema(self) -> Schema:
        deadlines = Deadlines()  # its own: nothing is open yet
        try:
            return Schema(postgres_schema.version(self._address, deadlines), postgres_schema.latest())
        finally:
            deadlines.close()

    def session(self) -> PostgresSession:
        self._check()
        session = PostgresSession(self, Database(self._address, self._deadlines))
        with self._lock:
            self._sessions = [*self._sessions, session]
        return session

    def close(self) -> None:
        if os.getpid() != self._pid:
            return  # everything belongs to the parent
        for session in self._sessions:
            session.close()
        with self._lock:
            notifier, self._notifier = self._notifier, None
        if notifier is not None:
            notifier.close()
        self._keepers.close()
        self._deadlines.close()
        self._is_open = False

    @contextmanager
    def hold(self, node: str) -> Iterator[None]:
        self._check()
        self._holds += 1
        is_collected = False
        try:
            yield None
        except GeneratorExit:  # never let go of, collected while the interpreter ends: its process ends with it
            is_collected = True
            raise
        finally:
            if not is_collected:
                self.engine_ended(node)
                self._holds -= 1
                if not self._holds:
                    self.lived_with = None

    def arrival(self, request: Request) -> Arrival:
        """It is inserted without a lock; the next cycle of some node picks it up."""
        self._check()
        data = codec.text_of(replace(request, payload=None))
        return Arrival(f"{self._address.schema}.arrival", data, request.payload)

    def is_dead(self, node: str) -> bool:
        self._check()
        return False

    def entered(self, node: str) -> None:
        """The node may be on another machine: nobody can tell."""

    def is_frozen(self, node: str) -> bool:
        self._check()
        return self._keepers.kept(node)

    shows_life = False  # not to every neighbour: not to one of another role, say

    def show_life(self, node: str) -> None:
        self._check()
        self._keepers.see_to(node)

    def engine_ended(self, node: str) -> None:
        if os.getpid() == self._pid:
            self._keepers.end(node)

    # ── for its sessions ─────────────────────────────────────────────────────────────────────────────────────────

    def notifier(self) -> Notifier:
        """Opened when somebody waits or has something to announce; a process that only reads needs none."""
        with self._lock:
            if self._notifier is None:
                self._notifier = Notifier(self._address, self._deadlines, self._heard)
            return self._notifier

    def committed(self, counted: Counted, *, by: PostgresSession) -> None:
        """Neighbours in this process learn of it at once, other nodes by a notification."""
        self.newest.saw(counted)
        for session in self._sessions:
            if session is not by:
                session.wake()
        notifier = self.notifier()
        announcement = notifier.announcement(counted.number)
        if announcement is None:
            notifier.announce(counted.number)
        else:
            by.send_off(announcement)

    def closed(self, session: PostgresSession) -> None:
        with self._lock:
            self._sessions = [other for other in self._sessions if other is not session]

    def _heard(self, number: int, *, has_arrivals: bool) -> None:
        self.newest.saw(Counted(number=number))
        for session in self._sessions:
            if has_arrivals:
                session.wake()
            else:
                session.heard_of(number)

    def _check(self) -> None:
        if os.getpid() != self._pid:
            raise Forked(f"{self.url} was opened by process {self._pid}, before the fork; open it again in this one")
        if not self._is_open:
            raise NotStarted(f"{self.url} was not opened; call open() first")
