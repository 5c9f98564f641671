"""Has this store lost a part of its past, and how does it go on then?

Rules of this file
- Stamps are fences, and neither they nor ids are ever given twice.  After a restore, or a failover to a server that had
  not received everything, the store would count through some of them again; so it jumps beyond all of them.
- The past is lost when a number is smaller than one that this store has seen, or when the row lies elsewhere than
  where it was written: in another cluster, on another timeline, in another table.  A jump too many does no harm.
- It happens in a transaction of its own that is alone; everybody reads everything anew, because the epoch differs.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple

from shiftboss.core.events import StoreRestored
from shiftboss.logs import get_logger
from shiftboss.stores import rows
from shiftboss.stores.postgres_queries import LAST
from shiftboss.stores.postgres_wire import NUMBER, TEXT, Answer, Statement
from shiftboss.stores.reading import EPOCH

if TYPE_CHECKING:
    from shiftboss.clock import Clock
    from shiftboss.stores.postgres_connection import Database
    from shiftboss.stores.postgres_link import Origin

log = get_logger("shiftboss.store")

LOST_IDS = 1_000_000  # more than a store gives between a backup and its restore, beyond what was seen

# Asked when the locks are held: the instant and the stamp must not be older than what the one before us wrote.
OPEN = Statement(
    """
SELECT number, next_event, schema, cluster, timeline, place, tableoid::bigint,
  (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, EXISTS (SELECT FROM arrival WHERE NOT is_unreadable)::int,
  nextval('stamp'),
  (SELECT string_agg(nextval('run_id')::text, ',') FROM generate_series(1, $1)),
  (SELECT number FROM committed ORDER BY number LIMIT 1), alone, clock
FROM meta WHERE id = 1
""",
    NUMBER,
)
JUMP = Statement(
    """
UPDATE meta SET number = $1, alone = $1, next_event = $2, cluster = $3, timeline = $4, place = tableoid::bigint
WHERE id = 1
""",
    *([NUMBER] * 4),
)
CONTINUE = Statement(
    """
SELECT setval('stamp', greatest(stamp.last_value, $1)), setval('run_id', greatest(run_id.last_value, $2))
FROM stamp, run_id
""",
    NUMBER,
    NUMBER,
)
NOTE = Statement("INSERT INTO event (id, at, worker, data) VALUES ($1, $2, '', $3)", NUMBER, NUMBER, TEXT)


class Counted(NamedTuple):
    """How far a store has counted."""

    number: int = 0  # commits, in their order
    stamp: int = 0
    run_id: int = 0
    event_id: int = 0


class Opened(NamedTuple):
    """What was found when the locks had been taken."""

    number: int  # of the last commit
    next_event: int
    schema: int
    cluster: int | None
    timeline: int | None
    place: int | None
    table: int  # where the row of `meta` lies now
    at_us: int  # by the server's clock
    has_arrivals: bool
    stamp: int  # of this transaction
    ids: list[int]  # of new runs
    oldest: int | None  # commit that `committed` still knows
    alone: int  # the last commit of a transaction that had the whole store to itself
    clock: bytes | None  # how it stood: a ClockMark

    @classmethod
    def of(cls, answer: Answer) -> Opened:
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
        )

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
            self._counted = Counted._make(map(max, self._counted, counted))


def lost_past(opened: Opened, origin: Origin, newest: Counted) -> str:
    """Why the numbers cannot be trusted, in words; nothing when they can.

    *newest* is what was known before the transaction was opened.
    """
    if opened.number < newest.number:
        return f"its last commit is {opened.number}, and {newest.number} was seen before"
    if opened.place is not None and opened.place != opened.table:
        return "its tables were made anew"
    if _differ(opened.cluster, origin.cluster):
        return "it lies on another cluster than it was written on"
    if _differ(opened.timeline, origin.timeline):
        return f"the cluster went from timeline {opened.timeline} to {origin.timeline}"
    return ""


def _differ(one: int | None, other: int | None) -> bool:
    return one is not None and other is not None and one != other


def jump(db: Database, clock: Clock, opened: Opened, *, newest: Counted, why: str) -> Counted:
    """Within a transaction that is alone: go on beyond everything that was lost.  The caller commits."""
    origin = db.origin
    epoch = max(opened.number, opened.stamp, newest.number, newest.stamp) // EPOCH + 1
    first = epoch * EPOCH
    event_id = max(opened.next_event, newest.event_id + 1) + LOST_IDS
    (last,) = db.exchange((LAST, ()))
    run_id = max(last.number(0, 1), newest.run_id) + LOST_IDS
    now = clock.now()
    event = StoreRestored(at=now, reason=why, epoch=epoch)
    db.do(CONTINUE, (first, run_id))
    db.do(JUMP, (first, event_id + 1, origin.cluster or opened.cluster, origin.timeline or opened.timeline))
    db.do(NOTE, (event_id, rows.micros(now), rows.text_of(event)))
    log.warning(
        "%s was restored, or lost its last commits: %s; commits go on from epoch %d, runs from %d, and everything is "
        "read anew",
        db.address.url,
        why,
        epoch,
        run_id + 1,
    )
    return Counted(first, first, run_id, event_id)
