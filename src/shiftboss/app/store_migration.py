"""Copies everything that one store holds into another, empty one, and compares both before it reports success.

Rules of this file
- The source must be at rest: a live node refuses the move, and a lock keeps out everybody who would write.  Triggers
  from callers' transactions that no node has picked up refuse it as well: they would stay behind.
- A row that cannot be read could not be compared: it refuses the move, by its name, until it is set aside.  Rows that
  were set aside are moved as well.
- The target gets everything in one transaction, or nothing.
- What is then read from the target is compared with what was read from the source, by count and by digest.
- Ids, fences and bytes stay as they are, and so does the audit with its seals; only events get new numbers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from enum import StrEnum

import msgspec

from shiftboss.core.fleet import is_live
from shiftboss.core.model import MAX_LINES, LogLine
from shiftboss.core.snapshot import Change
from shiftboss.core.value import replace
from shiftboss.errors import NotAllowed, StoreDamaged
from shiftboss.ports.cycle import Delta
from shiftboss.ports.faces import HistoryFilter, LetterFilter
from shiftboss.ports.store import Reader, Session, Store

PAGE = 500  # of rows without payloads
RUNS = 50  # with their payloads, results and lines: 50 MiB if each payload is as large as the default limit allows
SHOWN = 5  # unreadable rows that the message names
KINDS = (
    "workers",
    "records",
    "breakers",
    "resources",
    "size_declarations",
    "nodes",
    "runs",
    "lines",
    "letters",
    "events",
    "audit",
    "seals",
    "set_aside",
)

_encode = msgspec.msgpack.Encoder(order="deterministic").encode  # bytes as bytes; the digest covers every field


class Copied(msgspec.Struct, frozen=True):
    """One kind of row: how many there are, and the SHA-256 of all of them in order."""

    count: int
    digest: str


class Stage(StrEnum):
    """What a move is doing; the second stage takes about as long as the first."""

    MOVED = "moved"
    COMPARED = "compared"


Progress = Callable[[Stage, int], None]  # the stage, and how many runs it has handled


class Moved(msgspec.Struct, frozen=True):
    """What was moved, and from where to where; addresses without passwords."""

    source: str
    target: str
    parts: Mapping[str, Copied]


def move(source: Store, target: Store, *, on_progress: Progress = lambda stage, runs: None) -> Moved:
    """Copy all of *source* into *target*; both are open.

    Raises NotAllowed while a node is live in the source or anything is in the target, StoreDamaged if the copy differs;
    the source is never changed.
    """
    if source.url == target.url:
        raise NotAllowed(f"{source.url} cannot be moved into itself; name another target")
    with closing(source.session()) as there, closing(target.session()) as here:
        there.take_time()
        here.take_time()
        with here.read() as reader:  # without a lock yet: both addresses might name the same store
            _refuse_a_full_one(target, reader)
        here.forget()
        expected = _copied(source, target, there, here, on_progress)
        here.forget()
        with here.read() as reader:
            copied = Tally()
            for change in contents(reader, reader.changes()):
                copied.add(change)
                on_progress(Stage.COMPARED, copied.runs)
    got = copied.parts()
    wrong = [
        f"{part}: {expected[part].count} became {got[part].count}" for part in KINDS if expected[part] != got[part]
    ]
    if wrong:
        raise StoreDamaged(
            f"{target.url} differs from {source.url} ({'; '.join(wrong)}, or in contents); drop the target, keep the "
            "source, and report this"
        )
    return Moved(source.url, target.url, expected)


def _copied(source: Store, target: Store, there: Session, here: Session, on_progress: Progress) -> dict[str, Copied]:
    """Copy everything in one transaction; returns counts and digests of what was read."""
    with there.begin() as old:
        everything = old.changes()
        _refuse_the_living(source, everything)
        _refuse_what_waits(source, old)
        _refuse_the_unreadable(source, old)
        with here.begin() as new:
            _refuse_a_full_one(target, new)
            new.continue_after(old.past())
            read = Tally()
            for change in contents(old, everything):
                read.add(change)
                new.write(change, new={run.id for run in change.runs})
                on_progress(Stage.MOVED, read.runs)
    return read.parts()


def contents(reader: Reader, delta: Delta) -> Iterator[Change]:
    """Everything in a view, in an order in which it can be written; *delta* is a full reading of the view."""
    pairs = sorted(delta.workers, key=lambda pair: pair[0].name)
    yield Change(
        workers=tuple(state for state, _ in pairs),
        records=tuple((state.name, record) for state, record in pairs),
        breakers=tuple(sorted(delta.breakers, key=lambda breaker: breaker.name)),
        resources=tuple(sorted((delta.resources or {}).items())),
        size_declarations=tuple(sorted((delta.size_declarations or {}).items())),
        nodes=tuple(sorted(delta.nodes or (), key=lambda node: node.id)),
        clock=reader.clock_mark(),
    )
    yield from _runs(reader)
    yield from _letters(reader)
    yield from _events(reader)
    yield from _audit(reader)
    yield from _set_aside(reader)


def _runs(reader: Reader) -> Iterator[Change]:
    before: int | None = None
    while page := reader.history(HistoryFilter(before=before, limit=PAGE)):
        before = page[-1].id
        for first in range(0, len(page), RUNS):
            ids = [run.id for run in page[first : first + RUNS]]
            runs = sorted(reader.runs(ids), key=lambda run: -run.id)
            lines = [line for run in runs if run.first_started_at is not None for line in _lines(reader, run.id)]
            yield Change(runs=tuple(runs), lines=tuple(lines))


def _lines(reader: Reader, run: int) -> Iterator[LogLine]:
    """The lines of all its attempts: of each attempt the last MAX_LINES are kept."""
    after = (0, 0)
    while page := reader.lines(run, after=after, limit=MAX_LINES):
        yield from page
        if len(page) < MAX_LINES:
            return
        after = page[-1].fence, page[-1].number


def _letters(reader: Reader) -> Iterator[Change]:
    before: int | None = None
    while page := reader.letters(LetterFilter(state=None, before=before, limit=PAGE)):
        before = page[-1].run
        yield Change(letters=tuple(page))


def _events(reader: Reader) -> Iterator[Change]:
    after = 0
    while page := reader.events(after=after, limit=PAGE):
        after = page[-1][0]
        yield Change(events=tuple(event for _, event in page), audit=())


def _audit(reader: Reader) -> Iterator[Change]:
    """With the numbers that it has, because its seals refer to them."""
    after = 0
    while rows := reader.audit(after=after, limit=PAGE):
        after = rows[-1].id
        yield Change(audit=tuple(rows))
    after = 0
    while seals := reader.seals(after=after, limit=PAGE):
        after = seals[-1].id
        yield Change(seals=tuple(seals))


def _set_aside(reader: Reader) -> Iterator[Change]:
    after = 0
    while page := reader.set_aside(after=after, limit=PAGE):
        after = page[-1][0]
        yield Change(set_aside=tuple(replace(row, leaves=False) for _, row in page))


def _refuse_the_unreadable(source: Store, reader: Reader) -> None:
    rows = reader.unreadable()
    if rows:
        more = f" and {len(rows) - SHOWN} more" if len(rows) > SHOWN else ""
        shown = "; ".join(str(row) for row in rows[:SHOWN])
        raise NotAllowed(
            f"{source.url} holds rows that cannot be moved: {shown}{more}; set them aside first: "
            f"shiftboss doctor --set-aside --store {source.url}"
        )


def _refuse_the_living(source: Store, delta: Delta) -> None:
    clock = source.clock
    alive = [
        node.name
        for node in delta.nodes or ()
        if not source.is_dead(node.id)
        and (is_live(node, boot=clock.boot, lease_s=clock.lease_s()) or source.is_frozen(node.id))
    ]
    if alive:
        raise NotAllowed(f"{source.url} is in use by {', '.join(sorted(alive))}; stop these nodes, then move it")


def _refuse_what_waits(source: Store, reader: Reader) -> None:
    if reader.has_arrivals:
        raise NotAllowed(
            f"{source.url} has triggers from transactions that no node has picked up yet; stop the processes that "
            "trigger, start a node for a moment, then move it"
        )


def _refuse_a_full_one(target: Store, reader: Reader) -> None:
    delta = reader.changes()
    if delta.workers or delta.nodes or reader.history(HistoryFilter(limit=1)):
        raise NotAllowed(f"{target.url} is not empty; move into a new store")


class Tally:
    """Counts and digests of the changes that are added."""

    def __init__(self) -> None:
        self._counts = dict.fromkeys(KINDS, 0)
        self._digests = {part: hashlib.sha256() for part in KINDS}

    def add(self, change: Change) -> None:
        for part in KINDS:
            for value in getattr(change, part) or ():
                self._counts[part] += 1
                self._digests[part].update(_encode(value))

    @property
    def runs(self) -> int:
        return self._counts["runs"]

    def parts(self) -> dict[str, Copied]:
        return {part: Copied(self._counts[part], self._digests[part].hexdigest()) for part in KINDS}
