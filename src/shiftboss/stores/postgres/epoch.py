"""Has this store lost a part of its past, and how does it then go on?

Rules of this file
- Stamps are fences; no stamp and no id is given out twice.  After a restore, or a failover to a server that had not
  received everything, the store would give some of them out again; so it jumps beyond all of them (core/lives.py).
- The past is lost if a number is smaller than one that this store has seen, or if the row lies elsewhere than where it
  was written: in another cluster, on another timeline, in another table.
- The past may be lost if the server was restarted: its data directory may have been put back meanwhile.  If a node
  lived with the server before, and finds everything that it has seen, nothing is lost; without such a node it counts as
  lost.
- The jump happens in a transaction of its own that holds the whole store.  Every process reads everything again,
  because the epoch differs.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple

from shiftboss.core.events import StoreRestored
from shiftboss.core.lives import Counted, furthest, next_life
from shiftboss.logs import get_logger
from shiftboss.stores.postgres.history import LAST
from shiftboss.stores.postgres.wire import NUMBER, TEXT, ResultSet, Statement
from shiftboss.stores.sql import codec

if TYPE_CHECKING:
    from shiftboss.clock import Clock
    from shiftboss.stores.postgres.connection import Database
    from shiftboss.stores.postgres.link import ClusterHistory

log = get_logger("shiftboss.store")

# Asked while the locks are held: the time and the stamp must not be older than what the previous holder wrote.
OPEN = Statement(
    """
SELECT number, next_event, schema, cluster, timeline, place, tableoid::bigint,
  (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, EXISTS (SELECT FROM arrival WHERE NOT is_unreadable)::int,
  nextval('stamp'),
  (SELECT string_agg(nextval('run_id')::text, ',') FROM generate_series(1, $1)),
  (SELECT number FROM committed ORDER BY number LIMIT 1), alone, clock, epoch, server_started,
  (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint
FROM meta WHERE id = 1
""",
    NUMBER,
)
JUMP = Statement(
    """
UPDATE meta SET number = $1, alone = $1, epoch = $1, next_event = $2, cluster = $3, timeline = $4, server_started = $5,
  place = tableoid::bigint
WHERE id = 1
""",
    *([NUMBER] * 5),
)
KNOW_SERVER = Statement("UPDATE meta SET server_started = $1 WHERE id = 1", NUMBER)
LIVED_AT = Statement("SELECT at FROM event ORDER BY id DESC LIMIT 1")
CONTINUE = Statement(
    """
SELECT setval('stamp', greatest(stamp.last_value, $1)), setval('run_id', greatest(run_id.last_value, $2))
FROM stamp, run_id
""",
    NUMBER,
    NUMBER,
)
NOTE = Statement("INSERT INTO event (id, at, worker, data) VALUES ($1, $2, '', $3)", NUMBER, NUMBER, TEXT)


class Opened(NamedTuple):
    """What was found when the locks had been taken."""

    number: int  # of the last commit
    next_event: int
    schema: int
    cluster: int | None
    timeline: int | None
    place: int | None
    table: int  # where the row of `meta` is now
    at_us: int  # by the server's clock
    has_arrivals: bool
    stamp: int  # of this transaction
    ids: list[int]  # for new runs
    oldest: int | None  # the oldest commit in `committed`
    alone: int  # the last commit of a transaction that held the whole store
    clock: bytes | None  # the stored ClockMark
    epoch: int  # the commit that began the present epoch
    server_started: int | None  # the start of the server that the store was last used on
    started: int  # the start of this server

    @classmethod
    def of(cls, answer: ResultSet) -> Opened:
        number, optional = answer.number, answer.number_or_none
        ids = answer.blob(0, 10)
        return cls(
            number(0, 0),
            number(0, 1),
            number(0, 2),
            optional(0, 3),
            optional(0, 4),
            optional(0, 5),
            number(0, 6),
            number(0, 7),
            bool(number(0, 8)),
            number(0, 9),
            [int(run_id) for run_id in ids.split(b",")] if ids else [],
            optional(0, 11),
            number(0, 12),
            answer.blob(0, 13),
            number(0, 14),
            optional(0, 15),
            number(0, 16),
        )

    @property
    def knows_server(self) -> bool:
        return self.server_started == self.started

    @property
    def counted(self) -> Counted:
        return Counted(self.number, self.stamp, self.ids[-1] if self.ids else 0, self.next_event - 1)


class Newest:
    """The furthest that any session of this store has seen it count."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # protects _counted
        self._counted = Counted()

    @property
    def counted(self) -> Counted:
        return self._counted

    def saw(self, counted: Counted) -> None:
        with self._lock:
            self._counted = furthest(self._counted, counted)


def lost_past(opened: Opened, origin: ClusterHistory, newest: Counted, *, lived: int | None) -> str:
    """Why the numbers cannot be trusted, in words; empty if they can.

    *newest* is what was known before the transaction was opened; *lived* is the start of the server that a node in this
    process has lived with.
    """
    if opened.number < newest.number:
        return f"its last commit is {opened.number}, but {newest.number} was seen before"
    if opened.place is not None and opened.place != opened.table:
        return "its tables were recreated"
    if _differ(opened.cluster, origin.cluster):
        return "it is on another cluster than the one it was written on"
    if _differ(opened.timeline, origin.timeline):
        return f"the cluster went from timeline {opened.timeline} to {origin.timeline}"
    if opened.server_started is not None and not opened.knows_server and lived != opened.server_started:
        return "its server was restarted, and no node has been running since before that could compare"
    return ""


def _differ(one: int | None, other: int | None) -> bool:
    return one is not None and other is not None and one != other


def jump(db: Database, clock: Clock, opened: Opened, *, newest: Counted, why: str) -> Counted:
    """Within a transaction that holds the whole store: jump beyond everything that was lost.  The caller commits."""
    origin = db.origin
    last, lived = db.exchange((LAST, ()), (LIVED_AT, ()))
    now = clock.now()
    lived_at = None if lived.is_empty else codec.instant_of(lived.number(0, 0))
    stored = opened.counted._replace(run_id=last.number(0, 1))
    counted = next_life(stored, newest, now, lived_at=lived_at)
    event = StoreRestored(at=now, reason=why, epoch=counted.number)
    where = origin.cluster or opened.cluster, origin.timeline or opened.timeline
    db.do(CONTINUE, (counted.stamp, counted.run_id))
    db.do(JUMP, (counted.number, counted.event_id + 1, *where, opened.started))
    db.do(NOTE, (counted.event_id, codec.micros(now), codec.text_of(event)))
    log.info(
        "%s was restored, or lost its last commits: %s; commits and fences continue from %d, runs from %d, and "
        "everything is read again",
        db.address.url,
        why,
        counted.number + 1,
        counted.run_id + 1,
    )
    return counted
