"""What an operator does to workers, runs, dead letters and nodes: each verb is written once.

Rules of this file
- A verb is one act: its function checks its arguments and names the rule that the engine applies (core/control.py).
- The rule writes the audit in the same transaction, under the name of whoever acts here.
- What needs more than one act, a trigger or `set_aside`, is in operations.py.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from shiftboss.app.methods import Face, Instruction, Method, NewRun
from shiftboss.app.options import CALL, Named, known_run, name_of
from shiftboss.app.roles import Role
from shiftboss.app.scheduling import PauseEnd
from shiftboss.app.verb import DEAD_LETTER, NODE, RUN, WORKER, Verb, VerbWords, verb
from shiftboss.core.kinds import Duration
from shiftboss.core.model import DeadLetter, Node, Run, Status, WorkerState
from shiftboss.engine import mutation

if TYPE_CHECKING:
    from shiftboss.app.views import Views


def _disabled(_: object, state: WorkerState) -> str:
    why = state.disabled.reason if state.disabled is not None else ""
    return f"{state.name} is disabled{': ' if why else ''}{why}"


def _paused(_: object, state: WorkerState) -> str:
    pause = state.paused
    return f"{state.name} is {'not paused' if pause is None else pause.how}"


def _cancelled(_: object, run: Run) -> str:
    became = ": cancellation requested" if run.status is Status.RUNNING else f" is {run.status}"
    return f"{run.worker} run {run.id}{became}"


def _preferred(node: str, names: tuple[str, ...]) -> str:
    apply = f"apply from now on: {', '.join(names)}" if names else "already apply"
    return f"the declarations of {node} {apply}"


def _forgets(views: Views, name: str) -> str:
    pending = {worker.name: worker.pending for worker in views.status().workers}.get(name)
    if pending is None:
        return ""
    return f"Forget worker {name!r} and cancel {pending:,} pending {'run' if pending == 1 else 'runs'}?"


class Verbs(Face):
    """The verbs that the orchestrator and `boss.sync` share."""

    # ── runs ─────────────────────────────────────────────────────────────────────────────────────────────────────

    @verb(
        RUN,
        Role.OPERATOR,
        VerbWords(
            api="Cancel a run: a pending one at once, a running one by asking its function to stop.",
            api_many="Cancel all unfinished runs that match a filter.",
            command="""Cancel runs.

            Pending runs are cancelled at once; running ones are asked to stop.  A cancelled run is not a failure and is
            not retried.  Cancelling more than one asks for confirmation.  The command reports those that cannot be
            cancelled, and cancels the others.
            """,
            examples=("shiftboss cancel 1042 --reason 'wrong file'", "shiftboss cancel 1042 1043 --yes"),
            done=_cancelled,
        ),
    )
    def cancel(self, run_id: int, *, reason: str | None = None) -> Instruction[Run]:
        """End a run: at once while it waits, by asking its function while it runs.  Raises UnknownRun, NotAllowed."""
        known = known_run(run_id)
        return Instruction(mutation.cancel, known, reason=self._remark("reason", reason, of=f"cancel of run {known}"))

    # ── workers ──────────────────────────────────────────────────────────────────────────────────────────────────

    @verb(
        WORKER,
        Role.OPERATOR,
        VerbWords(
            api="Let a worker start runs again; resets failures and breaker.",
            command="""Let workers start runs again; resets failures and breaker.

            Scheduled runs that were missed meanwhile are recorded as skipped.
            """,
            examples=("shiftboss enable charge-cards",),
            done=lambda _, state: f"{state.name} is enabled",
        ),
    )
    def enable(self, worker: Named) -> Instruction[WorkerState]:
        """Start it again; resets the streak and the breaker.  Raises UnknownWorker."""
        return Instruction(mutation.enable, name_of(worker))

    @verb(
        WORKER,
        Role.OPERATOR,
        VerbWords(
            api="Stop a worker from starting new runs; running ones finish.",
            command="""Stop workers from starting new runs.

            Running runs finish, pending ones stay, and new triggers are refused.  This applies to the whole fleet and
            survives restarts, until somebody enables the workers.
            """,
            options={"reason": "Shown with the worker and recorded in the audit log."},
            examples=("shiftboss disable charge-cards --reason 'gateway is being moved'",),
            done=_disabled,
        ),
    )
    def disable(self, worker: Named, *, reason: str | None = None) -> Instruction[WorkerState]:
        """Start nothing new of it; what runs goes on.  A second call keeps the first reason.  Raises UnknownWorker."""
        name = name_of(worker)
        return Instruction(
            mutation.disable, name, reason=self._remark("reason", reason, of=f"disable of worker {name!r}")
        )

    @verb(
        WORKER,
        Role.OPERATOR,
        VerbWords(
            api="Pause a worker for a time: its runs wait, and triggers are accepted.",
            command="""Pause workers for a time.

            Running runs finish, pending ones and new triggers wait.  The pause ends by itself after a duration or at a
            time, or when somebody resumes the workers.  It applies to the whole fleet, survives restarts, and makes
            nothing unhealthy.
            """,
            options={
                "reason": "Shown with the worker and recorded in the audit log.",
                "until": "How long, as 2h or 30m, or a time, as '2026-12-01 18:00' (UTC).  [default: until resumed]",
            },
            examples=("shiftboss pause import-orders --until 2h --reason 'the shop is being moved'",),
            done=_paused,
        ),
    )
    def pause(
        self, worker: Named, *, until: Duration | datetime | None = None, reason: str | None = None
    ) -> Instruction[WorkerState]:
        """Start nothing of it for a duration, until a time, or until it is resumed; triggers wait.

        *until*: seconds, a timedelta, a text like "2h", a datetime, or a text like "2026-12-01 18:00" (UTC without a
        zone); None: until somebody resumes it.  Another call replaces the pause.  Raises UnknownWorker, and
        ConfigurationError for a time that has passed.
        """
        name = name_of(worker)
        of = f"pause of worker {name!r}"
        end: PauseEnd = CALL.read_one("until", until, of=of)
        remark = self._remark("reason", reason, of=of)
        return Instruction(mutation.pause, name, for_s=end.for_s, until=end.at, reason=remark)

    @verb(
        WORKER,
        Role.OPERATOR,
        VerbWords(
            api="End the pause of a worker.",
            command="""End the pause of workers.

            What has waited starts, in its order.
            """,
            examples=("shiftboss resume import-orders",),
            done=_paused,
        ),
    )
    def resume(self, worker: Named) -> Instruction[WorkerState]:
        """End its pause; nothing changes if it is not paused.  Raises UnknownWorker."""
        return Instruction(mutation.resume, name_of(worker))

    @verb(
        WORKER,
        Role.ADMIN,
        VerbWords(
            api="Remove a worker that no live node runs any more; its history stays.",
            command="""Remove workers that no live node runs any more.

            Their pending runs are cancelled; their history and their dead letters stay.
            """,
            examples=("shiftboss forget old-import --yes",),
            done=lambda name, _: f"{name} was removed",
            question=_forgets,
        ),
        asks=True,
    )
    def forget(self, worker: Named) -> Instruction[None]:
        """Remove a worker that no live node declares.  Raises UnknownWorker, NotAllowed."""
        return Instruction(mutation.forget, name_of(worker), clock=self.opened().clock)

    # ── dead letters ─────────────────────────────────────────────────────────────────────────────────────────────

    @verb(
        DEAD_LETTER,
        Role.OPERATOR,
        VerbWords(
            api="Run a dead letter again: a new run, fresh attempts, the same payload bytes.",
            api_many=(
                "Replay all open dead letters that match a filter, oldest first, at a pace that the store sustains."
            ),
            command="""Run them again, with the same payload.

            Each dead letter becomes a new run with fresh attempts, oldest first.  With --rate the new runs become due
            one after another; the command does not wait for them.  Prints the dead run and the new run, one pair per
            line.
            """,
            examples=(
                "shiftboss dead replay 1042",
                "shiftboss dead replay --worker sync-orders --error ReadTimeout --dry-run",
                "shiftboss dead replay --all --rate 10/s --yes",
            ),
        ),
    )
    def replay(self, run_id: int, *, delay: Duration = 0.0) -> NewRun:
        """Store a new run of a dead letter, with the same payload bytes, due after *delay* (a duration; 0: at once).

        Raises UnknownRun, and NotAllowed if the letter was closed already.
        """
        known = known_run(run_id)
        return NewRun(mutation.replay, known, delay_s=CALL.read_one("delay", delay, of=f"replay of run {known}"))

    @verb(
        DEAD_LETTER,
        Role.OPERATOR,
        VerbWords(
            api="Mark a dead letter as handled, without running it again.",
            api_many="Resolve all open dead letters that match a filter.",
            command="Mark them as handled, without running them again.",
            examples=("shiftboss dead resolve 1042 --note 'booked by hand'",),
        ),
    )
    def resolve(self, run_id: int, *, note: str | None = None) -> Instruction[DeadLetter]:
        """Close a dead letter with a note.  Raises UnknownRun, and NotAllowed if it was closed otherwise."""
        known = known_run(run_id)
        return Instruction(mutation.resolve, known, note=self._remark("note", note, of=f"resolve of run {known}"))

    @verb(
        DEAD_LETTER,
        Role.ADMIN,
        VerbWords(
            api="Close a dead letter as worthless; retention deletes it later, with its payload.",
            api_many="Discard all open dead letters that match a filter.",
            command="""Close them as worthless.

            Retention deletes them with their payloads, 30 days later unless configured otherwise.
            """,
            options={"note": "Why; recorded in the audit log."},
            examples=("shiftboss dead discard --worker old-import --yes",),
        ),
        asks=True,
    )
    def discard(self, run_id: int, *, note: str | None = None) -> Instruction[DeadLetter]:
        """Close a dead letter as worthless.  Raises UnknownRun, and NotAllowed if it was closed otherwise."""
        known = known_run(run_id)
        return Instruction(mutation.discard, known, note=self._remark("note", note, of=f"discard of run {known}"))

    # ── nodes ────────────────────────────────────────────────────────────────────────────────────────────────────

    @verb(
        NODE,
        Role.ADMIN,
        VerbWords(
            api="Let a node finish its runs and start no new ones until it is restarted.",
            command="""Let a node finish its runs and start no new ones.

            NODE is a name or an id, as `shiftboss nodes` shows them.  The node stays alive and keeps its lease until
            somebody stops it; after a restart it works again.  The command works from any machine that reaches the
            store.
            """,
            examples=("shiftboss nodes", "shiftboss drain web-2:4711"),
            done=lambda _, node: (
                f"{node.name} is draining: running runs finish, and no new ones start until the node is restarted"
            ),
        ),
    )
    def drain(self, node: str) -> Instruction[Node]:
        """Let a node (its id or its name) finish what runs, and start nothing new until it is started again.

        Raises UnknownNode.
        """
        return Instruction(mutation.drain, CALL.read_one("node", node, of="drain"))

    @verb(
        NODE,
        Role.ADMIN,
        VerbWords(
            api="Apply the declarations of a node in the whole fleet, until newer code is deployed.",
            command="""Use the declarations of one node in the whole fleet.

            When live nodes declare a worker differently, the newest code decides.  This command makes the declarations
            of NODE count as the newest, for WORKER only or for all its workers and resources, until newer code comes.
            NODE is a name or an id, as `shiftboss nodes` shows them; `shiftboss why WORKER` names the nodes that
            declare it differently.
            """,
            examples=("shiftboss why report", "shiftboss prefer web-2:4711", "shiftboss prefer web-2:4711 report"),
            done=_preferred,
        ),
    )
    def prefer(self, node: str, worker: Named | None = None) -> Instruction[tuple[str, ...]]:
        """Make the declarations of a node (its id or its name) the newest: of one worker, or of all that it declares.

        They are in force in the whole fleet a moment later, until newer code comes.  The answer names the workers and
        resources that this changes.  Raises UnknownNode, UnknownWorker, NotAllowed.
        """
        wanted: str = CALL.read_one("node", node, of="prefer")
        name = None if worker is None else name_of(worker)
        return Instruction(mutation.prefer, wanted, worker=name, clock=self.opened().clock)

    # ── the audit ────────────────────────────────────────────────────────────────────────────────────────────────

    @Method
    def record(
        self, action: str, *, about: str | None = None, before: str | None = None, after: str | None = None
    ) -> Instruction[None]:
        """Record in the audit something that was done outside the store, such as a log-in to the application (A8).

        *action*: a word or two; *about*: the worker that it is about, if any; *before* and *after*: what it changed.
        """
        given = CALL.read({"action": action, "about": about, "before": before, "after": after}, of="record")
        masked = self.opened().masked
        before, after = masked(given["before"]), masked(given["after"])
        return Instruction(mutation.record, given["action"], worker=given["about"] or "", before=before, after=after)

    # ── shared ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _remark(self, name: str, value: str | None, *, of: str) -> str:
        """A reason or note, with its secrets masked, because it is kept for long."""
        return self.opened().masked(CALL.read_one(name, value, of=of))


def verbs() -> tuple[Verb[..., object, object], ...]:
    """All verbs, in the order of this file."""
    return tuple(each for each in vars(Verbs).values() if isinstance(each, Verb))
