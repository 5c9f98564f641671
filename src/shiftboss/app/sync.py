"""The same methods for code without a loop: `boss.sync.trigger(…)`.

Rules of this file
- Its first use opens a client, unless the orchestrator is started.
- `start` runs workers; coroutines run on a loop in a thread of its own.
- Never call it from a coroutine: it blocks.  Where it would wait for the very loop that it blocks, it raises.
- Verbs and questions are the same as the orchestrator's (verbs.py, questions.py); here is what only blocking needs.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Awaitable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Unpack, overload

from shiftboss.app import call, process_end, setting_aside
from shiftboss.app.current_node import CurrentNode
from shiftboss.app.fan_out import (
    Encode,
    FanOut,
    TriggerItem,
    answered_within_s,
    arriving_many,
    given_triggers,
    in_chunks,
)
from shiftboss.app.first_node import WAIT_S
from shiftboss.app.handle import ManyOptions, TriggerOptions, result_of
from shiftboss.app.options import CALL, Named, Payload, known_run, name_of
from shiftboss.app.own_loop import ENDS_WITHIN_S, new_loop
from shiftboss.app.questions import Questions
from shiftboss.app.triggering import arriving, request_of
from shiftboss.app.verbs import Verbs
from shiftboss.app.within import Within, insert, insert_many
from shiftboss.context import current as current_body
from shiftboss.core.kinds import Duration
from shiftboss.core.model import Run
from shiftboss.core.unreadable import Unreadable
from shiftboss.engine import mutation
from shiftboss.errors import ConfigurationError, NotAllowed, StoreMissing
from shiftboss.ports.executor import Body

if TYPE_CHECKING:
    from shiftboss.app.open_node import OpenNode
    from shiftboss.engine.shutdown import ShutdownReport


def must_not_wait(inserting: Awaitable[Any] | None, method: str) -> None:
    """Raises ConfigurationError if the insert is to be awaited."""
    if inserting is None:
        return
    if inspect.iscoroutine(inserting):
        inserting.close()
    raise ConfigurationError(f"this connection is asynchronous; await boss.{method}(…, within=…) instead")


class SyncFace(Verbs, Questions):
    """Blocking twins of the orchestrator's coroutines; each raises what its twin raises."""

    has_loop = False

    def __init__(self, current: CurrentNode, *, encode: Encode, bodies: Mapping[str, Body]) -> None:
        self._current = current
        self._encode = encode
        self._bodies = bodies

    # ── living ───────────────────────────────────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        """Run workers; coroutines run on a loop in a thread of its own.  Raises what `Orchestrator.start` raises."""
        current, loop = self._current, new_loop()
        try:
            engine = current.open(loop, is_client=False).engine
        except BaseException:
            loop.close()
            raise
        try:
            current.loop_thread.run(loop)
            engine.ready.result()
        except BaseException:  # no thread for the loop, or a Ctrl-C while the engine becomes ready
            engine.stop()
            current.close()
            current.loop_thread.end()
            raise

    def stop(self) -> ShutdownReport:
        """Drain and stop, whether this was started or only a client was opened.

        Raises NotAllowed on the loop on which its functions run, and inside a function: it would wait for these.
        """
        current = self._current
        engine = current.require().engine
        engine.must_be_another_thread()
        if current.is_on_loop():
            raise NotAllowed(
                "boss.sync.stop() would block the event loop on which the functions run that it waits for; use await "
                "boss.stop(), or call it from another thread"
            )
        context = current_body.get()
        if context is not None and engine.runs(context.run_id):
            raise NotAllowed(
                f"boss.sync.stop() in the function of run {context.run_id} would wait for that run itself; drain the "
                "node instead, boss.sync.drain(name), or call it in another thread"
            )
        engine.stop()
        report = engine.over.result()
        current.close()
        current.loop_thread.end(0.0 if report.stuck else ENDS_WITHIN_S)
        return report

    def open(self, *, create: bool = False, wait: Duration = WAIT_S) -> None:
        """Open a client, if nothing is open yet.

        *create* and *wait* are those of `Orchestrator.client`: a missing store is made, or waited for.  Raises
        StoreMissing.
        """
        create = CALL.read_one("create", create, of="client")
        wait_s: float = CALL.read_one("wait", wait, of="client")
        current = self._current
        if current.is_inherited:
            process_end.forget_parent()  # a server that calls no hooks of Python's has forked
        with current.opening:
            if current.node is not None and not current.node.engine.over.done():
                return
            while True:
                try:
                    self._open_client(create=create)
                    break
                except StoreMissing as missing:
                    pause_s = current.first_node.pause_s(missing, wait_s)
                    if not pause_s:
                        raise
                    threading.Event().wait(pause_s)
            if not create:
                self._await_workers(wait_s)

    def _await_workers(self, wait_s: float) -> None:
        current = self._current
        while not current.has_workers():
            missing = f"no workers are registered in {current.require().store.url} yet"
            pause_s = current.first_node.pause_s(missing, wait_s)
            if not pause_s:
                return
            threading.Event().wait(pause_s)
        current.first_node.came()

    def _open_client(self, *, create: bool) -> None:
        engine = self._current.open(None, is_client=True, create=create).engine
        try:
            engine.ready.result()
        except BaseException:
            engine.stop()
            self._current.close()
            raise

    def opened(self) -> OpenNode:
        """What is open; opens a client first if nothing is.  Raises StoreMissing."""
        self.open()
        return self._current.require()

    def close(self) -> None:
        """Close what is open; does nothing otherwise."""
        if self._current.node is not None:
            self.stop()

    def __enter__(self) -> SyncFace:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ── triggering, waiting ──────────────────────────────────────────────────────────────────────────────────────

    def trigger(self, worker: Named, payload: Payload = None, /, **options: Unpack[TriggerOptions]) -> Run:
        """Store a run; returns it after its commit.

        Worker, payload and options are those of `Orchestrator.trigger`, and so is what it raises.  Raises
        ConfigurationError for `within=`, which `trigger_within` takes.
        """
        if options.get("within") is not None:
            raise ConfigurationError("a trigger within your transaction returns no run yet; call trigger_within(…)")
        node = self.opened()
        request = request_of(node, name_of(worker), self._encode(worker, payload), options)
        run: Run = call.in_thread(lambda answer: node.engine.put(mutation.trigger(request, answer)))
        return run

    @overload
    def trigger_many(
        self,
        worker: Named,
        payloads: Iterable[Payload],
        /,
        *,
        keys: Iterable[str | None] | None = None,
        **options: Unpack[ManyOptions],
    ) -> list[Run]: ...
    @overload
    def trigger_many(self, items: Iterable[TriggerItem], /) -> list[Run]: ...
    def trigger_many(self, worker: Any, payloads: Any = None, /, *, keys: Any = None, **options: Any) -> list[Run]:
        """Store a run for each of *payloads*, in one commit, or none at all (O6); returns them after it, in order.

        Raises TriggersRefused, whose `refused` has every trigger that was refused and why, and ConfigurationError for
        `within=`, which `trigger_many_within` takes.
        """
        if options.pop("within", None) is not None:
            raise ConfigurationError("triggers within your transaction give no runs yet; call trigger_many_within(…)")
        fan_out = self._fan_out(worker, payloads, keys, options)
        if not fan_out.triggers:
            return []
        engine = self.opened().engine
        runs = call.in_thread(
            lambda answer: engine.put(mutation.trigger_many(fan_out.triggers, answer)),
            within_s=answered_within_s(len(fan_out.triggers)),
        )
        return list(runs)

    def trigger_many_within(
        self, within: Within, worker: Any, payloads: Any = None, /, *, keys: Any = None, **options: Any
    ) -> list[str]:
        """Like `trigger_many`, within a transaction of yours; returns the keys under which the runs will exist.

        Raises what `trigger_many` raises, as far as it is known now, and ConfigurationError for an asynchronous
        connection.
        """
        fan_out = self._fan_out(worker, payloads, keys, options)
        if not fan_out.triggers:
            return []
        promises, arrivals = arriving_many(self.opened(), fan_out.triggers)
        for inserting in in_chunks(arrivals, lambda rows: insert_many(within, rows)):
            must_not_wait(inserting, "trigger_many")
        return [promise.key for promise in promises]

    def _fan_out(self, worker: Any, payloads: Any, keys: Any, options: Mapping[str, Any]) -> FanOut:
        fan_out = FanOut(self.opened(), self._encode, given_triggers(worker, payloads, keys, options))
        fan_out.read()
        return fan_out

    def trigger_within(
        self,
        within: Within,
        worker: Named,
        payload: Payload = None,
        /,
        **options: Unpack[TriggerOptions],
    ) -> str:
        """Trigger within a transaction of yours; once it is committed the run will exist, under the returned key.

        Raises what `trigger` raises, as far as it is known now, and ConfigurationError for an asynchronous connection.
        """
        promise, arrival = arriving(self.opened(), name_of(worker), self._encode(worker, payload), options)
        must_not_wait(insert(within, arrival), "trigger")
        return promise.key

    def set_aside(self, rows: Collection[Unreadable] | None = None, *, note: str | None = None) -> list[Unreadable]:
        """Move unreadable rows, those given or all, into the table `set_aside`; returns what was moved."""
        moved: list[Unreadable] = []
        for put in setting_aside.batches(self.opened(), rows, note):
            moved += call.in_thread(put)
        return moved

    def wait_for(self, run_id: int, *, timeout: Duration | None = None) -> Run:
        """Wait until a run has ended, here or on any node.

        *timeout*: a duration such as 30 or "5m"; None waits without limit, 0 does not wait.
        Raises UnknownRun, WaitTimeout, and NotAllowed on a loop on which functions run.
        """
        if process_end.blocks_bodies():
            raise NotAllowed(
                f"waiting for run {run_id} here would block the event loop on which functions run, perhaps forever; "
                "use await boss.wait_for(…), or run = await worker.trigger(…) and await run.result()"
            )
        node = self.opened()
        timeout_s: float | None = CALL.read_one("timeout", timeout)
        known = known_run(run_id)
        run: Run = call.wait_in_thread(
            lambda answer: node.engine.watch(known, answer), timeout_s=timeout_s, what=f"run {run_id}"
        )
        return run

    def result(self, run_id: int, *, timeout: Duration | None = None) -> Any:
        """What the function of a run returned.  *timeout*: as of `wait_for`.

        Raises RunFailed, WrongResult, and what `wait_for` raises.
        """
        run = self.wait_for(run_id, timeout=timeout)
        return result_of(run, self._bodies.get(run.worker))
