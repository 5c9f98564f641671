"""Relations between workers in words and as edges, for `show` and `graph`."""

from __future__ import annotations

from shiftboss.cli import times
from shiftboss.core.snapshot import Snapshot
from shiftboss.core.worker import OnFailure, Upstream


def blocked_with(snapshot: Snapshot, name: str) -> tuple[str, ...]:
    """The workers that exclude this one, whoever declared it (B1)."""
    relations = snapshot.relations
    if not relations.may_block(name):
        return ()
    return tuple(other for other in relations.component(name) if relations.conflict(name, other))


def edge_in_words(edge: Upstream) -> str:
    """ "fetch-data (fresh, else skipped)"."""
    said = []
    if edge.fresh:
        said.append("fresh")
    if edge.max_age_s is not None:
        said.append(f"not older than {times.length(edge.max_age_s)}")
    if edge.on_failure is not OnFailure.WAIT:
        said.append("skips when it failed" if edge.on_failure is OnFailure.SKIP else "runs also when it failed")
    return f"{edge.worker} ({', '.join(said)})" if said else edge.worker
