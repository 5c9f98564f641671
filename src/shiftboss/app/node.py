"""What a started orchestrator consists of: a store, executors, a watchdog, an identity.

Rules of this file
- The identity is made at the start and is never a host name (C2); the name beside it is for people.
- Whatever was opened is closed, in the reverse order.
- The proof that a node lives is kept while one of its functions runs: if a function outlives the orchestrator in this
  process, the proof is kept until the process ends, and only the lease decides when others may begin its run (B6, C4).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import uuid
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from shiftboss import body_lines
from shiftboss.app.audit_key import keys_of
from shiftboss.clock import SystemClock
from shiftboss.core.model import Node
from shiftboss.engine.engine import Engine
from shiftboss.engine.observers import Meter, Subscriber
from shiftboss.engine.pressure import memory_share, resident_bytes
from shiftboss.engine.setup import Setup
from shiftboss.engine.watchdog import Watchdog
from shiftboss.executors.coroutine import CoroutineExecutor
from shiftboss.executors.thread import ThreadExecutor
from shiftboss.observe.log import log_events
from shiftboss.observe.tracing import Tracing
from shiftboss.ports.executor import Executor
from shiftboss.ports.store import EntryLog, Store
from shiftboss.stores.encryption import cipher_of
from shiftboss.stores.urls import elsewhere

if TYPE_CHECKING:
    from shiftboss.app.orchestrator import Orchestrator

_held_to_the_end: list[contextlib.ExitStack] = []  # never closed: the kernel releases it with the process
CLOSE_WITHIN_S = 1.0  # for executors to end their idle threads

_clock = SystemClock()  # threads end in real time, whatever clock the rules use


def package_version() -> str:
    from importlib.metadata import PackageNotFoundError, version  # 12 ms of import, only for those who ask

    try:
        return version("shiftboss")
    except PackageNotFoundError:  # it runs from a source tree
        return "0"


class NodeParts:
    """Takes over an open *store*, and closes it, also if something else cannot be opened."""

    def __init__(
        self,
        boss: Orchestrator,
        store: Store,
        loop: asyncio.AbstractEventLoop | None,
        *,
        is_client: bool,
        declares_new: bool = False,
    ) -> None:
        self._declares_new = declares_new
        self.store = store
        self.cipher = cipher_of(store)
        self._boss = boss
        self._stack = contextlib.ExitStack()
        self._closes_by_s = float("inf")
        self._stack.callback(store.close)
        self.node: Node | None = None
        self.entries: EntryLog | None = None
        self.executors: dict[str, Executor] = {}
        self._coroutines: CoroutineExecutor | None = None
        self.watchdog: Watchdog | None = None
        if not is_client:
            try:
                self._open_as_node(loop)
            except BaseException:
                self._stack.close()
                raise

    def _open_as_node(self, loop: asyncio.AbstractEventLoop | None) -> None:
        self._open_executors(loop)
        self.node = self._make_node()
        self._hold = self._stack.enter_context(contextlib.ExitStack())
        self.entries = self._hold.enter_context(self.store.hold(self.node.id))
        self._stack.enter_context(body_lines.kept())

    def _open_executors(self, loop: asyncio.AbstractEventLoop | None) -> None:
        boss = self._boss
        kinds = {definition.executor for name, definition in boss.definitions.items() if boss.only(name)}
        if "thread" in kinds:
            self.executors["thread"] = ThreadExecutor(boss.max_concurrency, self.store.clock)
        if "process" in kinds:
            from shiftboss.executors.process import ProcessExecutor  # 15 ms of import, only for those who use it
            from shiftboss.interpreter import require_interpreter

            require_interpreter(
                n for n, each in boss.definitions.items() if each.executor == "process" and boss.only(n)
            )
            measures = any(each.max_memory_bytes is not None for each in boss.definitions.values())
            self.executors["process"] = ProcessExecutor(boss.process_slots, self.store.clock, measures=measures)
        if "command" in kinds:
            from shiftboss.executors.command_executor import CommandExecutor  # as above

            self.executors["command"] = CommandExecutor(
                boss.command_slots, self.store.clock, store=elsewhere(boss.store_url)
            )
        if any(kind.startswith("pool:") for kind in kinds):
            from shiftboss.executors.pool import PoolBody, PoolExecutor  # as above

            for name, body in boss.bodies.items():
                if isinstance(body, PoolBody) and boss.only(name):
                    kind = boss.definitions[name].executor
                    self.executors[kind] = PoolExecutor(kind, body.pool, self.store.clock, slots=body.pool_slots)
        if loop is not None:
            coroutines = CoroutineExecutor(
                loop, boss.max_concurrency, self.store.clock, needs_loop="coroutine" in kinds
            )
            self.executors["coroutine"] = self._coroutines = coroutines
            self.watchdog = Watchdog(loop, self.store.clock, running=coroutines.running)
        for executor in self.executors.values():
            executor.open()
            self._stack.callback(self._close_executor, executor)

    def _close_executor(self, executor: Executor) -> None:
        executor.close(max(0.0, min(CLOSE_WITHIN_S, self._closes_by_s - _clock.monotonic_s())))

    def _make_node(self) -> Node:
        boss = self._boss
        host = socket.gethostname()
        return Node(
            id=uuid.uuid4().hex,
            name=f"{host}:{os.getpid()}",
            boot=self.store.clock.boot,
            lease_until_s=0.0,
            started_at=self.store.clock.now(),
            slots=boss.max_concurrency,
            executors={kind: executor.slots for kind, executor in self.executors.items()},
            workers={name: d.parameters for name, d in boss.definitions.items() if boss.only(name)},
            pid=os.getpid(),
            host=host,
            version=package_version(),
            code_version=boss.code_version,
            durability=self.store.durability,
            decodes=self.cipher.key_ids,
            freeze_limit_s=boss.freeze_limit_s,
        )

    def engine(self, subscribers: Sequence[Subscriber], meters: Sequence[Meter], *, owns_process: bool) -> Engine:
        boss = self._boss
        setup = Setup(
            node=self.node,
            definitions=tuple(boss.definitions.values()),  # including those that other nodes run (--only)
            resources=boss.resources,
            declares_new=self._declares_new,
            bodies=boss.bodies,
            executors=self.executors,
            logger=log_events,
            subscribers=subscribers,
            meters=meters,
            traced=Tracing(package_version()).start_span,
            secrets=boss.secrets,
            watchdog=self.watchdog,
            memory_share=memory_share,
            resident_bytes=resident_bytes,
            shutdown_timeout_s=boss.shutdown_timeout_s,
            keep=boss.keep,
            entries=self.entries,
            decodes=self.cipher.key_ids,
            keyring=keys_of(self.store, create=self.node is not None),
            owns_process=owns_process,
        )
        engine = Engine(self.store, self.store.clock, setup)
        if self._coroutines is not None:
            self._coroutines.on_loop_lost = engine.end
        return engine

    def is_on_loop(self) -> bool:
        """Whether the caller would block the loop on which functions run."""
        return self._coroutines is not None and self._coroutines.is_on_loop()

    def main_is_over(self) -> None:
        """The main thread is over: a loop that is not running by now will not run again."""
        if self._coroutines is not None:
            self._coroutines.main_is_over()

    def attach(self, close: Callable[[], None]) -> None:
        """Call *close* before the store is closed: for whatever else reads it."""
        self._stack.callback(close)

    def close(self, *, has_stuck_bodies: bool, within_s: float) -> None:
        """Wait for nothing longer than *within_s*, except for the moment in which an idle thread ends."""
        self._closes_by_s = _clock.monotonic_s() + within_s
        if has_stuck_bodies:  # they have had their time
            self._closes_by_s = float("-inf")
        if has_stuck_bodies and self.node is not None:
            _held_to_the_end.append(self._hold.pop_all())
        self._stack.close()
