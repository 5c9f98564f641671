"""What people and code may do: trigger, cancel, enable, disable, forget, replay, resolve, discard, drain, prefer.

Rules of this file
- A refusal changes nothing and says what would be allowed.
- Every act is audited: who, what, before, after (A1).  Of triggers, only those of people and forced ones are.
- Repeating an act is no error if the second time changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime

from shiftboss.core.breaker import reset
from shiftboss.core.declarations import Declarations, are_alike
from shiftboss.core.events import (
    Audit,
    RunEnded,
    RunStored,
    WorkerDisabled,
    WorkerEnabled,
    WorkerForgotten,
    WorkerPaused,
    WorkerResumed,
)
from shiftboss.core.lifecycle import move
from shiftboss.core.model import (
    CancelRequest,
    Cause,
    DeadLetter,
    Disabled,
    Node,
    NodeMode,
    Origin,
    Pause,
    Place,
    Run,
    Status,
    WorkerState,
)
from shiftboss.core.occurrence import give_up_at, skip_what_passed
from shiftboss.core.opaque import key_of
from shiftboss.core.policy import Priority
from shiftboss.core.prevail import NO_DECLARATIONS, RESOURCE, WORKER, Declared, declaring, prevails
from shiftboss.core.settle import end_pending
from shiftboss.core.snapshot import NOTHING, Change, Draft, Snapshot
from shiftboss.core.unreadable import REMEDY
from shiftboss.core.value import Value, later, replace, seconds_between
from shiftboss.errors import ConfigurationError, DuplicateKey, NotAllowed, UnknownNode, UnknownRun, WrongPayload
from shiftboss.errors import WorkerDisabled as RefusedDisabled


class Request(Value, frozen=True):
    """A trigger as it was requested.  `payload` is JSON; `digest` is the sha256 of its meaning, or a keyed digest."""

    worker: str
    payload: bytes | None = None
    digest: str | None = None
    key: str | None = None
    delay_s: float = 0.0
    at: datetime | None = None  # in place of a delay; a time in the past is due now
    priority: Priority | None = None
    force: bool = False
    by: str = ""
    traceparent: str | None = None
    masked: tuple[Place, ...] = ()  # where the payload contains what is masked by its value
    other_digests: tuple[str, ...] = ()  # digests of the same payload by older keys, and without a key


def trigger(snapshot: Snapshot, now: datetime, *, ids: Iterator[int], request: Request) -> tuple[Change, Run]:
    """Store a run of the worker, or find the one that its key already made (O5, K5).

    Raises UnknownWorker, WorkerDisabled, DuplicateKey, WrongPayload.
    """
    state = readable(snapshot, request.worker)
    if request.key is not None:
        before = snapshot.keyed.get((request.worker, request.key))
        earlier = earlier_run(before, snapshot, now, request=request, key_ttl_s=state.definition.key_ttl_s)
        if earlier is not None:
            return NOTHING, earlier
    must_be_accepted(state, request)
    run = triggered_run(state, now, request=request, run_id=next(ids), codec_key=snapshot.codec_key)
    stored = RunStored(at=now, worker=run.worker, run=run.id, origin="trigger")
    return Change(runs=(run,), events=(stored, *_audited(run, state, now))), run


def must_be_accepted(state: WorkerState, request: Request) -> None:
    """Raises WorkerDisabled (K5), WrongPayload."""
    if state.disabled is not None and not state.accepts and not request.force:
        raise RefusedDisabled(
            f"worker {state.name!r} is {state.disabled.how} ({state.disabled.reason or 'no reason given'}); "
            "enable it, or trigger with force=True"
        )
    if request.payload is not None and len(request.payload) > state.definition.max_payload_bytes:
        raise WrongPayload(
            f"the payload for {state.name!r} has {len(request.payload)} bytes, the limit is "
            f"{state.definition.max_payload_bytes}; pass a reference to the data, or raise max_payload"
        )


def triggered_run(state: WorkerState, now: datetime, *, request: Request, run_id: int, codec_key: str) -> Run:
    """The run of a trigger; *codec_key* encodes its payload in the store."""
    definition = state.definition
    due_at, by_calendar = now, False
    if request.at is not None:
        due_at, by_calendar = max(request.at, now), request.at > now
    elif request.delay_s:
        due_at = later(now, request.delay_s)
    deadline_at = None if definition.deadline_s is None else later(due_at, definition.deadline_s)
    priority = definition.priority if request.priority is None else request.priority
    return Run(  # the first eight by position: each keyword is compared with every field, and these took 0.5 µs
        run_id,
        state.name,
        Origin.TRIGGER,
        Status.PENDING,
        priority,
        now,
        due_at,
        due_at,
        key=request.key,
        digest=request.digest,
        payload=request.payload,
        forced=request.force and state.disabled is not None,
        give_up_at=give_up_at(definition, due_at, deadline_at),
        deadline_at=deadline_at,
        by=request.by,
        traceparent=request.traceparent,
        by_calendar=by_calendar,
        masked=request.masked,
        encoded_by=encoded_by(request.payload, codec_key),
    )


def _audited(run: Run, state: WorkerState, now: datetime) -> tuple[Audit, ...]:
    """Triggers by code come without end and are not audited; those of a person are."""
    if not run.by and not run.forced:
        return ()
    before, after = state_text(state) if run.forced else "", how(run, now)
    return (Audit(at=now, worker=run.worker, run=run.id, by=run.by, action="trigger", before=before, after=after),)


def how(run: Run, now: datetime) -> str:
    """What is out of the ordinary with a trigger, for the audit."""
    due = f"due {run.due_at.isoformat()}" if run.due_at > now else ""
    return ", ".join(filter(None, ("forced" if run.forced else "", due)))


def encoded_by(payload: bytes | None, codec_key: str) -> str:
    """The id of the key that encodes a new run's payload in the store; empty if it is stored plain or there is none."""
    return "" if payload is None else key_of(payload) or codec_key


