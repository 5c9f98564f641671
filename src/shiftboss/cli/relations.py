"""Relations between workers in words, for `show` and `graph`."""

from __future__ import annotations

from shiftboss.cli import times
from shiftboss.core.worker import OnFailure, Upstream


def edge_in_words(edge: Upstream) -> str:
    """ "fetch-data (fresh, else skipped)"."""
    conditions = []
    if edge.fresh:
        conditions.append("fresh")
    if edge.max_age_s is not None:
        conditions.append(f"at most {times.length(edge.max_age_s)} old")
    if edge.on_failure is not OnFailure.WAIT:
        conditions.append("on failure: skip" if edge.on_failure is OnFailure.SKIP else "on failure: run")
    return f"{edge.worker} ({', '.join(conditions)})" if conditions else edge.worker
