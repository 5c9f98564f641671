"""What a turn is about, where a store has parts: which of them, who lies there, which facts can be applied.

Rules of this file
- A fact that does not say within which worker's component it stays is about the whole store.
- It reads the snapshot, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from shiftboss.core.model import Origin
from shiftboss.core.snapshot import Snapshot
from shiftboss.engine.fact import NO_WORKER, Fact
from shiftboss.engine.inbox import MAX_FACTS
from shiftboss.ports import Part


def worker_of(snapshot: Snapshot, fact: Fact) -> str | None:
    """Within whose component a fact stays; None: it may concern anybody."""
    if fact.worker is not None or fact.run is None:
        return fact.worker
    run = snapshot.running.get(fact.run)
    return run.worker if run is not None else NO_WORKER  # a stale report changes nothing (C5)


def parts_of(snapshot: Snapshot, facts: Iterable[Fact]) -> set[int] | None:
    """The parts that *facts* are about; None: all of the store."""
    wanted: set[int] = set()
    for fact in facts:
        name = worker_of(snapshot, fact)
        if name == NO_WORKER:
            continue
        part = snapshot.relations.parts.get(name) if name is not None else None
        if part is None:
            return None
        wanted.add(part)
    return wanted


def parts_of_lanes(snapshot: Snapshot, names: Iterable[str]) -> set[int]:
    """The parts in which the workers *names* lie, as far as they are known."""
    parts = snapshot.relations.parts
    return {parts[name] for name in names if name in parts}


def part(snapshot: Snapshot, number: int) -> Part:
    """Who lies in it.  Free workers hold nobody, but when they are disabled: then one run may probe (K5)."""
    workers, relations = snapshot.workers, snapshot.relations
    names = relations.in_part.get(number, ())
    return Part(names, [name for name in names if name not in relations.free or workers[name].disabled is not None])


def those_held(
    snapshot: Snapshot, facts: Sequence[Fact], held: frozenset[int] | None
) -> tuple[Sequence[Fact], list[Fact]]:
    """Those of *facts* that can be applied in a transaction which holds *held*, and the others."""
    if held is None:
        return facts, []
    parts = snapshot.relations.parts
    mine: list[Fact] = []
    missed: list[Fact] = []
    for fact in facts:
        name = worker_of(snapshot, fact)
        is_held = name == NO_WORKER or (name is not None and parts.get(name) in held)
        (mine if is_held and len(mine) < MAX_FACTS else missed).append(fact)
    return mine, missed


def new_runs(snapshot: Snapshot, facts: Iterable[Fact]) -> int:
    """About how many runs *facts* will make."""
    expected = 0
    for fact in facts:
        if fact.adds_work:
            expected += 1
        elif fact.report is not None:
            run = snapshot.running.get(fact.report.run)
            if run is not None:
                expected += len(snapshot.relations.after.get(run.worker, ()))
                expected += run.origin is Origin.ITERATION
    return expected
