"""Runs that die in a row switch their worker off; the success of a forced run or of a probe switches it on (K4, K5).

Rules of this file
- Only what failures switched off do successes switch on; what a person decided stays.
- A run that says nothing about its worker (unfit, expired; fatal where the payload may be to blame) decides nothing.
- These are parts of the settlement of a run: they write into its draft.
"""

from __future__ import annotations

from shiftboss.core.events import WorkerDisabled, WorkerEnabled
from shiftboss.core.model import AUTOMATIC, Cause, Disabled, Error, Run
from shiftboss.core.occurrence import skip_what_passed
from shiftboss.core.snapshot import Draft
from shiftboss.core.value import later, replace
from shiftboss.core.worker import Definition, Mode

MAX_PROBATION_S = 86400.0  # K5: a day; what failed for so long is looked at by somebody once a day at least


COUNTS = frozenset({Cause.ERROR, Cause.FATAL, Cause.TIMEOUT, Cause.LOST, Cause.CRASH, Cause.CRASH_LOOP})


def counts(definition: Definition, cause: Cause) -> bool:
    """K4, K5: whether an end with *cause* says that the worker fails."""
    return cause in COUNTS and (cause is not Cause.FATAL or definition.counts_fatal)


def disable_automatically(draft: Draft, run: Run, streak: int, error: Error) -> None:
    """K4: *run* is the last of *streak* dead ones.  Who was disabled already stays so, with the first reason."""
    state = draft.worker(run.worker)
    if state.disabled is not None:
        return
    probation_s = state.definition.probation_s
    reason = f"{streak} runs in a row died, the last one run {run.id}: {error.type}: {error.message[:200]}"
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
    """K5: *run* succeeded.  A fallback in the body's place proves nothing."""
    state, claim = draft.worker(run.worker), run.claim
    if state.disabled is None or not state.disabled.automatic or claim is None or claim.fallback:
        return
    if run.forced or claim.probe:
        draft.put_worker(replace(state, disabled=None))
        skip_what_passed(draft, state.definition)
        draft.emit(WorkerEnabled(at=draft.now, worker=run.worker, run=run.id, by=AUTOMATIC))


def extend_probation(draft: Draft, run: Run, cause: Cause) -> None:
    """K5: *run* failed.  After a failed probe the next waits twice as long, up to a day."""
    state = draft.worker(run.worker)
    disabled = state.disabled
    if not counts(state.definition, cause):
        return  # the next run probes at once
    if disabled is None or disabled.probation_s is None or run.claim is None or not run.claim.probe:
        return
    if disabled.probation_until is None or disabled.probation_until > draft.now:
        return  # extended already, by the end of the attempt that is now the end of the run
    probation_s = min(MAX_PROBATION_S, 2 * disabled.probation_s)
    extended = replace(disabled, probation_s=probation_s, probation_until=later(draft.now, probation_s))
    draft.put_worker(replace(state, disabled=extended))
