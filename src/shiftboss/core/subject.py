"""What lanes wait for together: when it becomes free, some of them may start.

Rules of this file
- A subject lies within one component, so in one partition.
- All that wait for a subject lack the same thing, and as much of it; only those that wait for an upstream do not (D2).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from shiftboss.core.snapshot import Snapshot

UPSTREAM = "upstream"


class Subject(NamedTuple):
    """A kind, a name of that kind, and what else has to be equal."""

    kind: str
    name: str
    amount: int = 0


def permits(resource: str, wanted: int) -> Subject:
    """B9: so many permits of a resource."""
    return Subject("permits", resource, wanted)


def breaker(name: str) -> Subject:
    """K2, K3: a breaker that lets runs through."""
    return Subject("breaker", name)


def upstream(name: str) -> Subject:
    """D2 to D6: finished work of a worker."""
    return Subject(UPSTREAM, name)


def no_bearer(word: str) -> Subject:
    """B1: that nobody runs who bears this name or tag; for workers whose `blocks` has it."""
    return Subject("no bearer", word)


def no_speaker(word: str) -> Subject:
    """B1: that nobody runs whose `blocks` has this name or tag; for workers that bear it."""
    return Subject("no speaker", word)


def taken_by(snapshot: Snapshot, worker: str) -> Iterator[Subject]:
    """What the runs of *worker* take away from others, or reserve (B4): free again when one ends."""
    state = snapshot.workers.get(worker)
    if state is None:
        return
    relations = snapshot.relations
    for resource in state.definition.uses:
        for wanted in relations.wanted.get(resource, ()):
            yield permits(resource, wanted)
    for word in relations.marks.get(worker, ()):
        yield no_bearer(word)
    for word in relations.words.get(worker, ()):
        yield no_speaker(word)


def freed_by(snapshot: Snapshot, worker: str) -> Iterator[Subject]:
    """What may be free for others after something of *worker* has ended or changed."""
    yield from taken_by(snapshot, worker)
    state = snapshot.workers.get(worker)
    if state is not None and state.definition.breaker is not None:
        yield breaker(state.definition.breaker)
    if worker in snapshot.relations.dependents:
        yield upstream(worker)


def freed_by_breaker(snapshot: Snapshot, name: str) -> Iterator[Subject]:
    """What may be free after a breaker has changed.  While it is not closed its workers count as failed (D6)."""
    yield breaker(name)
    for worker in snapshot.relations.sharing_breaker(name):
        if worker in snapshot.relations.dependents:
            yield upstream(worker)