def earlier_run(
    run: Run | None, snapshot: Snapshot, now: datetime, *, request: Request, key_ttl_s: float
) -> Run | None:
    """O5: *run*, which the request's key has made, if it is unfinished or succeeded less than `key_ttl` ago."""
    if run is not None and run.unreadable is not None:
        raise NotAllowed(f"key {request.key!r} of worker {request.worker!r} is taken: {run.unreadable}; {REMEDY}")
    if run is None or not keeps_its_key(run, now, key_ttl_s=key_ttl_s, clock_set_us=snapshot.clock_set_us):
        return None
    if run.digest != request.digest and run.digest not in request.other_digests:
        raise DuplicateKey(
            f"key {request.key!r} of worker {request.worker!r} belongs to run {run.id} with another payload; "
            "use another key, or the same payload"
        )
    return run


def keeps_its_key(run: Run, now: datetime, *, key_ttl_s: float, clock_set_us: int) -> bool:
    """O5: whether a trigger with the same key returns this run.  *clock_set_us* is how far the clock was set in all."""
    if not run.status.is_final:
        return True
    if run.status is not Status.SUCCEEDED or run.finished_at is None:
        return False
    was_set_since_s = (clock_set_us - run.clock_set_us) / 1e6  # O4: setting the clock is no passing of time
    return seconds_between(run.finished_at, now) - was_set_since_s < key_ttl_s


def cancel(
    snapshot: Snapshot, now: datetime, *, ids: Iterator[int], run_id: int, by: str, reason: str
) -> tuple[Change, Run]:
    """End a run: at once while it waits, by asking its attempt to end while it runs (T4).  Twice is as once.

    Raises UnknownRun, and NotAllowed if the run has ended in another way.
    """
    run = found(snapshot, run_id)
    if run.status is Status.CANCELLED or (run.status is Status.RUNNING and run.cancel is not None):
        return NOTHING, run
    if run.status.is_final:
        raise NotAllowed(
            f"run {run.id} of {run.worker!r} has ended ({run.status}); only unfinished runs can be cancelled"
        )
    draft = Draft(snapshot, now, ids)
    asked = replace(run, cancel=CancelRequest(by=by, at=now, reason=reason))
    if run.status is Status.PENDING:
        end_pending(draft, asked)
    else:
        draft.put(asked)
    draft.emit(Audit(at=now, worker=run.worker, run=run.id, by=by, action="cancel", before=run.status, after=reason))
    change = draft.change()
    return change, next(changed for changed in change.runs if changed.id == run_id)


