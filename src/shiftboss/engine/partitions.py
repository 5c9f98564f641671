"""For a store with partitions: which ones a turn needs, which workers lie there, which mutations can be applied.

Rules of this file
- A mutation that names no worker's component needs the whole store.
- It reads the snapshot and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from shiftboss.core.model import Origin
from shiftboss.core.snapshot import Snapshot
from shiftboss.engine.inbox import MAX_MUTATIONS
from shiftboss.engine.mutation import NO_WORKER, Mutation
from shiftboss.ports.cycle import Partition


def worker_of(snapshot: Snapshot, mutation: Mutation) -> str | None:
    """The worker whose component a mutation stays within; None: it may concern any worker."""
    if mutation.worker is not None or mutation.run is None:
        return mutation.worker
    run = snapshot.running.get(mutation.run)
    return run.worker if run is not None else NO_WORKER  # a stale report changes nothing (C5)


def partitions_of(snapshot: Snapshot, mutations: Iterable[Mutation]) -> set[int] | None:
    """The partitions that *mutations* need; None: the whole store."""
    wanted: set[int] = set()
    for mutation in mutations:
        name = worker_of(snapshot, mutation)
        if name == NO_WORKER:
            continue
        partition = snapshot.relations.partitions.get(name) if name is not None else None
        if partition is None:
            return None
        wanted.add(partition)
    return wanted


def partitions_of_lanes(snapshot: Snapshot, names: Iterable[str]) -> set[int]:
    """The partitions of the workers *names*, as far as they are known."""
    partitions = snapshot.relations.partitions
    return {partitions[name] for name in names if name in partitions}


def partition(snapshot: Snapshot, number: int) -> Partition:
    """The workers in it.  A free worker holds no other, unless it is disabled: then one run may probe it (K5)."""
    workers, relations = snapshot.workers, snapshot.relations
    names = relations.in_partition.get(number, ())
    return Partition(
        names, [name for name in names if name not in relations.free or workers[name].disabled is not None]
    )


def split_by_held(
    snapshot: Snapshot, mutations: Sequence[Mutation], held: frozenset[int] | None
) -> tuple[Sequence[Mutation], list[Mutation]]:
    """Those of *mutations* that can be applied in a transaction that holds *held*, and the others."""
    if held is None:
        return mutations, []
    partitions = snapshot.relations.partitions
    mine: list[Mutation] = []
    missed: list[Mutation] = []
    for mutation in mutations:
        name = worker_of(snapshot, mutation)
        is_held = name == NO_WORKER or (name is not None and partitions.get(name) in held)
        (mine if is_held and len(mine) < MAX_MUTATIONS else missed).append(mutation)
    return mine, missed


def expected_runs(snapshot: Snapshot, mutations: Iterable[Mutation]) -> int:
    """About how many runs *mutations* will make."""
    expected = 0
    for mutation in mutations:
        if mutation.adds_work:
            expected += mutation.weight
        elif mutation.report is not None:
            run = snapshot.running.get(mutation.report.run)
            if run is not None:
                expected += len(snapshot.relations.after.get(run.worker, ()))
                expected += run.origin is Origin.ITERATION
    return expected
