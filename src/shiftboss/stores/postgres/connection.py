"""A session's transactions and questions, over a connection that is replaced when it breaks.

Rules of this file
- Every transaction begins with its own settings, and the server's session keeps nothing.  So PgBouncer in transaction
  mode works, and a node that stands still or is cut off holds no lock for long.
- Statements whose answer nobody needs wait for the next question or the commit, and are sent with it.  A cycle takes
  three round trips: locks, questions, writes with commit.  The end of a view is sent and not waited for.
- After a failed statement a transaction can only be rolled back: the server would accept a COMMIT and keep nothing.
- A transaction ends with the connection on which it began.  If that was cut or lost, each further statement is refused
  for the same reason, and only the next transaction connects again.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence

import psycopg
from psycopg import pq

from shiftboss.clock import SystemClock
from shiftboss.errors import InternalError, ShiftbossError, StoreUnavailable
from shiftboss.stores.postgres import errors
from shiftboss.stores.postgres.address import Address
from shiftboss.stores.postgres.deadline import CALL_S, Deadlines
from shiftboss.stores.postgres.link import CLUSTER, TIMELINE, ClusterHistory, Link, close_quietly, link_to
from shiftboss.stores.postgres.wire import TEXT, Broken, ResultSet, ServerRefused, Statement, Values

MIN_BACK_OFF_S, MAX_BACK_OFF_S = 0.05, 2.0  # after a failed connection; a fleet's nodes must not all come at once

BEGIN = Statement("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE")
BEGIN_READING = Statement("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
COMMIT = Statement("COMMIT")
ROLLBACK = Statement("ROLLBACK")
# These limits are a little shorter than ours, because a refusal by the server need not cost the connection.  Whatever
# we ask has an index, and a plan made for an empty table must not stay for a full one: so only index scans are allowed.
SETTINGS = Statement(
    """
SELECT set_config('search_path', $1, true),
  set_config('lock_timeout', '4000', true), set_config('statement_timeout', '4500', true),
  set_config('idle_in_transaction_session_timeout', '5000', true),
  set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true),
  set_config('jit', 'off', true),
  set_config('plan_cache_mode', 'force_generic_plan', true)
""",
    TEXT,
)
# For a move: it waits for its other store as long as a page of that takes, and keeps nobody waiting.  The time is
# limited nevertheless, because a process that was cut off holds a lock.
LONG_SETTINGS = Statement(
    SETTINGS.text.decode()
    .replace("'statement_timeout', '4500'", "'statement_timeout', '3600000'")
    .replace("'idle_in_transaction_session_timeout', '5000'", "'idle_in_transaction_session_timeout', '600000'"),
    TEXT,
)
LONG_CALL_S = 3600.0
NUMBER_SEEN = Statement(
    """
SELECT number, EXISTS (SELECT FROM arrival WHERE NOT is_unreadable)::int,
  (SELECT number FROM committed ORDER BY number LIMIT 1), epoch