def readable(snapshot: Snapshot, name: str) -> WorkerState:
    """The worker.  Raises UnknownWorker, and NotAllowed if its row cannot be read (W8)."""
    state = snapshot.worker(name)
    if state.unreadable is not None:
        raise NotAllowed(f"{state.unreadable}; {REMEDY}, or restart the application, which registers it again")
    return state


def found(snapshot: Snapshot, run_id: int) -> Run:
    """The run that was read by id.  Raises UnknownRun, and NotAllowed if it cannot be read (W8)."""
    run = snapshot.run(run_id)
    if run is None:
        raise UnknownRun(f"no run {run_id} is stored; it may have been pruned, or the id belongs to another store")
    if run.unreadable is not None:
        raise NotAllowed(f"{run.unreadable}; {REMEDY}")
    return run


# ── workers ──────────────────────────────────────────────────────────────────────────────────────────────────────


def disable(
    snapshot: Snapshot, now: datetime, *, ids: Iterator[int], name: str, by: str, reason: str
) -> tuple[Change, WorkerState]:
    """Start nothing new of worker *name*; attempts in progress go on.  Disabling twice keeps the first reason.

    If failures had disabled the worker, it is disabled by the person from now on, without probation.
    """
    state = readable(snapshot, name)
    if state.disabled is not None and not state.disabled.automatic:
        return NOTHING, state
    disabled = replace(state, disabled=Disabled(by=by, reason=reason, since=now))
    starves = snapshot.relations.starved_by(name)
    return Change(
        workers=(disabled,),
        events=(
            WorkerDisabled(at=now, worker=name, by=by, reason=reason, starves=starves),
            Audit(at=now, worker=name, by=by, action="disable", before=state_text(state), after=f"disabled: {reason}"),
        ),
    ), disabled


def enable(snapshot: Snapshot, now: datetime, *, ids: Iterator[int], name: str, by: str) -> tuple[Change, WorkerState]:
    """K5: start again; resets streak and breaker, and records the scheduled times that passed as one skipped range."""
    state = readable(snapshot, name)
    draft = Draft(snapshot, now, ids)
    enabled = replace(state, disabled=None)
    definition = state.definition
    record = snapshot.record(name)
    breaker = None if definition.breaker is None else snapshot.breakers.get(definition.breaker)
    has_counted = breaker is not None and reset(breaker) != breaker
    if state.disabled is None and record.streak == 0 and not has_counted:
        return NOTHING, state
    draft.put_worker(enabled)
    if record.streak:
        draft.put_record(name, replace(record, streak=0))
    if breaker is not None and has_counted:
        draft.put_breaker(replace(reset(breaker), opened_at=now))
    if state.disabled is not None:
        skip_what_passed(draft, definition)
        draft.emit(WorkerEnabled(at=now, worker=name, by=by))
    draft.emit(Audit(at=now, worker=name, by=by, action="enable", before=state_text(state), after="enabled"))
    return draft.change(), enabled


