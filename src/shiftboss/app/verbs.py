"""What an operator does to workers, runs, dead letters and nodes: each verb written once.

Rules of this file
- A verb is one act: its function checks what it was given and names the rule that the engine applies (core/control.py).
- The rule audits it, in the same transaction, by the name of whoever acts here.
"""

from __future__ import annotations

from shiftboss.app.methods import Face, Instruction, Method, NewRun
from shiftboss.app.options import CALL, Named, known_run, name_of
from shiftboss.core.kinds import Duration
from shiftboss.core.model import DeadLetter, Node, Run, WorkerState
from shiftboss.engine import mutation


class Verbs(Face):
    """Both faces have them."""

    # ── workers ──────────────────────────────────────────────────────────────────────────────────────────────────

    @Method
    def enable(self, worker: Named) -> Instruction[WorkerState]:
        """Start again; resets the streak and the breaker.  Raises UnknownWorker."""
        return Instruction(mutation.enable, name_of(worker))

    @Method
    def disable(self, worker: Named, *, reason: str | None = None) -> Instruction[WorkerState]:
        """Start nothing new of it; what runs goes on.  Twice is once: the first reason stays.  Raises UnknownWorker."""
        name = name_of(worker)
        return Instruction(
            mutation.disable, name, reason=self._remark("reason", reason, of=f"disable of worker {name!r}")
        )

    @Method
    def forget(self, worker: Named) -> Instruction[None]:
        """Remove a worker that no live node declares.  Raises UnknownWorker, NotAllowed."""
        return Instruction(mutation.forget, name_of(worker), clock=self.opened().clock)

    # ── runs ─────────────────────────────────────────────────────────────────────────────────────────────────────

    @Method
    def cancel(self, run_id: int, *, reason: str | None = None) -> Instruction[Run]:
        """End a run: at once while it waits, by asking its body while it runs.  Raises UnknownRun, NotAllowed."""
        known = known_run(run_id)
        return Instruction(mutation.cancel, known, reason=self._remark("reason", reason, of=f"cancel of run {known}"))

    # ── dead letters ─────────────────────────────────────────────────────────────────────────────────────────────

    @Method
    def replay(self, run_id: int, *, delay: Duration = 0.0) -> NewRun:
        """A new run of a dead letter, with the same payload bytes, due after *delay*.

        Raises UnknownRun, NotAllowed where it was closed already.
        """
        known = known_run(run_id)
        return NewRun(mutation.replay, known, delay_s=CALL.read_one("delay", delay, of=f"replay of run {known}"))

    @Method
    def resolve(self, run_id: int, *, note: str | None = None) -> Instruction[DeadLetter]:
        """Close a dead letter with a note.  Raises UnknownRun, NotAllowed where it was closed otherwise."""
        known = known_run(run_id)
        return Instruction(mutation.resolve, known, note=self._remark("note", note, of=f"resolve of run {known}"))

    @Method
    def discard(self, run_id: int, *, note: str | None = None) -> Instruction[DeadLetter]:
        """Close a dead letter as not worth anything.  Raises UnknownRun, NotAllowed where it was closed otherwise."""
        known = known_run(run_id)
        return Instruction(mutation.discard, known, note=self._remark("note", note, of=f"discard of run {known}"))

    # ── nodes ────────────────────────────────────────────────────────────────────────────────────────────────────

    @Method
    def drain(self, node: str) -> Instruction[Node]:
        """Let a node (its id or its name) finish what runs and start nothing new until it is started again.

        Raises UnknownNode.
        """
        return Instruction(mutation.drain, CALL.read_one("node", node, of="drain"))

    @Method
    def prefer(self, node: str, worker: Named | None = None) -> Instruction[tuple[str, ...]]:
        """What a node (its id or its name) declares is the newest from now on, of one worker or of all it declares.

        So it holds in the whole fleet, a moment later, until newer code comes.  The answer names the workers and
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
        """Put into the audit what was done beside the store, a log-in to the application around us say (A8).

        *action*: a word or two; *about*: a worker, where it is about one; *before* and *after*: what it changed.
        """
        given = CALL.read({"action": action, "about": about, "before": before, "after": after}, of="record")
        masked = self.opened().masked
        before, after = masked(given["before"]), masked(given["after"])
        return Instruction(mutation.record, given["action"], worker=given["about"] or "", before=before, after=after)

    # ── what they share ──────────────────────────────────────────────────────────────────────────────────────────

    def _remark(self, name: str, value: str | None, *, of: str) -> str:
        """Why, or what was done: it is kept for long, so no secret stays in it."""
        return self.opened().masked(CALL.read_one(name, value, of=of))