FROM meta WHERE id = 1
"""
)
BoundStatement = tuple[Statement, Values]

_clock = SystemClock()  # waiting for a server takes real time, whatever clock the rules use


class Database:
    """Used by one thread at a time (statements.Connection)."""

    def __init__(self, address: Address, deadlines: Deadlines) -> None:
        self.address = address
        self._deadlines = deadlines
        self._settings: BoundStatement = (SETTINGS, (f"{address.schema}, pg_temp",))
        self._call_s = CALL_S
        self.takes_time = False
        self._link: Link | None = None
        self._queue: list[BoundStatement] = []
        self._is_beginning = False  # the queue begins a transaction that the server does not know of yet
        self.opened: ResultSet | None = None  # to the question with which a view opens
        self._begun_on: Link | None = None  # the connection on which the server is in a transaction of ours
        self._failure: ShiftbossError | None = None  # why the transaction cannot go on
        self._tries_s = 0.0  # no attempt to connect before this
        self._back_off_s = MIN_BACK_OFF_S
        self._last_error: ShiftbossError | None = None

    def take_time(self) -> None:
        """From the next transaction on, allow hours instead of seconds."""
        self._settings = LONG_SETTINGS, self._settings[1]
        self._call_s = LONG_CALL_S
        self.takes_time = True

    # ── transactions ─────────────────────────────────────────────────────────────────────────────────────────────

    def begin(self, *calls: BoundStatement) -> list[ResultSet]:
        """Begin a transaction that writes, together with its first questions."""
        self._open(BEGIN)
        return self.exchange(*calls)

    def begin_reading(self) -> None:
        """A view; it opens with its first question."""
        self._open(BEGIN_READING)
        self._queue.append((NUMBER_SEEN, ()))

    def opening(self) -> tuple[int, bool, int | None, int]:
        """Of the view: the last commit, whether something arrived, the oldest commit in `committed`, the epoch."""
        if self.opened is None:
            self.exchange()
        if self.opened is None or self.opened.is_empty:
            raise errors.missing(self.address)
        number, opened = self.opened.number, self.opened
        return number(0, 0), bool(number(0, 1)), opened.number_or_none(0, 2), number(0, 3)

    def _open(self, statement: Statement) -> None:
        self._queue = [(statement, ()), self._settings]
        self._is_beginning = True
        self._failure = None
        self.opened = None

    def commit(self) -> list[ResultSet]:
        """Send what waits, and COMMIT, in one round trip; returns the results of what waited.

        Raises StoreUnavailable that says so if nobody knows whether the commit came through.
        """
        calls = [*self._queue, (COMMIT, ())]
        self._queue = []
        results = self._send(self._same, calls, commits=True)
        self._begun_on = None
        if results[-1].command != b"COMMIT":
            raise InternalError(f"{self.address.url}: the transaction failed before its commit")
        return results[:-1]

    def rollback(self) -> None:
        """End a transaction or a view without a trace.  Does not wait for the answer."""
        self._queue = []
        self._is_beginning = False
        link, self._begun_on = self._begun_on, None
        if link is None:
            return
        try:
            link.wire.send([(ROLLBACK, ())])
            link.wire.flush()
        except (psycopg.Error, OSError):
            self._drop()

    def send_off(self, calls: Sequence[BoundStatement]) -> None:
        """Behind a commit: a transaction whose answer nobody waits for, and whose failure nobody minds."""
        link = self._link
        if link is None:
            return
        try:
            link.wire.send(calls)
            link.wire.flush()
        except (psycopg.Error, OSError):
            self._drop()

    # ── questions ────────────────────────────────────────────────────────────────────────────────────────────────

    def do(self, statement: Statement, values: Values) -> None:
        """Carried out with the next question or with the commit."""
        self._queue.append((statement, values))

    def query(self, *questions: BoundStatement) -> list[bytes | None]:
        """The one text of each question, all in one round trip."""
        return [answer.blob(0, 0) for answer in self.exchange(*questions)]

    def exchange(self, *calls: BoundStatement) -> list[ResultSet]:
        """Send what waits, and *calls*; returns the results of *calls*."""
        queue, self._queue = self._queue, []
        begins, self._is_beginning = self._is_beginning, False
        results = self._begun([*queue, *calls]) if begins else self._send(self._same, [*queue, *calls])
        for place, (statement, _) in enumerate(queue if begins else ()):
            if statement is NUMBER_SEEN:  # not always the last: settings of a question may come after it
                self.opened = results[place]
        return results[len(results) - len(calls) :]

    @staticmethod
    def names(values: Collection[str]) -> Sequence[str]:
        return list(values)

    @staticmethod
    def numbers(values: Collection[int]) -> Sequence[int]:
        return list(values)

    @staticmethod
    def pairs(values: Collection[tuple[str, str]]) -> Values:
        return tuple(zip(*values, strict=True))

    # ── the connection ───────────────────────────────────────────────────────────────────────────────────────────

    @property
    def origin(self) -> ClusterHistory:
        """Which cluster and timeline the transaction began on."""
        return self._same.origin

    def look_where(self) -> None:
        """Within a transaction, ask again for cluster and timeline, as far as the greeting could ask."""
        link = self._same
        known = [call for call, value in zip((CLUSTER, TIMELINE), link.origin, strict=True) if value is not None]
        answers = iter(self.exchange(*((statement, ()) for statement in known)))
        link.origin = ClusterHistory(*(None if value is None else next(answers).number(0, 0) for value in link.origin))

    @property
    def is_direct(self) -> bool:
        """Whether the other end is the server itself and no pooler."""
        return self._link is None or self._link.is_direct

    def close(self) -> None:
        self._drop()

    def _connected(self) -> Link:
        """The connection, or a new one, for a transaction to begin on.  Raises StoreUnavailable and others."""
        link = self._link
        if link is not None and link.is_broken:
            self._drop()
            link = None
        return link if link is not None else self._connect()

    def _connect(self) -> Link:
        now_s = _clock.monotonic_s()
        if self._last_error is not None and now_s < self._tries_s:
            raise type(self._last_error)(str(self._last_error)) from self._last_error
        try:
            self._link = link_to(self.address, self._deadlines)
        except ShiftbossError as error:
            self._last_error = error
            self._tries_s = _clock.monotonic_s() + random.uniform(0.0, self._back_off_s)  # noqa: S311  # no secret
            self._back_off_s = min(MAX_BACK_OFF_S, 2 * self._back_off_s)
            raise
        self._last_error = None
        self._back_off_s = MIN_BACK_OFF_S
        return self._link

    @property
    def _same(self) -> Link:
        """The connection on which the transaction began.  Raises what ended the transaction, if anything has."""
        if self._failure is not None:
            raise self._failure
        if self._begun_on is None:
            raise InternalError(f"{self.address.url}: a query was made outside a transaction")
        return self._begun_on

    def _begun(self, calls: Sequence[BoundStatement]) -> list[ResultSet]:
        """A transaction that is just beginning can begin again: a connection that broke while idle is no failure."""
        had = self._link
        try:
            try:
                results = self._send(self._connected(), calls)
            except StoreUnavailable:
                if had is None or self._link is not None or had.line.was_cut:
                    raise
                results = self._send(self._connected(), calls)
        except ShiftbossError as error:
            self._failure = error  # also if there was nothing to begin on
            raise
        self._failure = None
        self._begun_on = self._link
        return results

    def _send(self, link: Link, calls: Sequence[BoundStatement], *, commits: bool = False) -> list[ResultSet]:
        """One round trip; whatever it raises, the transaction has ended."""
        began_s = _clock.monotonic_s()
        try:
            results = self._round_trip(link, calls)
        except ServerRefused as error:
            is_broken = link.connection.pgconn.status == pq.ConnStatus.BAD
            if is_broken:
                self._drop()
            else:
                self._begun_on = link  # even if the begin itself failed: what came before is valid
            translated = errors.refused(self.address, error.state, error.text, maybe_stored=commits and is_broken)
            raise self._over(translated) from error
        except (Broken, psycopg.Error, OSError) as error:
            self._drop()
            if link.line.was_cut:
                raise self._over(self._silence(began_s, maybe_stored=commits)) from error
            raise self._over(errors.broken(self.address, error, maybe_stored=commits)) from error
        except ShiftbossError as error:  # a value that cannot be sent: nothing was sent
            self._over(error)
            raise
        except BaseException:  # in the middle of a round trip: its answers must not be taken for the next one's
            self._drop()
            self._over(errors.broken(self.address, "the call was interrupted", maybe_stored=commits))
            raise
        if link.line.was_cut and not commits:  # this process stood still, and both came: the answers and the deadline
            self._drop()
            raise self._over(self._silence(began_s, maybe_stored=False))
        return results

    def _over(self, failure: ShiftbossError) -> ShiftbossError:
        self._failure = failure
        return failure

    def _silence(self, began_s: float, *, maybe_stored: bool) -> StoreUnavailable:
        return errors.silent(self.address, _clock.monotonic_s() - began_s, maybe_stored=maybe_stored)

    def _round_trip(self, link: Link, calls: Sequence[BoundStatement]) -> list[ResultSet]:
        with self._deadlines.limit(link.line, self._call_s):
            link.wire.send(calls)
            return link.wire.receive()

    def _drop(self) -> None:
        link, self._link = self._link, None
        self._begun_on = None
        if link is not None:
            close_quietly(link)