def pause(
    snapshot: Snapshot,
    now: datetime,
    *,
    ids: Iterator[int],
    name: str,
    by: str,
    reason: str,
    for_s: float | None,
    until: datetime | None,
) -> tuple[Change, WorkerState]:
    """K7: start nothing of worker *name* for *for_s*, or *until* a time, or until somebody resumes it.

    Another call replaces the pause.  Raises ConfigurationError for a time that has passed.
    """
    state = readable(snapshot, name)
    if until is not None and until <= now:
        raise ConfigurationError(f"until={until:%Y-%m-%d %H:%M:%S} UTC has passed; give a later time, or a duration")
    end = until if for_s is None else later(now, for_s)
    paused = replace(state, paused=Pause(by=by, reason=reason, since=now, until=end, is_elapsed=for_s is not None))
    return Change(
        workers=(paused,),
        events=(
            WorkerPaused(at=now, worker=name, by=by, reason=reason, until=end),
            _audit_of_pause(state, paused, now, by=by, action="pause"),
        ),
    ), paused


def resume(snapshot: Snapshot, now: datetime, *, ids: Iterator[int], name: str, by: str) -> tuple[Change, WorkerState]:
    """K7: end the pause of worker *name* now; one that is over already is only removed from the worker's row."""
    state = readable(snapshot, name)
    if state.paused is None:
        return NOTHING, state
    resumed = replace(state, paused=None)
    if state.pause_at(now) is None:
        return Change(workers=(resumed,)), resumed
    return Change(
        workers=(resumed,),
        events=(
            WorkerResumed(at=now, worker=name, by=by),
            _audit_of_pause(state, resumed, now, by=by, action="resume"),
        ),
    ), resumed


def _audit_of_pause(before: WorkerState, after: WorkerState, now: datetime, *, by: str, action: str) -> Audit:
    return Audit(
        at=now, worker=after.name, by=by, action=action, before=_pause_text(before, now), after=_pause_text(after, now)
    )


def _pause_text(state: WorkerState, now: datetime) -> str:
    pause = state.pause_at(now)
    if pause is None:
        return "not paused"
    return f"{pause.how}: {pause.reason}" if pause.reason else pause.how


def state_text(state: WorkerState) -> str:
    return "enabled" if state.disabled is None else f"{state.disabled.how}: {state.disabled.reason}"


def forget(
    snapshot: Snapshot, now: datetime, *, ids: Iterator[int], name: str, live: Collection[str], by: str
) -> tuple[Change, None]:
    """M7: remove a worker that no live node declares; its waiting runs are cancelled, its history stays.

    Raises NotAllowed while a node declares it, a run of it runs, or more of its runs wait than one change may cancel.
    """
    readable(snapshot, name)
    declaring = sorted(n.name for n in snapshot.nodes.values() if n.id in live and name in n.workers)
    if declaring:
        raise NotAllowed(
            f"worker {name!r} is still registered by node {', '.join(declaring)}; stop or redeploy it first"
        )
    if snapshot.running_of(name):
        raise NotAllowed(f"worker {name!r} has running runs; wait until they end, or cancel them")
    lane = snapshot.lane(name)
    if lane.sealed:
        raise NotAllowed(f"{next(iter(lane.sealed.values())).unreadable}; {REMEDY}")
    if not lane.is_whole:
        raise NotAllowed(f"more than {len(lane)} runs of {name!r} are pending; cancel them first")
    cancelled = tuple(
        move(run, Status.CANCELLED, finished_at=now, cause=Cause.CANCELLED, cancel=CancelRequest(by=by, at=now))
        for run in lane
    )
    return Change(
        runs=cancelled,
        forgotten=(name,),
        events=(
            *(RunEnded(at=now, worker=name, run=run.id, status=run.status, cause=run.cause) for run in cancelled),
            WorkerForgotten(at=now, worker=name, by=by),
            Audit(at=now, worker=name, by=by, action="forget", before=f"{len(cancelled)} pending", after="forgotten"),
        ),
    ), None


def drain(snapshot: Snapshot, now: datetime, *, wanted: str, by: str) -> tuple[Change, Node]:
    """Tell a node to start nothing new until its process is restarted; it obeys at its next cycle.

    *wanted* is its id or its name.  Raises UnknownNode, also for a name that several nodes have.
    """
    node = _node(snapshot, wanted)
    if node.mode is NodeMode.DRAINING:
        return NOTHING, node
    drained = replace(node, mode=NodeMode.DRAINING)
    audit = Audit(at=now, node=node.id, by=by, action="drain", before=node.mode, after=drained.mode)
    return Change(nodes=(drained,), events=(audit,)), drained


