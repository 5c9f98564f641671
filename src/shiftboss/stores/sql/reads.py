"""What the cycle asks of a database within one consistent view: the order of questions, the meaning of answers.

Rules of this file
- Each question reads one index as far as it needs and no further: nothing here gets slower because many runs wait.
- Questions that belong together are sent together, because a server is a round trip away.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic

from shiftboss.core.declarations import Declarations
from shiftboss.core.lane import QUEUES, Lane, queue_of
from shiftboss.core.model import ClockMark, DeadLetter, Record, Run, WorkerState
from shiftboss.ports.cycle import NO_DELTA, Delta
from shiftboss.stores.sql import codec, shapes
from shiftboss.stores.sql.codec import Text
from shiftboss.stores.sql.history import Queries
from shiftboss.stores.sql.salvage import FAILURES
from shiftboss.stores.sql.statements import Connection, Question, Readings, S, Values

PAGE = 5000  # workers in one text: a few MiB
WIDENED = 64  # times the limit of a queue: how far to look behind runs that cannot be read
LONG_AGO = -(1 << 62)


BoundQuestion = tuple[Question[S], Values]


@dataclass(slots=True)
class Seen:
    """The number of the last commit that was reported to the session; None before the first, and after `forget`."""

    number: int | None = None
    lanes: int = 0  # the limit in the last call of `changes`, and so probably in the next


class Reads(Queries[S], Generic[S]):
    """A view of the store; while it is open, only its own writes change it."""

    readings: Readings[S]  # set by each store
    always: Values = (-1,)  # the values for "since" that make everything count as changed
    _db: Connection[S]
    _seen: Seen
    _last: int  # the number of the last commit in this view
    _epoch: int  # and of the commit that began the present epoch

    # ── what others did ──────────────────────────────────────────────────────────────────────────────────────────

    def changes(self, *, lanes: int = 0) -> Delta:
        seen, last = self._seen.number, self._last
        self._seen.number, self._seen.lanes = last, lanes
        if seen == last:
            return NO_DELTA
        if seen is None or seen > last or seen < self._epoch:  # an older backup was put in place of the store
            return self._everything()
        return self._delta(seen, lanes)

    def _delta(self, seen: int, lanes: int) -> Delta:
        calls = self.delta_calls((seen,), lanes)
        return self._told(calls, self._db.query(*plainly(calls)), lanes=lanes)

    @classmethod
    def delta_calls(cls, since: Values, lanes: int) -> list[BoundQuestion[S]]:
        """The questions of `changes` if others may have committed."""
        sql = cls.readings
        return [
            (sql.resources, ()),
            (sql.nodes, ()),
            (sql.changed_workers, since),
            (sql.changed_breakers, since),
            (sql.claims, since),
            *([(sql.changed_lanes, (*since, lanes))] if lanes else []),
        ]

    def _told(self, calls: Sequence[BoundQuestion[S]], texts: Sequence[Text], *, lanes: int) -> Delta:
        resources = self._read(shapes.RESOURCES, *calls[0], texts[0])
        nodes = self._read(shapes.NODES, *calls[1], texts[1])
        delta = self._told_of_workers(calls[2:], texts[2:], lanes=lanes)
        return delta._replace(resources=_sizes(resources), size_declarations=_size_declarations(resources), nodes=nodes)

    def _told_of_workers(self, calls: Sequence[BoundQuestion[S]], texts: Sequence[Text], *, lanes: int) -> Delta:
        changed = self._read(shapes.WORKERS, *calls[0], texts[0])
        claimed, running = self._read(shapes.CLAIMS, *calls[2], texts[2])
        broken = self._read(shapes.BREAKERS, *calls[1], texts[1])
        return Delta(
            workers=_declared(changed),
            forgotten=[name for name, state, _ in changed if state is None],
            breakers=broken,
            claimed=claimed,
            running=running,
            lanes=self._read_lanes(*calls[3], texts[3], limit=lanes) if lanes else {},
        )

    def _everything(self) -> Delta:
        sql = self.readings
        calls: list[BoundQuestion[S]] = [
            (sql.changed_breakers, self.always),
            (sql.resources, ()),
            (sql.nodes, ()),
            (sql.claims, self.always),
            (sql.waiting, ()),
        ]
        breakers, resources, nodes, claims, waiting = self._db.query(*plainly(calls))
        claimed, running = self._read(shapes.CLAIMS, *calls[3], claims)
        breaker_rows = self._read(shapes.BREAKERS, *calls[0], breakers)
        due = self._read(shapes.INSTANTS, *calls[4], waiting)
        sizes = self._read(shapes.RESOURCES, *calls[1], resources)
        return Delta(
            everything=True,
            workers=self._all_workers(),
            breakers=breaker_rows,
            resources=_sizes(sizes),
            size_declarations=_size_declarations(sizes),
            nodes=self._read(shapes.NODES, *calls[2], nodes),
            claimed=claimed,
            running=running,
            waiting={name: codec.instant_of(number) for name, number in due},
            epoch=self._epoch,
        )

    def _all_workers(self) -> list[tuple[WorkerState, Record]]:
        workers: list[tuple[WorkerState, Record]] = []
        after = ""
        while page := self._ask(shapes.WORKERS, self.readings.all_workers, (after, PAGE)):
            workers.extend(_declared(page))
            after = page[-1][0]
            if len(page) < PAGE:
                break
        return workers

    # ── lanes ────────────────────────────────────────────────────────────────────────────────────────────────────

    def lanes(self, names: Collection[str], *, limit: int) -> dict[str, Lane]:
        if not names:
            return {}
        question, values = self.readings.lanes, (self._db.names(names), limit)
        return self._read_lanes(question, values, self._db.query((question.plain, values))[0], limit=limit)

    def _read_lanes(self, question: Question[S], values: Values, text: Text, *, limit: int) -> dict[str, Lane]:
        """*values* end with the limit.  Behind runs that cannot be read it looks further, up to a bound."""
        try:
            return {name: _lane(parts, limit) for name, parts in shapes.LANES.read(text)}
        except FAILURES:
            pass
        for wide in _wider(limit):
            lanes = shapes.LANES.read_carefully(self._db.query((question.careful, (*values[:-1], wide)))[0])
            is_last = wide >= limit * WIDENED
            if is_last or not any(_is_hidden(part, wide) for _, parts in lanes for part in parts[:QUEUES]):
                break
        return {name: _lane(parts, wide, is_last=is_last) for name, parts in lanes}

    # ── runs ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def keyed(self, pairs: Collection[tuple[str, str]]) -> list[Run]:
        return self._ask(shapes.RUNS, self.readings.keyed, self._db.pairs(pairs)) if pairs else []

    def fired(self, names: Collection[str], *, after: datetime) -> dict[str, list[datetime]]:
        values = self._db.names(names), codec.micros(after)
        instants: dict[str, list[datetime]] = {}
        text = self._db.query((self.readings.fired, values))[0] if names else None
        for name, number in shapes.INSTANTS.read(text):
            instants.setdefault(name, []).append(codec.instant_of(number))
        return instants

    def clock_mark(self) -> ClockMark | None:
        return codec.clock_of(self._db.query((self.readings.clock, ()))[0])

    def expiring(self, now: datetime, *, limit: int) -> list[Run]:
        """Only readable runs: nobody may end the others (W8)."""
        for wide in (limit, *_wider(limit)):
            runs = self._ask(shapes.RUNS, self.readings.expiring, (codec.micros(now), wide))
            readable = [run for run in runs if run.unreadable is None]
            if readable or len(runs) < wide:
                break
        return readable[:limit]

    def next_give_up(self, after: datetime | None = None) -> datetime | None:
        at = LONG_AGO if after is None else codec.micros(after)
        return codec.instant_or_none(self._db.query((self.readings.next_give_up, (at,)))[0])

    def open_letters(self, worker: str, *, without_payload_only: bool, limit: int) -> list[DeadLetter]:
        most = 0 if without_payload_only else 1
        return self._ask(shapes.LETTERS, self.readings.open_letters, (worker, most, limit))


def plainly(calls: Iterable[BoundQuestion[S]]) -> list[tuple[S, Values]]:
    return [(question.plain, values) for question, values in calls]


def _wider(limit: int) -> Iterator[int]:
    wide = limit
    while wide < limit * WIDENED:
        wide *= 4
        yield wide


def _is_hidden(part: list[Run], limit: int) -> bool:
    """Whether readable runs may be hidden behind the ones of a queue, none of which can be read."""
    return len(part) == limit and all(run.unreadable is not None for run in part)


def _sizes(resources: Mapping[str, tuple[int, str | None]]) -> dict[str, int]:
    return {name: size for name, (size, _) in resources.items()}


def _size_declarations(resources: Mapping[str, tuple[int, str | None]]) -> dict[str, Declarations]:
    return {name: codec.declarations_of(text) for name, (_, text) in resources.items() if text is not None}


def _declared(rows: Iterable[shapes.WorkerRow]) -> list[tuple[WorkerState, Record]]:
    return [(state, record or Record()) for _, state, record in rows if state is not None]


def _lane(parts: list[list[Run]], limit: int, *, is_last: bool = False) -> Lane:
    """With *is_last*, runs behind a queue without a readable one wait until the unreadable ones are set aside."""
    if len(parts) == 1:
        return _whole_lane(parts[0])
    *queues, standing, least = parts
    lane = Lane.read(
        (
            (number, readable(queue), len(queue) < limit or (is_last and _is_hidden(queue, limit)))
            for number, queue in enumerate(queues)
        ),
        standing=readable(standing),
        least=least[0] if least and least[0].unreadable is None else None,
    )
    lane.seal(run for part in parts for run in part if run.unreadable is not None)
    return lane


def readable(runs: list[Run]) -> list[Run]:
    return [run for run in runs if run.unreadable is None]


def _whole_lane(runs: list[Run]) -> Lane:
    if len(runs) == 1 and runs[0].unreadable is None:
        return Lane(runs)
    queues: list[list[Run]] = [[] for _ in range(QUEUES)]
    for run in runs:
        if run.unreadable is None:
            queues[queue_of(run)].append(run)
    standing = [run for run in runs if run.is_standing and run.unreadable is None]
    lane = Lane.read(((number, queue, True) for number, queue in enumerate(queues)), standing=standing, least=None)
    lane.seal(run for run in runs if run.unreadable is not None)
    return lane
