"""Many triggers as one act: all of them are stored, or none (O6).

Rules of this file
- Each trigger is judged as if it came alone, after those before it; their order is that of the call.
- One refusal refuses all, and the error names every refused trigger by its place in the call.
- What the triggers of a call share is computed once for each worker, not once for each run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import cast

from shiftboss.core.control import (
    Request,
    earlier_run,
    encoded_by,
    how,
    must_be_accepted,
    readable,
    state_text,
    triggered_run,
)
from shiftboss.core.events import Audit, Event, RunStored
from shiftboss.core.model import Run
from shiftboss.core.snapshot import NOTHING, Change, Snapshot
from shiftboss.core.value import replace
from shiftboss.errors import CallerError, DuplicateKey, RefusedTrigger, TriggersRefused

Trigger = Request | RefusedTrigger  # as it came, or why the caller's process has refused it already


def trigger_many(
    snapshot: Snapshot, now: datetime, *, ids: Iterator[int], triggers: Sequence[Trigger]
) -> tuple[Change, tuple[Run, ...]]:
    """Store a run for each of *triggers*, or find the one that its key already made (O5, O6, K5).

    Answers with the runs in the order of the triggers.  Raises TriggersRefused.
    """
    earlier, refused = _judged(snapshot, now, triggers)
    if refused:
        raise TriggersRefused(len(triggers), refused)
    requests = cast("Sequence[Request]", triggers)  # none was refused
    runs: list[Run] = []
    fresh: list[Run] = []
    shared: dict[tuple[object, ...], Run] = {}
    for place, request in enumerate(requests):
        before = earlier.get(place)
        if before is not None:
            runs.append(before if isinstance(before, Run) else runs[before])
            continue
        alike = request.worker, request.delay_s, request.at, request.priority, request.force, request.by
        common = shared.get(alike)
        if common is None:
            state = readable(snapshot, request.worker)
            common = shared[alike] = triggered_run(state, now, request=request, run_id=0, codec_key="")
        run = replace(
            common,
            id=next(ids),
            key=request.key,
            digest=request.digest,
            payload=request.payload,
            traceparent=request.traceparent,
            masked=request.masked,
            encoded_by=encoded_by(request.payload, snapshot.codec_key),
        )
        runs.append(run)
        fresh.append(run)
    if not fresh:
        return NOTHING, tuple(runs)
    events: list[Event] = [RunStored(at=now, worker=run.worker, run=run.id, origin="trigger") for run in fresh]
    events += _audited(snapshot, fresh, now)
    return Change(runs=tuple(fresh), events=tuple(events)), tuple(runs)


def _judged(
    snapshot: Snapshot, now: datetime, triggers: Sequence[Trigger]
) -> tuple[dict[int, Run | int], list[RefusedTrigger]]:
    """By place: the runs that keys have made already, or the place of the same trigger before it; and the refusals."""
    earlier: dict[int, Run | int] = {}
    refused: list[RefusedTrigger] = []
    first: dict[tuple[str, str], tuple[int, Request]] = {}  # with each key, in this call
    for place, request in enumerate(triggers):
        if isinstance(request, RefusedTrigger):
            refused.append(request)
            continue
        try:
            state = readable(snapshot, request.worker)
            if request.key is not None:
                keyed = request.worker, request.key
                run = earlier_run(
                    snapshot.keyed.get(keyed), snapshot, now, request=request, key_ttl_s=state.definition.key_ttl_s
                )
                if run is not None:
                    earlier[place] = run
                    continue
                at, before = first.setdefault(keyed, (place, request))
                if at != place:
                    _must_say_the_same(before, request, at=at)
                    earlier[place] = at
            must_be_accepted(state, request)
        except CallerError as error:
            refused.append(RefusedTrigger.of(place, request.worker, error))
    return earlier, refused


def _must_say_the_same(before: Request, request: Request, *, at: int) -> None:
    """O5, within one call.  Raises DuplicateKey."""
    if before.digest != request.digest:
        raise DuplicateKey(
            f"key {request.key!r} of worker {request.worker!r} is given at {at} with another payload; use another key, "
            "or the same payload"
        )


def _audited(snapshot: Snapshot, runs: Sequence[Run], now: datetime) -> Iterator[Audit]:
    """A1: one entry for each worker, with the number of its runs; of triggers by code only forced ones."""
    by_worker: dict[str, list[Run]] = {}
    for run in runs:
        if run.by or run.forced:
            by_worker.setdefault(run.worker, []).append(run)
    for worker, its_runs in by_worker.items():
        first, last = its_runs[0], its_runs[-1]
        forced = next((run for run in its_runs if run.forced), None)
        many = f"{len(its_runs):,} runs, {first.id} to {last.id}" if len(its_runs) > 1 else ""
        is_like_all = len({run.due_at for run in its_runs}) == 1
        special = how(forced or first, now) if is_like_all else "forced" if forced is not None else ""
        yield Audit(
            at=now,
            worker=worker,
            run=first.id,
            by=first.by,
            action="trigger",
            before="" if forced is None else state_text(snapshot.worker(worker)),
            after=", ".join(filter(None, (many, special))),
        )