def _node(snapshot: Snapshot, wanted: str) -> Node:
    """The node with that id or name.  Raises UnknownNode, and NotAllowed if its row cannot be read (W8)."""
    node = snapshot.nodes.get(wanted)
    if node is None:
        named = [each for each in snapshot.nodes.values() if each.name == wanted]
        if len(named) > 1:
            ids = ", ".join(sorted(each.id for each in named))
            raise UnknownNode(f"several nodes are named {wanted!r}; give the id of one: {ids}")
        if not named:
            known = ", ".join(sorted(each.name for each in snapshot.nodes.values())) or "none"
            raise UnknownNode(f"there is no node {wanted!r}; known: {known}")
        node = named[0]
    if node.unreadable is not None:
        raise NotAllowed(f"{node.unreadable}; a live node rewrites its row within 10 s; otherwise {REMEDY}")
    return node


def prefer(
    snapshot: Snapshot, now: datetime, *, wanted: str, worker: str | None, live: Collection[str], by: str
) -> tuple[Change, tuple[str, ...]]:
    """M7: make what a node declares the newest declaration: of *worker* alone, or of all its workers and resources.

    The answer names the workers and resources that this changes.  The node itself stores the declarations at its next
    tick.  Twice is as once.

    Raises UnknownNode, UnknownWorker, and NotAllowed if the node does not live, starts nothing more, or does not
    declare the worker.
    """
    node = _node(snapshot, wanted)
    if node.id not in live:
        raise NotAllowed(f"node {node.name} is no longer live; start that code again, then prefer it")
    if node.mode is not NodeMode.RUNNING:
        raise NotAllowed(f"node {node.name} starts no more runs; start that code again, then prefer it")
    if worker is not None:
        readable(snapshot, worker)
        if worker not in node.declares:
            raise NotAllowed(f"node {node.name} does not declare worker {worker!r}")
    nodes = declaring(snapshot.nodes.values(), live)
    names = node.declares if worker is None else (worker,)
    states = [snapshot.workers[name] for name in names if name in snapshot.workers]
    workers: list[WorkerState] = []
    sizes: list[tuple[str, Declarations]] = []
    events: list[Audit] = []
    for state in states:
        chosen = None if state.unreadable else _chosen(state.declarations, now, node, WORKER, state.name, nodes)
        if chosen is not None:
            workers.append(replace(state, declarations=chosen))
            events.append(_prefers(now, node, by, state.declarations, chosen, worker=state.name))
    for name in node.resources if worker is None else ():
        before = snapshot.size_declarations.get(name, NO_DECLARATIONS)
        chosen = _chosen(before, now, node, RESOURCE, name, nodes)
        if chosen is not None:
            sizes.append((name, chosen))
            events.append(_prefers(now, node, by, before, chosen, resource=name))
    if not events:
        return NOTHING, ()
    change = Change(workers=tuple(workers), size_declarations=tuple(sizes), events=tuple(events))
    return change, (*(state.name for state in workers), *(name for name, _ in sizes))


def _chosen(
    before: Declarations, now: datetime, node: Node, kind: Declared, name: str, nodes: Collection[Node]
) -> Declarations | None:
    """The declarations with that of *node* as the newest; None if it is the newest already."""
    key = kind.of(node)[name]
    keys = {kind.of(each)[name] for each in nodes if name in kind.of(each)}
    if prevails(before, key, keys) or all(are_alike(key, each) for each in (before.current, *keys)):
        return None
    return before.chosen(key, now, keep=keys)


def _prefers(
    now: datetime,
    node: Node,
    by: str,
    before: Declarations,
    after: Declarations,
    *,
    worker: str = "",
    resource: str = "",
) -> Audit:
    key = after.known[-1].key
    what = f"resource {resource}: " if resource else ""
    return Audit(
        at=now,
        worker=worker,
        node=node.id,
        by=by,
        action="prefer",
        before=f"{what}{before.current or 'none'}",
        after=f"{what}{key}, declared by {node.name}",
    )


