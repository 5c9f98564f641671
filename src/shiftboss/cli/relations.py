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
        conditions.append(f"not older than {times.length(edge.max_age_s)}")
    if edge.on_failure is not OnFailure.WAIT:
        conditions.append("skips when it failed" if edge.on_failure is OnFailure.SKIP else "runs also when it failed")
    return f"{edge.worker} ({', '.join(conditions)})" if conditions else edge.worker
