"""What the cycle asks of the server, in PostgreSQL's SQL (sql/reads.py has the common part).

Rules of this file
- Each question gathers its rows into one JSON text: one row to fetch, one decoding.
- A view opens with its first question, in the same round trip.  The questions of `changes` are sent along in advance.
- The gathered rows keep the order of their subquery (manual, 9.21), which has an ORDER BY.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from shiftboss.core.lane import ALL_QUEUES
from shiftboss.core.model import Run
from shiftboss.ports.cycle import Delta, Wanted
from shiftboss.ports.store import Past
from shiftboss.stores.postgres.history import LAST, WAITING_WORKERS, Queries
from shiftboss.stores.postgres.sealing import question
from shiftboss.stores.postgres.wire import KEYS, NUMBER, NUMBERS, TEXT, TEXTS, Statement
from shiftboss.stores.sql import codec, reads, shapes
from shiftboss.stores.sql.reads import LONG_AGO, Seen
from shiftboss.stores.sql.statements import Readings

if TYPE_CHECKING:
    from shiftboss.clock import Clock
    from shiftboss.stores.postgres.connection import BoundStatement, Database

# A row of workers is ["name", state or null, record or null].
WORKER_ROW = (
    "'[' || to_json(name)::text || ',' || coalesce(<worker>, 'null') || ',' || coalesce(<record>, 'null') || ']'"
)

# Each row has the stamp of the commit that last changed it; `committed` says which stamps are later than a given
# commit. Everything is later than -1.  $2 are the stamps of the session's own commits, whose rows it knows.
SINCE = "ANY (ARRAY(SELECT stamp FROM committed WHERE number > $1 AND stamp <> ALL ($2)))"


def _changed_workers(which: str) -> str:
    return f"SELECT '[' || string_agg({WORKER_ROW}, ',') || ']' FROM worker WHERE number = {SINCE}{which}"  # noqa: S608


AMONG_THEM = " AND name = ANY ($3)"
CHANGED_WORKERS = question(_changed_workers(""), NUMBER, NUMBERS)
CHANGED_OF_THEM = question(_changed_workers(AMONG_THEM), NUMBER, NUMBERS, TEXTS)
ALL_WORKERS = question(
    f"""
SELECT '[' || string_agg({WORKER_ROW}, ',') || ']'
FROM (SELECT name, state, record FROM worker WHERE name > $1 AND state IS NOT NULL ORDER BY name LIMIT $2) AS page
""",  # noqa: S608
    TEXT,
    NUMBER,
)
CHANGED_BREAKERS = question(
    f"SELECT '[' || string_agg(<breaker>, ',') || ']' FROM breaker WHERE $1 < 0 OR number = {SINCE}",  # noqa: S608
    NUMBER,
    NUMBERS,
)
RESOURCES = question(
    """SELECT '{' || string_agg(
  to_json(name)::text || ':[' || size || ',' || coalesce(to_json(declarations)::text, 'null') || ']', ',') || '}'
FROM resource"""
)
NODES = question(
    "SELECT '[' || string_agg(data, ',') || ']' FROM (SELECT <node> AS data FROM node ORDER BY id) AS all_of_them"
)


def _claims(which: str) -> str:
    return f"""
SELECT '[[' || coalesce(string_agg(id::text, ','), '') || '],['
  || coalesce(string_agg(data, ',') FILTER (WHERE $1 < 0 OR number = {SINCE}), '') || ']]'
FROM (SELECT id, number, <run> AS data FROM run{which} WHERE queue IS NULL ORDER BY id) AS claimed
"""  # noqa: S608


CLAIMS = question(_claims(""), NUMBER, NUMBERS)
CLAIMS_OF_THEM = question(_claims(" JOIN unnest($3) AS them(name) ON worker = name"), NUMBER, NUMBERS, TEXTS)

# Of each of them the first due time, from queue to queue.
WAITING = question(
    f"""