def record(
    snapshot: Snapshot, now: datetime, *, by: str, action: str, worker: str, before: str, after: str
) -> tuple[Change, None]:
    """Audit something that was done outside the store, such as a log-in or an export."""
    return Change(events=(Audit(at=now, worker=worker, by=by, action=action, before=before, after=after),)), None


# ── dead letters ─────────────────────────────────────────────────────────────────────────────────────────────────


def replay(
    snapshot: Snapshot, now: datetime, *, ids: Iterator[int], run_id: int, by: str, delay_s: float = 0.0
) -> tuple[Change, Run]:
    """Q3: a new run with fresh attempts and the same payload bytes.  Raises NotAllowed when it was replayed before."""
    dead, letter = _letter(snapshot, run_id)
    if letter.state not in ("open", "superseded"):
        became = f" as run {letter.replayed_as}" if letter.replayed_as else ""
        raise NotAllowed(f"dead letter {run_id} is {letter.state}{became}; only an open one can be replayed")
    definition = readable(snapshot, dead.worker).definition
    due_at = later(now, delay_s)
    deadline_at = None if definition.deadline_s is None else later(due_at, definition.deadline_s)
    run = Run(
        id=next(ids),
        worker=dead.worker,
        origin=Origin.REPLAY,
        status=Status.PENDING,
        priority=dead.priority,
        created_at=now,
        occurs_at=due_at,
        due_at=due_at,
        digest=dead.digest,
        payload=dead.payload,
        masked=dead.masked,
        replay_of=dead.id,
        give_up_at=give_up_at(definition, due_at, deadline_at),
        deadline_at=deadline_at,
        by=by,
        traceparent=dead.traceparent,
        encoded_by=encoded_by(dead.payload, snapshot.codec_key),
    )
    closed = replace(letter, state="replayed", closed_at=now, closed_by=by, replayed_as=run.id)
    audit = Audit(
        at=now, worker=dead.worker, run=dead.id, by=by, action="replay", before=letter.state, after=str(run.id)
    )
    return Change(runs=(run,), letters=(closed,), events=(audit,)), run


def resolve(snapshot: Snapshot, now: datetime, *, run_id: int, by: str, note: str) -> tuple[Change, DeadLetter]:
    """Q3: close the dead letter with a note; nothing runs."""
    return _close(snapshot, now, run_id=run_id, by=by, note=note, state="resolved")


def discard(snapshot: Snapshot, now: datetime, *, run_id: int, by: str, note: str) -> tuple[Change, DeadLetter]:
    """Q3: close the dead letter as not worth a replay; its run stays in the history until retention deletes it."""
    return _close(snapshot, now, run_id=run_id, by=by, note=note, state="discarded")


def _close(
    snapshot: Snapshot, now: datetime, *, run_id: int, by: str, note: str, state: str
) -> tuple[Change, DeadLetter]:
    _, letter = _letter(snapshot, run_id)
    if letter.state == state:
        return NOTHING, letter
    if letter.state not in ("open", "superseded"):
        raise NotAllowed(f"dead letter {run_id} is {letter.state}; only an open one can be {state}")
    closed = replace(letter, state=state, closed_at=now, closed_by=by, note=note)
    audit = Audit(at=now, worker=letter.worker, run=run_id, by=by, action=state, before=letter.state, after=note)
    return Change(letters=(closed,), events=(audit,)), closed


def _letter(snapshot: Snapshot, run_id: int) -> tuple[Run, DeadLetter]:
    run = found(snapshot, run_id)
    letter = snapshot.letters.get(run_id)
    if letter is None:
        raise NotAllowed(f"run {run_id} of {run.worker!r} is not a dead letter (it is {run.status})")
    if letter.unreadable is not None:
        raise NotAllowed(f"{letter.unreadable}; {REMEDY}")
    return run, letter
