"""The same methods for code without a loop: `boss.sync.trigger(…)`.

Rules of this file
- At its first use it opens a client, unless the orchestrator is started.
- `start` runs workers, coroutines on a loop in a thread of its own.
- Never call it from a coroutine: it blocks.  Where it would wait there for the very loop that it blocks, it raises.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import threading
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Unpack

from shiftboss.app import call, process_end
from shiftboss.app.first_node import WAIT_S
from shiftboss.app.handle import TriggerOptions, result_of
from shiftboss.app.operations import known_run
from shiftboss.app.options import CALL, Named, Payload, name_of
from shiftboss.app.own_loop import new_loop
from shiftboss.app.within import Within, insert
from shiftboss.context import current
from shiftboss.core.audit import Head
from shiftboss.core.kinds import Duration
from shiftboss.core.model import DeadLetter, LogLine, Node, Run, WorkerState
from shiftboss.core.unreadable import Unreadable
from shiftboss.core.verify import AuditVerdict
from shiftboss.errors import ConfigurationError, NotAllowed, StoreMissing
from shiftboss.ports.faces import AuditFilter, HistoryFilter, LetterFilter

if TYPE_CHECKING:
    from shiftboss.app.orchestrator import Orchestrator
    from shiftboss.app.views import Act, NodeStatus, SystemStatus
    from shiftboss.core.explain import Explanation
    from shiftboss.core.health import SystemHealth
    from shiftboss.engine.shutdown import ShutdownReport

LOOP_ENDS_WITHIN_S = 5.0  # other code on it may block it; one whose body does is left, its thread is a daemon
DEFAULT_RUNS = HistoryFilter()
DEFAULT_LETTERS = LetterFilter()
DEFAULT_AUDIT = AuditFilter()


class SyncFace:
    """Blocking twins of the orchestrator's coroutines; each raises what its twin raises."""

    def __init__(self, boss: Orchestrator) -> None:
        self._boss = boss
        self._lock = threading.Lock()  # protects opening: two threads, one first use
        self._loop: asyncio.AbstractEventLoop | None = None
        self._loop_thread: threading.Thread | None = None

    # ── living ───────────────────────────────────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        """Run workers; coroutines on a loop in a thread of its own."""
        loop = new_loop()
        thread = threading.Thread(target=loop.run_forever, name="shiftboss-loop", daemon=True)
        try:
            engine = self._boss._make_engine(loop, is_client=False)
        except BaseException:
            loop.close()
            raise
        self._loop, self._loop_thread = loop, thread
        try:
            thread.start()
            engine.ready.result()
        except BaseException:
            self._boss._close()
            self._end_loop()
            raise

    def stop(self) -> ShutdownReport:
        """Drain and stop, whether this was started or only a client.

        Raises NotAllowed on the loop of its bodies and in a body, which it would wait for.
        """
        engine = self._boss._require()
        engine.must_be_another_thread()
        if self._boss._is_on_loop():
            raise NotAllowed(
                "boss.sync.stop() would block the event loop whose bodies it waits for; await boss.stop() there, or "
                "call it from another thread"
            )
        context = current.get()
        if context is not None and engine.runs(context.run_id):
            raise NotAllowed(
                f"boss.sync.stop() in the body of run {context.run_id} would wait for it; drain the node instead, "
                "boss.sync.drain(name), or call it in a thread of its own"
            )
        engine.stop()
        report = engine.over.result()
        self._boss._close()
        self._end_loop(0.0 if report.stuck else LOOP_ENDS_WITHIN_S)
        return report

    def open(self, *, create: bool = False, wait: Duration = WAIT_S) -> None:
        """Open a client, if nothing is open yet.

        *create* and *wait* are those of `Orchestrator.client`: a store that is missing is made, or waited for.  Raises
        StoreMissing.
        """
        create = CALL.read_one("create", create, of="client")
        wait_s: float = CALL.read_one("wait", wait, of="client")
        boss = self._boss
        if boss._engine is not None and boss._pid != os.getpid():
            process_end.forget_parent()  # by a server that calls no hooks of Python's
        with self._lock:
            if boss._engine is not None and not boss._engine.over.done():
                return
            while True:
                try:
                    self._open_client(create=create)
                    break
                except StoreMissing as missing:
                    pause_s = boss._first_node.pause_s(missing, wait_s)
                    if not pause_s:
                        raise
                    threading.Event().wait(pause_s)
            if not create:
                self._await_workers(wait_s)

    def _await_workers(self, wait_s: float) -> None:
        boss = self._boss
        while not boss._has_workers():
            pause_s = boss._first_node.pause_s(f"no worker is declared in {boss.store.url} yet", wait_s)
            if not pause_s:
                return
            threading.Event().wait(pause_s)
        boss._first_node.came()

    def _open_client(self, *, create: bool) -> None:
        engine = self._boss._make_engine(None, is_client=True, create=create)
        try:
            engine.ready.result()
        except BaseException:
            self._boss._close()
            raise

    def close(self) -> None:
        """Close what is open; nothing to do otherwise."""
        if self._boss._engine is not None:
            self.stop()

    def __enter__(self) -> SyncFace:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _leave_to_parent(self) -> None:
        """In a forked child."""
        self._lock = threading.Lock()  # another thread may have held it
        self._loop = self._loop_thread = None

    def _end_loop(self, within_s: float = LOOP_ENDS_WITHIN_S) -> None:
        loop, thread = self._loop, self._loop_thread
        self._loop = self._loop_thread = None
        if loop is None or thread is None:
            return
        if thread.ident is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(within_s)
        if not thread.is_alive():
            loop.close()

    # ── operating ────────────────────────────────────────────────────────────────────────────────────────────────

    def trigger(self, worker: Named, payload: Payload = None, /, **options: Unpack[TriggerOptions]) -> Run:
        """Store a run; returns it after its commit."""
        if options.get("within") is not None:
            raise ConfigurationError("a trigger within your transaction gives no run yet; call trigger_within(…)")
        self.open()
        boss = self._boss
        request = boss._asked(name_of(worker), boss.encode(worker, payload), options)
        run: Run = call.in_thread(boss._put_trigger(request))
        return run

    def trigger_within(
        self,
        within: Within,
        worker: Named,
        payload: Payload = None,
        /,
        **options: Unpack[TriggerOptions],
    ) -> str:
        """Trigger within a transaction of yours; once it is committed the run is there, under the key given back.

        Raises what `trigger` raises, by what is known now, and ConfigurationError for an asynchronous connection.
        """
        self.open()
        boss = self._boss
        promise, arrival = boss._arriving(name_of(worker), boss.encode(worker, payload), options)
        done = insert(within, arrival)
        if done is not None:
            if inspect.iscoroutine(done):
                done.close()
            raise ConfigurationError("this connection is asynchronous; await boss.trigger(…, within=…) instead")
        return promise.key

    def cancel(self, run_id: int, *, reason: str | None = None) -> Run:
        """End a run: at once while it waits, by asking its body while it runs.  Raises UnknownRun, NotAllowed."""
        self.open()
        run: Run = call.in_thread(self._boss._put_cancel(run_id, reason))
        return run

    def disable(self, worker: Named, *, reason: str | None = None) -> WorkerState:
        """Start nothing new of it; what runs goes on.  Raises UnknownWorker."""
        self.open()
        state: WorkerState = call.in_thread(self._boss._put_disable(worker, reason))
        return state

    def enable(self, worker: Named) -> WorkerState:
        """Start again; resets the streak and the breaker.  Raises UnknownWorker."""
        self.open()
        state: WorkerState = call.in_thread(self._boss._put_enable(worker))
        return state

    def forget(self, worker: Named) -> None:
        """Remove a worker that no live node declares.  Raises UnknownWorker, NotAllowed."""
        self.open()
        call.in_thread(self._boss._put_forget(worker))

    def drain(self, node: str) -> Node:
        """Let a node (its id or its name) finish what runs and start nothing new.  Raises UnknownNode."""
        self.open()
        drained: Node = call.in_thread(self._boss._put_drain(node))
        return drained

    def prefer(self, node: str, worker: Named | None = None) -> tuple[str, ...]:
        """What a node declares is the newest from now on.  Raises UnknownNode, UnknownWorker, NotAllowed."""
        self.open()
        names: tuple[str, ...] = call.in_thread(self._boss._put_prefer(node, worker))
        return names

    def replay(self, run_id: int, *, delay: Duration = 0.0) -> Run:
        """A new run of a dead letter, with the same payload, due after *delay*.  Raises UnknownRun, NotAllowed."""
        self.open()
        run: Run = call.in_thread(self._boss._put_replay(run_id, delay))
        return run

    def resolve(self, run_id: int, *, note: str | None = None) -> DeadLetter:
        """Close a dead letter with a note.  Raises UnknownRun, NotAllowed."""
        self.open()
        letter: DeadLetter = call.in_thread(self._boss._put_resolve(run_id, note))
        return letter

    def discard(self, run_id: int, *, note: str | None = None) -> DeadLetter:
        """Close a dead letter as not worth anything.  Raises UnknownRun, NotAllowed."""
        self.open()
        letter: DeadLetter = call.in_thread(self._boss._put_discard(run_id, note))
        return letter

    def unreadable(self) -> list[Unreadable]:
        """Every stored row that cannot be read, with the reason."""
        self.open()
        return self._boss._read(lambda views: views.unreadable())

    def set_aside(self, rows: Collection[Unreadable] | None = None, *, note: str | None = None) -> list[Unreadable]:
        """Move rows that cannot be read, those or all, into the table `set_aside`; what was moved."""
        self.open()
        moved: list[Unreadable] = []
        for batch in self._boss._to_set_aside(rows):
            moved += call.in_thread(self._boss._put_set_aside(batch, note))
        return moved

    def record(
        self, action: str, *, about: str | None = None, before: str | None = None, after: str | None = None
    ) -> None:
        """Put into the audit what was done beside the store (A8); *about*: a worker, where it is about one."""
        self.open()
        call.in_thread(self._boss._put_record(action, about, before, after))

    def audit(self, wanted: AuditFilter = DEFAULT_AUDIT) -> list[Act]:
        """What people did, the newest first: the newest 50, or as *wanted* says (A8)."""
        self.open()
        return self._boss._read(lambda views: views.audit(wanted))

    def verify_audit(self, *heads: Head) -> AuditVerdict:
        """Whether the audit says what was sealed, and what of it is proven; with *heads* that were kept elsewhere."""
        self.open()
        return self._boss._verified(heads)

    def wait_for(self, run_id: int, *, timeout: Duration | None = None) -> Run:
        """Wait until a run has ended, here or on any node.  Raises WaitTimeout, NotAllowed on a loop with bodies."""
        if process_end.blocks_bodies():
            raise NotAllowed(
                f"to wait for run {run_id} here would block the event loop on which bodies run, perhaps its own, for "
                "ever; write await boss.wait_for(…), or run = await worker.trigger(…) and await run.result()"
            )
        self.open()
        timeout_s: float | None = CALL.read_one("timeout", timeout)
        put = self._boss._put_watch(run_id)
        run: Run = call.wait_in_thread(put, timeout_s=timeout_s, what=f"run {run_id}")
        return run

    def result(self, run_id: int, *, timeout: Duration | None = None) -> Any:
        """What the body of a run returned.  Raises RunFailed, WrongResult, and what `wait_for` raises."""
        run = self.wait_for(run_id, timeout=timeout)
        return result_of(run, self._boss.bodies.get(run.worker))

    # ── asking ───────────────────────────────────────────────────────────────────────────────────────────────────

    def status(self) -> SystemStatus:
        """The state of everything; disabled workers first."""
        self.open()
        return self._boss._read(lambda views: views.status())

    def health(self) -> SystemHealth:
        """How well the whole is and each worker, with the reasons, worst first."""
        self.open()
        return self._boss._read(lambda views: views.health())

    def nodes(self) -> tuple[NodeStatus, ...]:
        """The nodes that the store knows."""
        self.open()
        return self._boss._read(lambda views: views.nodes())

    def why(self, worker: Named) -> Explanation | None:
        """Every hold of the worker's next run; None when nothing waits.  Raises UnknownWorker."""
        self.open()
        name = name_of(worker)
        return self._boss._read(lambda views: views.why(name))

    def why_run(self, run_id: int) -> Explanation:
        """Every hold of one run.  Raises UnknownRun."""
        self.open()
        known = known_run(run_id)
        return self._boss._read(lambda views: views.why_run(known))

    def run_info(self, run_id: int) -> Run:
        """A run as the store has it now, with payload, result and attempts.  Raises UnknownRun."""
        self.open()
        known = known_run(run_id)
        return self._boss._read(lambda views: views.run(known))

    def runs(self, wanted: HistoryFilter = DEFAULT_RUNS) -> list[Run]:
        """Runs, live and finished, newest first, without payloads: the newest 50, or as *wanted* says."""
        self.open()
        return self._boss._read(lambda views: views.history(wanted))

    def lines(self, run_id: int) -> list[LogLine]:
        """What the attempts of a run logged, the last 1,000 lines of each.  Raises UnknownRun."""
        self.open()
        known = known_run(run_id)
        return self._boss._read(lambda views: views.lines(known))

    def dead_letters(self, wanted: LetterFilter = DEFAULT_LETTERS) -> list[DeadLetter]:
        """Dead letters, newest first: the newest 1,000 open ones, or as *wanted* says."""
        self.open()
        return self._boss._read(lambda views: views.letters(wanted))
