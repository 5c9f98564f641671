"""What the cycle asks of a database, within one consistent view: the questions' order and what their answers mean.

Rules of this file
- Each question probes one index as far as it needs and no further: nothing here gets slower because a lot is waiting.
- What is asked together is asked in one go, because a server is a round trip away.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Generic

from shiftboss.core.lane import QUEUES, Lane, queue_of
from shiftboss.core.model import DeadLetter, Record, Run, WorkerState
from shiftboss.ports import NO_DELTA, Delta
from shiftboss.stores import rows
from shiftboss.stores.browsing import Queries
from shiftboss.stores.rows import Text
from shiftboss.stores.statements import Connection, Readings, S, Values

PAGE = 5000  # workers in one text: a few MiB
EPOCH = 1 << 40  # numbers of one life of a store; after a restore they go on in the next (SEMANTICS C, fences)


@dataclass(slots=True)
class Seen:
    """The number of the last commit that the session was told of; None before the first, and after `forget`."""

    number: int | None = None
    lanes: int = 0  # the limit that `changes` was last asked for, and so probably will be again


class Reads(Queries[S], Generic[S]):
    """A view of the store; as long as it is open, nothing in it changes but by its own writes."""

    readings: Readings[S]  # set by each store
    always: Values = (-1,)  # since which everything was changed
    _db: Connection[S]
    _seen: Seen
    _last: int  # the number of the last commit in this view

    # ── what others did ──────────────────────────────────────────────────────────────────────────────────────────

    def changes(self, *, lanes: int = 0) -> Delta:
        seen, last = self._seen.number, self._last
        self._seen.number, self._seen.lanes = last, lanes
        if seen == last:
            return NO_DELTA
        if seen is None or seen > last or seen // EPOCH != last // EPOCH:  # an older backup was put in place under us
            return self._everything()
        return self._delta(seen, lanes)

    def _delta(self, seen: int, lanes: int) -> Delta:
        return self._told(*self._db.ask(*self.delta_calls((seen,), lanes)), lanes=lanes)

    @classmethod
    def delta_calls(cls, since: Values, lanes: int) -> list[tuple[S, Values]]:
        """What `changes` asks when others may have committed."""
        sql = cls.readings
        return [
            (sql.resources, ()),
            (sql.nodes, ()),
            (sql.changed_workers, since),
            (sql.changed_breakers, since),
            (sql.claims, since),
            *([(sql.changed_lanes, (*since, lanes))] if lanes else []),
        ]

    @classmethod
    def _told(cls, resources: Text, nodes: Text, *changed: Text, lanes: int) -> Delta:
        return cls._told_of_workers(*changed, lanes=lanes)._replace(
            resources=rows.sizes_of(resources), nodes=rows.nodes_of(nodes)
        )

    @staticmethod
    def _told_of_workers(workers: Text, breakers: Text, claims: Text, of_lanes: Text = None, *, lanes: int) -> Delta:
        changed = rows.workers_of(workers)
        claimed, running = rows.claims_of(claims)
        return Delta(
            workers=_declared(changed),
            forgotten=[name for name, state, _ in changed if state is None],
            breakers=rows.breakers_of(breakers),
            claimed=claimed,
            running=running,
            lanes=_lanes_of(of_lanes, lanes),
        )

    def _everything(self) -> Delta:
        sql = self.readings
        breakers, resources, nodes, claims, waiting = self._db.ask(
            (sql.changed_breakers, self.always),
            (sql.resources, ()),
            (sql.nodes, ()),
            (sql.claims, self.always),
            (sql.waiting, ()),
        )
        claimed, running = rows.claims_of(claims)
        return Delta(
            everything=True,
            workers=self._all_workers(),
            breakers=rows.breakers_of(breakers),
            resources=rows.sizes_of(resources),
            nodes=rows.nodes_of(nodes),
            claimed=claimed,
            running=running,
            waiting=rows.instants_of(waiting),
        )

    def _all_workers(self) -> list[tuple[WorkerState, Record]]:
        found: list[tuple[WorkerState, Record]] = []
        after = ""
        while page := rows.workers_of(self._db.ask((self.readings.all_workers, (after, PAGE)))[0]):
            found.extend(_declared(page))
            after = page[-1][0]
        return found

    # ── lanes ────────────────────────────────────────────────────────────────────────────────────────────────────

    def lanes(self, names: Collection[str], *, limit: int) -> dict[str, Lane]:
        return _lanes_of(self._db.ask((self.readings.lanes, (self._db.names(names), limit)))[0], limit) if names else {}

    # ── runs ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def keyed(self, pairs: Collection[tuple[str, str]]) -> list[Run]:
        return rows.runs_of(self._db.ask((self.readings.keyed, self._db.pairs(pairs)))[0]) if pairs else []

    def expiring(self, now: datetime, *, limit: int) -> list[Run]:
        return rows.runs_of(self._db.ask((self.readings.expiring, (rows.micros(now), limit)))[0])

    def next_give_up(self) -> datetime | None:
        return rows.instant_or_none(self._db.ask((self.readings.next_give_up, ()))[0])

    def open_letters(self, worker: str, *, without_payload_only: bool, limit: int) -> list[DeadLetter]:
        most = 0 if without_payload_only else 1
        return rows.letters_of(self._db.ask((self.readings.open_letters, (worker, most, limit)))[0])


def _declared(found: Iterable[rows.WorkerRow]) -> list[tuple[WorkerState, Record]]:
    return [(state, record or Record()) for _, state, record in found if state is not None]


def _lanes_of(text: Text, limit: int) -> dict[str, Lane]:
    lanes: dict[str, Lane] = {}
    for name, parts in rows.lane_rows_of(text):
        if len(parts) == 1:
            lanes[name] = _whole_lane(parts[0])
            continue
        *queues, standing, least = parts
        lanes[name] = Lane.read(
            ((number, queue, len(queue) < limit) for number, queue in enumerate(queues)),
            standing=standing,
            least=least[0] if least else None,
        )
    return lanes


def _whole_lane(runs: list[Run]) -> Lane:
    queues: list[list[Run]] = [[] for _ in range(QUEUES)]
    for run in runs:
        queues[queue_of(run)].append(run)
    standing = [run for run in runs if run.is_standing]
    return Lane.read(((number, queue, True) for number, queue in enumerate(queues)), standing=standing, least=None)
