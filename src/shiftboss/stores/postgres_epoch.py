"""Has this store lost a part of its past, and how does it go on then?

Rules of this file
- Numbers of commits are fences, and ids are never given twice.  After a restore, or a failover to a server that had
  not received everything, the store would count through some of them again; so it jumps beyond all of them.
- The past is lost when a number is smaller than one that this store has seen, or when the row lies elsewhere than
  where it was written: in another cluster, on another timeline, in another table.  A jump too many does no harm.
- It happens in a transaction of its own, under the lock; everybody reads everything anew, because the epoch differs.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, NamedTuple

from shiftboss.core.events import StoreRestored
from shiftboss.stores import rows
from shiftboss.stores.postgres_wire import NUMBER, TEXT, Answer, Statement
from shiftboss.stores.reading import EPOCH
from shiftboss.stores.writing import Meta

if TYPE_CHECKING:
    from shiftboss.clock import Clock
    from shiftboss.stores.postgres_connection import Database
    from shiftboss.stores.postgres_link import Origin

log = logging.getLogger("shiftboss.store")

LOST_IDS = 1_000_000  # more than a store gives between a backup and its restore, beyond what was seen

# The instant is read after the lock: it must not be older than what the one before us wrote.
LOCK = Statement(
    """
WITH locked AS MATERIALIZED (
  SELECT number, next_run, next_event, schema, cluster, timeline, place, tableoid FROM meta WHERE id = 1 FOR UPDATE)
SELECT number, next_run, next_event, schema, cluster, timeline, place, tableoid::bigint,
  (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, EXISTS (SELECT FROM arrival)::int
FROM locked
"""
)
JUMP = Statement(
    """
UPDATE meta SET number = $1, next_run = $2, next_event = $3, cluster = $4, timeline = $5, place = tableoid::bigint
WHERE id = 1
""",
    *([NUMBER] * 5),
)
NOTE = Statement("INSERT INTO event (id, at, worker, data) VALUES ($1, $2, '', $3)", NUMBER, NUMBER, TEXT)


class Locked(NamedTuple):
    """What stood in `meta` when the lock was taken."""

    meta: Meta
    schema: int
    cluster: int | None
    timeline: int | None
    place: int | None
    table: int  # where the row lies now
    at_us: int  # by the server's clock
    has_arrivals: bool = False

    @classmethod
    def of(cls, answer: Answer) -> Locked:
        number, optional = answer.number, answer.number_or_none
        return cls(
            Meta(number(0, 0), number(0, 1), number(0, 2)),
            number(0, 3),
            optional(0, 4),
            optional(0, 5),
            optional(0, 6),
            number(0, 7),
            number(0, 8),
            bool(number(0, 9)),
        )


class Newest:
    """The furthest that any session of this store has seen `meta` count."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # protects _meta
        self._meta = Meta(0, 0, 0)

    @property
    def meta(self) -> Meta:
        return self._meta

    def saw(self, meta: Meta) -> None:
        with self._lock:
            known = self._meta
            self._meta = Meta._make(map(max, known, meta))


def lost_past(locked: Locked, origin: Origin, newest: Meta) -> str:
    """Why the numbers cannot be trusted, in words; nothing when they can."""
    if locked.meta.number < newest.number:
        return f"its last commit is {locked.meta.number}, and {newest.number} was seen before"
    if locked.place is not None and locked.place != locked.table:
        return "its tables were made anew"
    if _differ(locked.cluster, origin.cluster):
        return "it lies on another cluster than it was written on"
    if _differ(locked.timeline, origin.timeline):
        return f"the cluster went from timeline {locked.timeline} to {origin.timeline}"
    return ""


def _differ(one: int | None, other: int | None) -> bool:
    return one is not None and other is not None and one != other


def jump(db: Database, clock: Clock, locked: Locked, *, newest: Meta, why: str) -> Meta:
    """Within a transaction that holds the lock: go on beyond everything that was lost.  The caller commits."""
    origin = db.link.origin
    epoch = max(locked.meta.number, newest.number) // EPOCH + 1
    event_id = max(locked.meta.next_event, newest.next_event) + LOST_IDS
    meta = Meta(epoch * EPOCH, max(locked.meta.next_run, newest.next_run) + LOST_IDS, event_id + 1)
    now = clock.now()
    event = StoreRestored(at=now, reason=why, epoch=epoch)
    db.do(JUMP, (*meta, origin.cluster or locked.cluster, origin.timeline or locked.timeline))
    db.do(NOTE, (event_id, rows.micros(now), rows.text_of(event)))
    log.warning(
        "%s was restored, or lost its last commits: %s; commits go on from epoch %d, runs from %d, and everything is "
        "read anew",
        db.address.url,
        why,
        epoch,
        meta.next_run,
    )
    return meta