WITH RECURSIVE {WAITING_WORKERS}, head AS (
  SELECT worker, (
    SELECT min((SELECT run.due_at FROM run
                WHERE run.worker = waiting.worker AND run.queue = nth ORDER BY run.due_at, run.id LIMIT 1))
    FROM generate_series(0, {ALL_QUEUES[-1]}) AS queues(nth)) AS due_at
  FROM waiting WHERE worker IS NOT NULL
)
SELECT '[' || string_agg('[' || to_json(worker)::text || ',' || due_at || ']', ',') || ']' FROM head
"""  # noqa: S608
)


def _queue(number: int, limit: str) -> str:
    return f"""(SELECT string_agg(data, ',') FROM (
      SELECT <run> AS data FROM run WHERE worker = name AND queue = {number}
      ORDER BY due_at, id LIMIT {limit}) AS first)"""  # noqa: S608


STANDING = """(SELECT string_agg(data, ',') FROM (
      SELECT <run> AS data FROM run
      WHERE worker = name AND queue IS NOT NULL AND origin <= 2 ORDER BY id) AS standing)"""

LEAST = """(SELECT <run> AS data FROM run WHERE worker = name AND queue IS NOT NULL ORDER BY occurs_at, id LIMIT 1)"""


def _all(limit: str) -> str:
    return f"""(SELECT string_agg(data, ',') FROM (
      SELECT <run> AS data FROM run WHERE worker = name AND queue IS NOT NULL
      ORDER BY queue, due_at, id LIMIT {limit}) AS waiting)"""  # noqa: S608


def _lanes(names: str, *, limit: str) -> str:
    """A worker with fewer runs than the limit in all queues together is returned whole, as one list."""
    parts = " || '],[' || ".join(
        f"coalesce({part}, '')" for part in (*(_queue(number, limit) for number in ALL_QUEUES), STANDING, LEAST)
    )
    return f"""
SELECT '[' || string_agg('[' || to_json(name)::text || ',[[' || CASE
    WHEN (SELECT id FROM run WHERE worker = name AND queue IS NOT NULL
          ORDER BY queue, due_at, id LIMIT 1 OFFSET {limit} - 1) IS NULL
    THEN coalesce({_all(limit)}, '')
    ELSE {parts} END || ']]]', ',') || ']'
FROM {names} AS asked(name)
"""  # noqa: S608


LANES = question(_lanes("unnest($1)", limit="$2"), TEXTS, NUMBER)
WHOSE = f"(SELECT name FROM worker WHERE number = {SINCE} AND state IS NOT NULL%s)"  # noqa: S608
CHANGED_LANES = question(_lanes(WHOSE % "", limit="$3"), NUMBER, NUMBERS, NUMBER)
CHANGED_LANES_OF_THEM = question(_lanes(WHOSE % AMONG_THEM, limit="$4"), NUMBER, NUMBERS, TEXTS, NUMBER)

LIVE_RUNS = question("SELECT '[' || string_agg(<run>, ',') || ']' FROM run WHERE id = ANY ($1)", NUMBERS)
FINISHED_RUNS = question("SELECT '[' || string_agg(<history>, ',') || ']' FROM history WHERE id = ANY ($1)", NUMBERS)
PAYLOADS = Statement("SELECT run, bytes FROM payload WHERE run = ANY ($1)", NUMBERS)
RESULTS = Statement("SELECT id, result FROM history WHERE id = ANY ($1) AND result IS NOT NULL", NUMBERS)

KEYED = question(
    """
SELECT '[' || string_agg(coalesce(
    (SELECT <run> AS data FROM run WHERE run.key = pair.key AND run.worker = pair.worker),
    (SELECT <history> AS data FROM history WHERE history.key = pair.key AND history.worker = pair.worker AND status = 2
     ORDER BY id DESC LIMIT 1)
  ), ',') || ']'
FROM unnest($1, $2) AS pair(worker, key)
""",
    TEXTS,
    KEYS,
)
FIRED = Statement(
    """
SELECT '[' || string_agg('[' || to_json(worker)::text || ',' || fired_at || ']', ',') || ']'
FROM unnest($1) AS names(name) JOIN history ON worker = name AND fired_at > $2
""",
    TEXTS,
    NUMBER,
)
CLOCK = Statement("SELECT clock FROM meta WHERE id = 1")
EXPIRING = question(
    """
SELECT '[' || string_agg(data, ',') || ']' FROM (
  SELECT <run> AS data FROM run WHERE queue IS NOT NULL AND give_up_at <= $1 ORDER BY give_up_at, id LIMIT $2) AS late
