"""What a transaction or a view of the memory store reads and writes.

Rules of this file
- The same questions get the same answers in the same order as in SQL; what SQLite counts or limits is limited here too.
- A transaction changes the tables at once and sees its own writes; numbers and notices only come with the commit.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterator
from datetime import datetime
from itertools import chain, count, islice
from typing import TYPE_CHECKING, Any

from shiftboss.clock import Clock
from shiftboss.core.audit import AuditRow, Seal
from shiftboss.core.control import Request
from shiftboss.core.events import Audit, Event, UnreadableEvent
from shiftboss.core.lane import Lane
from shiftboss.core.model import MAX_LINES, ClockMark, DeadLetter, LogLine, Record, Run, WorkerState
from shiftboss.core.snapshot import NO_RECORD, Change
from shiftboss.core.unreadable import REMEDY, SetAside, Unreadable
from shiftboss.errors import ShiftbossError, StoreRejected
from shiftboss.ports.cycle import NO_DELTA, Delta, Wanted
from shiftboss.ports.faces import HistoryFilter, LetterFilter
from shiftboss.ports.store import Past
from shiftboss.stores.memory.tables import Tables
from shiftboss.stores.sql import codec, shapes

if TYPE_CHECKING:
    from shiftboss.stores.memory.store import MemorySession

MAX_COUNTED = 1001  # as in SQL
MAX_ID = 1 << 63


class MemoryReader:
    def __init__(self, session: MemorySession, tables: Tables, clock: Clock) -> None:
        self._session = session
        self._tables = tables
        self._clock = clock

    # ── what others did ──────────────────────────────────────────────────────────────────────────────────────────

    def changes(self, *, lanes: int = 0) -> Delta:
        seen, self._session.seen = self._session.seen, self._tables.number
        if seen == self._tables.number:
            return NO_DELTA
        if seen is not None and not self._tables.epoch <= seen < self._tables.number:
            seen = None  # the store was put back to an earlier state
        return self._changes(seen, lanes)

    def _changes(self, seen: int | None, lanes: int) -> Delta:
        tables = self._tables
        since = -1 if seen is None else seen
        names = _since(tables.worker_numbers, since)
        breakers = _since(tables.breaker_numbers, since)
        known = [name for name in names if name in tables.workers]
        return Delta(
            everything=seen is None,
            workers=[self._worker(name) for name in known],
            forgotten=[name for name in names if name not in tables.workers] if seen is not None else (),
            breakers=[tables.breakers[name] for name in breakers],
            resources=dict(tables.resources),
            size_declarations=dict(tables.size_declarations),
            nodes=list(tables.nodes.values()),
            claimed=sorted(tables.running),
            running=[tables.live[run_id] for run_id in sorted(tables.running) if tables.running[run_id] > since],
            lanes={name: tables.lane(name, lanes) for name in known} if lanes and seen is not None else {},
            waiting=self._waiting() if seen is None else None,
            epoch=tables.epoch,
        )

    def _worker(self, name: str) -> tuple[WorkerState, Record]:
        return self._tables.workers[name], self._tables.records.get(name, NO_RECORD)

    def _waiting(self) -> dict[str, datetime]:
        return {
            name: min(queue[0][0] for queue in waiting.queues if queue)
            for name, waiting in self._tables.waiting.items()
            if waiting.least
        }

    # ── for the cycle ────────────────────────────────────────────────────────────────────────────────────────────

    def lanes(self, names: Collection[str], *, limit: int) -> dict[str, Lane]:
        return {name: self._tables.lane(name, limit) for name in names}

    def runs(self, ids: Collection[int]) -> list[Run]:
        tables = self._tables
        runs = (tables.live.get(run_id) or tables.history.get(run_id) for run_id in sorted(set(ids)))
        return [tables.with_bytes(run) for run in runs if run is not None]

    def keyed(self, pairs: Collection[tuple[str, str]]) -> list[Run]:
        tables = self._tables
        runs: list[Run] = []
        for pair in pairs:
            if pair in tables.live_keys:
                runs.append(tables.live[tables.live_keys[pair]])
            elif succeeded := tables.succeeded_keys.get(pair):
                runs.append(tables.history[succeeded[-1]])
        return runs

    def fired(self, names: Collection[str], *, after: datetime) -> dict[str, list[datetime]]:
        instants: dict[str, list[datetime]] = {}
        wanted = set(names)
        for name, at in self._tables.fired:
            if name in wanted and at > after:
                instants.setdefault(name, []).append(at)
        return instants

    def clock_mark(self) -> ClockMark | None:
        return self._tables.clock.get("mark")

    def payloads(self, ids: Collection[int]) -> dict[int, bytes]:
        payloads = self._tables.payloads
        return {run_id: payloads[run_id] for run_id in ids if run_id in payloads}

    def expiring(self, now: datetime, *, limit: int) -> list[Run]:
        tables = self._tables
        late = (tables.live[run_id] for at, run_id in tables.give_ups if at <= now)
        return list(islice((run for run in late if run.unreadable is None), limit))

    def next_give_up(self, after: datetime | None = None) -> datetime | None:
        return next((at for at, _ in self._tables.give_ups if after is None or at > after), None)

    def open_letters(self, worker: str, *, without_payload_only: bool, limit: int) -> list[DeadLetter]:
        letters = [self._tables.letters[run_id] for run_id in self._tables.open_letters.get(worker, ())]
        wanted = [letter for letter in letters if not (without_payload_only and letter.has_payload)]
        return sorted(wanted, key=lambda letter: (letter.has_payload, letter.run))[:limit]

    # ── for the faces ────────────────────────────────────────────────────────────────────────────────────────────

    def letters(self, wanted: LetterFilter) -> list[DeadLetter]:
        newest_first = sorted(self._tables.letters.values(), key=lambda letter: -letter.run)
        return list(islice((letter for letter in newest_first if _is_letter(letter, wanted)), wanted.limit))

    def history(self, wanted: HistoryFilter) -> list[Run]:
        """`since` keeps runs that are live or have ended since then; `error_type` applies to ended runs."""
        tables = self._tables
        ids = sorted((*tables.live, *tables.history_ids), reverse=True)
        runs = (tables.live.get(run_id) or tables.history[run_id] for run_id in ids)
        return list(islice((run for run in runs if _is_run(run, wanted)), wanted.limit))

    def counts(self) -> dict[str, dict[str, int]]:
        tables = self._tables
        counts = {name: _no_counts() for name in tables.workers}
        until = (self._clock.now(), MAX_ID)
        for name, waiting in tables.waiting.items():
            if waiting.least:
                counts_of_worker = counts.setdefault(name, _no_counts())
                due = sum(bisect_right(queue, until) for queue in waiting.queues)
                counts_of_worker["pending"], counts_of_worker["due"] = (
                    min(len(waiting), MAX_COUNTED),
                    min(due, MAX_COUNTED),
                )
        for run_id in tables.running:
            counts.setdefault(tables.live[run_id].worker, _no_counts())["running"] += 1
        for name, letters in tables.open_letters.items():
            if letters:
                counts.setdefault(name, _no_counts())["dead_letters"] = len(letters)
        return counts

    def letter_counts(self) -> dict[str, int]:
        return {name: len(letters) for name, letters in self._tables.open_letters.items() if letters}

    def events(self, *, after: int, limit: int, worker: str | None = None) -> list[tuple[int, Event]]:
        stored = self._tables.events
        first = bisect_right(stored, after, key=lambda pair: pair[0])
        events = (pair for pair in islice(stored, first, None) if worker is None or pair[1].worker == worker)
        return list(islice(events, limit))

    def last_event(self) -> int:
        return self._tables.next_event - 1

    def audit(self, *, after: int, limit: int) -> list[AuditRow]:
        return list(islice((row for row in self._tables.audit if row.id > after), limit))

    def acts_before(self, before: int, *, limit: int) -> list[tuple[int, Audit | UnreadableEvent]]:
        newest_first = (row for row in reversed(self._tables.audit) if row.id < before)
        return [(row.id, shapes.act(row)) for row in islice(newest_first, limit)]

    def seals(self, *, after: int, limit: int) -> list[Seal]:
        seals = self._tables.seals
        return [seals[number] for number in sorted(seals) if number > after][:limit]

    def last_seal(self) -> Seal | None:
        return self._tables.seals[max(self._tables.seals)] if self._tables.seals else None

    def lines(self, run: int, *, after: tuple[int, int] = (0, 0), limit: int = MAX_LINES) -> list[LogLine]:
        lines = self._tables.lines.get(run, ())
        return [line for line in lines if (line.fence, line.number) > after][:limit]

    def unreadable(self, places: Collection[tuple[str, str]] | None = None) -> list[Unreadable]:
        rows = self._tables.unreadable()
        return [row for row in rows if places is None or row.place in places]

    def set_aside(self, *, after: int, limit: int) -> list[tuple[int, SetAside]]:
        return list(enumerate(self._tables.aside, 1))[after : after + limit]

    has_arrivals = False  # nobody else has transactions here

    def past(self) -> Past:
        return Past(self._tables.number, self._tables.next_run - 1)

    def info(self) -> dict[str, Any]:
        tables = self._tables
        return {
            "engine": "memory",
            "schema": 1,
            "commits": tables.number,
            "next_run": tables.next_run,
            "next_event": tables.next_event,
            "live_runs": len(tables.live),
            "finished_runs": len(tables.history),
            "integrity": "ok",
        }


class MemoryTransaction(MemoryReader):
    def __init__(self, session: MemorySession, tables: Tables, clock: Clock, *, held: Wanted | None = None) -> None:
        super().__init__(session, tables, clock)
        self.held = None if held is None else frozenset(held)
        self._wanted = held
        self.number = tables.number + 1
        self.has_written = False
        self.failure: ShiftbossError | None = None
        self._next_run = tables.next_run
        self._next_event = tables.next_event
        self._touched: dict[str, None] = {}
        self._touched_breakers: dict[str, None] = {}

    def arrivals(self, *, limit: int) -> list[Request]:
        return []

    def continue_after(self, past: Past) -> None:
        self.number = max(self.number, past.number + 1)
        self._next_run = max(self._next_run, past.run_id + 1)

    def changes(self, *, lanes: int = 0) -> Delta:
        """Like PostgreSQL: only about what it holds, unless somebody has had the whole store since."""
        seen, wanted = self._session.seen, self._wanted
        if wanted is None or seen is None or self._tables.alone > seen:
            return super().changes(lanes=lanes)
        if seen == self._tables.number:
            return NO_DELTA
        return only_of(self._changes(seen, lanes), wanted, self._tables)

    def expect(self, runs: int) -> None:
        """Counting costs nothing here."""

    def ids(self) -> Iterator[int]:
        for run_id in count(self._next_run):
            if run_id < self._next_run:
                continue  # another iterator of this transaction has handed it out meanwhile
            self._next_run = run_id + 1
            yield run_id

    def write(self, change: Change, *, new: Collection[int]) -> None:
        self.has_written = True
        try:
            self._write(change, new)
        except ShiftbossError as error:
            self.failure = error
            raise

    def finish(self) -> None:
        """Changes that only a commit makes."""
        tables = self._tables
        if self.held is None:
            tables.alone = self.number
        tables.number, tables.next_run, tables.next_event = self.number, self._next_run, self._next_event
        for numbers, touched in (
            (tables.worker_numbers, self._touched),
            (tables.breaker_numbers, self._touched_breakers),
        ):
            for name in touched:
                numbers.pop(name, None)  # so that the latest are last
                numbers[name] = self.number
        tables.keep()

    def _write(self, change: Change, new: Collection[int]) -> None:
        tables = self._tables
        records = (record for _, record in change.records)
        values: chain[Any] = chain(change.runs, change.workers, records, change.breakers, change.nodes, change.letters)
        for value in values:
            if value.unreadable is not None:
                raise StoreRejected(f"{value.unreadable}, and is not overwritten; {REMEDY}")
        for row in change.set_aside:
            tables.set_aside(row)
            if row.worker:
                self._touched[row.worker] = None
        if change.runs:
            fresh = new if isinstance(new, set | frozenset) else frozenset(new)
            tables.write_runs(change.runs, fresh, number=self.number)
            self._touched.update(dict.fromkeys(run.worker for run in change.runs if run.worker in tables.workers))
        for name in change.forgotten:
            if name in tables.workers:
                tables.drop(tables.workers, name)
                tables.drop(tables.records, name)
                self._touched[name] = None
        for state in change.workers:
            tables.put(tables.workers, state.name, state)
            self._touched[state.name] = None
        for name, record in change.records:
            if name in tables.workers:
                tables.put(tables.records, name, record)
                self._touched[name] = None
        for breaker in change.breakers:
            tables.put(tables.breakers, breaker.name, breaker)
            self._touched_breakers[breaker.name] = None
        for resource, size in change.resources:
            tables.put(tables.resources, resource, size)
        for resource, declarations in change.size_declarations:
            tables.put(tables.size_declarations, resource, declarations)
        for node in change.nodes:
            tables.put(tables.nodes, node.id, node)
        for node_id in change.gone_nodes:
            tables.drop(tables.nodes, node_id)
        for letter in change.letters:
            tables.put_letter(letter)
        for line in change.lines:
            tables.put_line(line)
        if change.clock is not None:
            tables.put(tables.clock, "mark", change.clock)
        if change.shift is not None:
            tables.shift_waiting(change.shift, number=self.number)
            self._touched.update(dict.fromkeys(tables.workers))
        for event in change.events:
            if event.STORED:
                tables.append(tables.events, (self._next_event, event))
                if event.AUDITED and change.audit is None:
                    act = AuditRow(self._next_event, codec.micros(event.at), codec.text_of(event).encode())
                    tables.append(tables.audit, act)
                self._next_event += 1
        for act in change.audit or ():
            tables.append(tables.audit, act)
            self._next_event = max(self._next_event, act.id + 1)
        for seal in change.seals:
            tables.put(tables.seals, seal.id, seal)


def only_of(delta: Delta, held: Wanted, tables: Tables) -> Delta:
    """The part of *delta* that concerns the held partitions."""
    them = frozenset(name for partition in held.values() for name in partition.names)
    bound = frozenset(name for partition in held.values() for name in partition.bound)
    return Delta(
        workers=[pair for pair in delta.workers if pair[0].name in them],
        breakers=delta.breakers,
        claimed=[run_id for run_id in delta.claimed or () if tables.live[run_id].worker in bound],
        running=[run for run in delta.running if run.worker in bound],
        lanes={name: lane for name, lane in delta.lanes.items() if name in them},
        of=sorted(bound),
        more=True,
    )


def _since(numbers: dict[str, int], seen: int) -> list[str]:
    """Names with a later number; these are last."""
    names: list[str] = []
    for name in reversed(numbers):
        if numbers[name] <= seen:
            break
        names.append(name)
    return names


def _is_letter(letter: DeadLetter, wanted: LetterFilter) -> bool:
    return (
        (not wanted.ids or letter.run in wanted.ids)
        and (wanted.worker is None or letter.worker == wanted.worker)
        and (wanted.error_type is None or letter.error_type == wanted.error_type)
        and (wanted.since is None or letter.entered_at >= wanted.since)
        and (wanted.state is None or letter.state == wanted.state)
        and (wanted.before is None or letter.run < wanted.before)
    )


def _is_run(run: Run, wanted: HistoryFilter) -> bool:
    is_final = run.status.is_final
    return (
        (wanted.worker is None or run.worker == wanted.worker)
        and (not wanted.status or run.status in wanted.status)
        and (wanted.since is None or not is_final or (run.finished_at or run.due_at) >= wanted.since)
        and (wanted.key is None or run.key == wanted.key)
        and (wanted.error_type is None or (is_final and run.error is not None and run.error.type == wanted.error_type))
        and (wanted.before is None or run.id < wanted.before)
    )


def _no_counts() -> dict[str, int]:
    return {"pending": 0, "due": 0, "running": 0, "dead_letters": 0}
