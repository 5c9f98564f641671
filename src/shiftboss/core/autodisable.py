"""Dead runs in a row disable their worker; the success of a forced run or of a probe enables it again (K4, K5).

Rules of this file
- A success enables only a worker that failures have disabled, never one that a person has disabled.
- A run that proves nothing about its worker (unfit, expired, or fatal where the payload may be to blame) decides
  nothing.
- These functions are parts of the settlement of a run: they write into its draft.
"""

from __future__ import annotations

from shiftboss.core.events import WorkerDisabled, WorkerEnabled
from shiftboss.core.model import AUTOMATIC, Cause, Disabled, Error, Run
from shiftboss.core.occurrence import skip_what_passed
from shiftboss.core.snapshot import Draft
from shiftboss.core.value import later, replace
from shiftboss.core.worker import Definition, Mode

MAX_PROBATION_S = 86400.0  # K5: a day, so that somebody looks at a worker that keeps failing at least once a day


COUNTS = frozenset({Cause.ERROR, Cause.FATAL, Cause.TIMEOUT, Cause.LOST, Cause.CRASH, Cause.CRASH_LOOP})


def counts(definition: Definition, cause: Cause) -> bool:
    """K4, K5: whether a run that ended with *cause* shows that the worker fails."""
    return cause in COUNTS and (cause is not Cause.FATAL or definition.counts_fatal)


def disable_automatically(draft: Draft, run: Run, streak: int, error: Error) -> None:
    """K4: *run* is the last of *streak* dead runs in a row.  A worker that is disabled keeps its first reason."""
    state = draft.worker(run.worker)
    if state.disabled is not None:
        return
    probation_s = state.definition.probation_s
    failed = f"{streak} runs failed in a row (last: #{run.id})" if streak > 1 else f"run #{run.id} failed"
    reason = f"{failed}: {error.type}: {error.message[:200]}"
    disabled = Disabled(
        by=AUTOMATIC,
        reason=reason,
        since=draft.now,
        error=error.short(),
        run=run.id,
        probation_s=probation_s,
        probation_until=None if probation_s is None else later(draft.now, probation_s),
    )
    draft.put_worker(replace(state, disabled=disabled))
    starves = draft.snapshot.relations.starved_by(run.worker)
    draft.emit(
        WorkerDisabled(
            at=draft.now,
            worker=run.worker,
            run=run.id,
            by=AUTOMATIC,
            reason=reason,
            starves=starves,
            accepts=state.definition.mode is Mode.TRIGGERED,
            probe_at=disabled.probation_until,
        )
    )


def enable_again(draft: Draft, run: Run) -> None:
    """K5: *run* succeeded.  A fallback that ran in place of the function proves nothing."""
    state, claim = draft.worker(run.worker), run.claim
    if state.disabled is None or not state.disabled.automatic or claim is None or claim.fallback:
        return
    if run.forced or claim.probe:
        draft.put_worker(replace(state, disabled=None))
        skip_what_passed(draft, state.definition)
        draft.emit(WorkerEnabled(at=draft.now, worker=run.worker, run=run.id, by=AUTOMATIC))


def extend_probation(draft: Draft, run: Run, cause: Cause) -> None:
    """K5: *run* failed.  After a failed probe the next one waits twice as long, up to a day."""
    state = draft.worker(run.worker)
    disabled = state.disabled
    if not counts(state.definition, cause):
        return  # the next run probes at once
    if disabled is None or disabled.probation_s is None or run.claim is None or not run.claim.probe:
        return
    if disabled.probation_until is None or disabled.probation_until > draft.now:
        return  # the end of the attempt, which now is the end of the run, has extended it already
    probation_s = min(MAX_PROBATION_S, 2 * disabled.probation_s)
    extended = replace(disabled, probation_s=probation_s, probation_until=later(draft.now, probation_s))
    draft.put_worker(replace(state, disabled=extended))