""",
    NUMBER,
    NUMBER,
)
NEXT_GIVE_UP = Statement(
    """
SELECT (SELECT give_up_at FROM run WHERE queue IS NOT NULL AND give_up_at > $1
        ORDER BY give_up_at, id LIMIT 1)::text
""",
    NUMBER,
)
OPEN_LETTERS = question(
    """
SELECT '[' || string_agg(data, ',') || ']' FROM (
  SELECT <dead_letter> AS data FROM dead_letter
  WHERE state = 'open' AND worker = $1 AND has_payload <= $2 ORDER BY has_payload, run LIMIT $3) AS unresolved
""",
    TEXT,
    NUMBER,
    NUMBER,
)

READINGS = Readings(
    changed_workers=CHANGED_WORKERS,
    all_workers=ALL_WORKERS,
    changed_breakers=CHANGED_BREAKERS,
    resources=RESOURCES,
    nodes=NODES,
    claims=CLAIMS,
    waiting=WAITING,
    lanes=LANES,
    changed_lanes=CHANGED_LANES,
    live_runs=LIVE_RUNS,
    finished_runs=FINISHED_RUNS,
    keyed=KEYED,
    fired=FIRED,
    clock=CLOCK,
    expiring=EXPIRING,
    next_give_up=NEXT_GIVE_UP,
    open_letters=OPEN_LETTERS,
)


@dataclass(slots=True)
class SeenPartitions(Seen):
    """It knows everything up to that commit, its own later commits, and more of the partitions that it held."""

    partitions: dict[int, int] = field(
        default_factory=dict
    )  # partition → the number of the last commit up to which everything in it is known
    own: list[int] = field(default_factory=list)  # stamps

    def copy(self) -> SeenPartitions:
        return SeenPartitions(self.number, self.lanes, dict(self.partitions), list(self.own))

    def since(self, partitions: Iterable[int]) -> int:
        """The commit up to which everything in *partitions* is known."""
        number = self.number or 0
        return min((self.partitions.get(partition, number) for partition in partitions), default=number)

    def saw_all(self, number: int | None) -> None:
        self.number = number
        self.partitions.clear()
        self.own.clear()

    def wrote(self, number: int, stamp: int, *, held: Collection[int] | None) -> None:
        """Note a commit of its own; with *held*, everything before it in those partitions is known too."""
        if self.number == number - 1:
            self.saw_all(number)
        elif held is not None:
            self.partitions.update(dict.fromkeys(held, number))
            self.own.append(stamp)


class Asked(NamedTuple):
    """What the questions of a delta are limited to."""

    since: int
    own: Sequence[int]
    lanes: int
    names: Sequence[str] | None = None  # workers; None: all of them, and nodes and resources as well
    bound: Sequence[str] = ()  # those of them whose claims are asked for

    def answers(self, other: Asked) -> bool:
        """Whether these answers serve *other* as well: more than is asked for does no harm."""
        if self.names is None or other.names is None:
            return self == other
        return self.since <= other.since and self.lanes == other.lanes and set(self.names) >= set(other.names)


Ahead = tuple[Asked, "list[bytes | None]"]  # what was asked with the beginning of a transaction, and the answers
MAX_NAMES = 2000  # of workers that a delta is limited to; with more of them it is about all


def narrowed(seen: SeenPartitions, held: Wanted, lanes: int) -> Asked | None:
    """The limits of a delta for *held*; None if it is about everything."""
    names = [name for partition in held.values() for name in partition.names]
    if seen.number is None or len(names) > MAX_NAMES:
        return None
    return Asked(
        seen.since(held),
        list(seen.own),
        lanes,
        names,
        [name for partition in held.values() for name in partition.bound],
    )


class Reads(Queries, reads.Reads[Statement]):
    """Reads within a transaction whose number is known."""

    readings = READINGS
    always = (-1, ())
    _db: Database
    _seen: SeenPartitions

    def __init__(
        self,
        db: Database,
        clock: Clock,
        seen: SeenPartitions,
        *,
        number: int,
        epoch: int,
        oldest: int | None,
        has_arrivals: bool,
    ) -> None:
        super().__init__(db, clock)
        self._seen = seen
        self._last = number
        self._epoch = epoch
        self._oldest = oldest
        self.has_arrivals = has_arrivals
        self._ahead: Ahead | None = None
        self._give_up: tuple[bytes | None] | None = None  # the answer to `next_give_up`, until something is written

    def past(self) -> Past:
        (last,) = self._db.exchange((LAST, ()))
        return Past(last.number(0, 0), last.number(0, 1))

    @classmethod
    def calls_ahead(cls, asked: Asked) -> list[BoundStatement]:
        """What the snapshot cache asks right after `changes`, and the questions of `changes`."""
        return [(NEXT_GIVE_UP, (LONG_AGO,)), *reads.plainly(cls.questions_about(asked))]

    @classmethod
    def questions_about(cls, asked: Asked) -> list[reads.BoundQuestion[Statement]]:
        """The questions of `changes`."""
        since, own, lanes, names, bound = asked
        if names is None:
            return cls.delta_calls((since, own), lanes)
        return [
            (CHANGED_OF_THEM, (since, own, names)),
            (CHANGED_BREAKERS, (since, own)),
            (CLAIMS_OF_THEM, (since, own, bound)),
            *([(CHANGED_LANES_OF_THEM, (since, own, names, lanes))] if lanes else []),
        ]

    def changes(self, *, lanes: int = 0) -> Delta:
        delta = super().changes(lanes=lanes)
        self._seen.saw_all(self._last)
        return delta

    def _delta(self, seen: int, lanes: int) -> Delta:
        if self._has_forgotten(seen):
            return self._everything()
        return self._asked(Asked(seen, list(self._seen.own), lanes))

    def _has_forgotten(self, seen: int) -> bool:
        """Whether `committed` no longer goes back that far."""
        return self._oldest is None or seen < self._oldest - 1

    def _asked(self, asked: Asked) -> Delta:
        if self._ahead is None or not self._ahead[0].answers(asked):
            self._ahead = asked, self._db.query(*self.calls_ahead(asked))
        asked, (give_up, *answers) = self._ahead
        self._ahead = None
        self._give_up = (give_up,)
        calls = self.questions_about(asked)
        if asked.names is None:
            return self._told(calls, answers, lanes=asked.lanes)
        return self._told_of_workers(calls, answers, lanes=asked.lanes)._replace(of=asked.bound)

    def next_give_up(self, after: datetime | None = None) -> datetime | None:
        known = self._give_up if after is None else None
        return codec.instant_or_none(known[0]) if known is not None else super().next_give_up(after)

    def runs(self, ids: Collection[int]) -> list[Run]:
        if not ids:
            return []
        wanted = (self._db.numbers(ids),)
        live, finished, payloads, results = self._db.exchange(
            (LIVE_RUNS.plain, wanted), (FINISHED_RUNS.plain, wanted), (PAYLOADS, wanted), (RESULTS, wanted)
        )
        runs = [
            *self._read(shapes.RUNS, LIVE_RUNS, wanted, live.blob(0, 0)),
            *self._read(shapes.RUNS, FINISHED_RUNS, wanted, finished.blob(0, 0)),
        ]
        runs.sort(key=lambda run: run.id)
        return codec.with_bytes(runs, payloads=payloads.blobs(), results=results.blobs())

    def payloads(self, ids: Collection[int]) -> dict[int, bytes]:
        return self._db.exchange((PAYLOADS, (self._db.numbers(ids),)))[0].blobs() if ids else {}


class ViewReads(Reads):
    """A view that opens with its first question, in the same round trip."""

    def __init__(self, db: Database, clock: Clock, seen: SeenPartitions) -> None:
        super().__init__(db, clock, seen, number=0, epoch=0, oldest=None, has_arrivals=False)

    def changes(self, *, lanes: int = 0) -> Delta:
        seen = self._seen.number
        if self._db.opened is None and seen is not None:
            asked = Asked(seen, list(self._seen.own), lanes)
            self._ahead = asked, self._db.query(*self.calls_ahead(asked))
        self._look()
        return super().changes(lanes=lanes)

    def _look(self) -> None:
        self._last, self.has_arrivals, self._oldest, self._epoch = self._db.opening()
