"""Which node or client of an orchestrator is open now: it is opened, required, closed, or ended with its process.

Rules of this file
- At most one is open at a time.  A node that has ended by itself is closed when the next one is opened (G5).
- A forked child has none: it never closes what its parent had opened, and can open its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from concurrent.futures import TimeoutError as FutureTimeout
from typing import TYPE_CHECKING

from shiftboss.app import process_end
from shiftboss.app.first_node import FirstNode
from shiftboss.app.own_loop import LoopThread
from shiftboss.errors import AlreadyStarted, ConfigurationError, Forked, NotStarted, ShiftbossError, StoreMissing
from shiftboss.executors import function_ref

if TYPE_CHECKING:  # 15 ms of import, left to the start and the first question
    from collections.abc import Callable

    from shiftboss.app.open_node import OpenNode
    from shiftboss.app.orchestrator import Orchestrator
    from shiftboss.clock import Clock
    from shiftboss.engine.engine import Engine

LOOP_ENDS_WITH_PROCESS_S = 1.0


class CurrentNode:
    """The node or client of one orchestrator.  `boss`, `boss.sync` and the end of the process all go through it."""

    def __init__(self, boss: Orchestrator, clock: Clock) -> None:
        self._boss = boss
        self._clock = clock  # the one that the orchestrator was given
        self._was_forked = False  # this process is a child of the one that opened the node
        self.node: OpenNode | None = None
        self.first_node = FirstNode(clock)
        self.loop_thread = LoopThread()  # the thread of `boss.sync.start()`
        self.opening = threading.Lock()  # protects opening by `boss.sync`: its first use may come from two threads

    def require(self) -> OpenNode:
        """The node or client that is open.  Raises NotStarted, Forked."""
        node = self.node
        if node is not None:
            return node
        if self._was_forked:
            raise Forked(
                "this process was forked after the orchestrator was started or opened, and has none of its threads and "
                "connections; open it here: `await boss.start()`, `async with boss.client()`, boss.sync.start() (in "
                "gunicorn's post_fork, or a lifespan), or boss.sync.trigger(…), which opens a client by itself"
            )
        raise NotStarted(
            "the orchestrator is not started; use `async with boss`, `await boss.start()`, "
            "`async with boss.client()` or boss.sync"
        )

    def open(
        self,
        loop: asyncio.AbstractEventLoop | None,
        *,
        is_client: bool,
        create: bool = False,
        owns_process: bool = False,
        starting: Callable[[Engine], None] = lambda engine: None,
    ) -> OpenNode:
        """Open the store and start the engine, whose `ready` tells how that went.

        *create*: whether a client makes a missing store; a node always does.  *starting* is called with the engine just
        before its thread starts.
        """
        from shiftboss.app.node import NodeParts  # with the engine
        from shiftboss.app.open_node import OpenNode, close_parts
        from shiftboss.stores.encryption import encoded
        from shiftboss.stores.urls import open_store

        boss = self._boss
        if self.node is not None and self.node.engine.over.done():
            self.close()  # a node that has ended by itself because its loop was closed (G5)
        if self.node is not None:
            raise AlreadyStarted("the orchestrator runs already; stop it before it is started again")
        if function_ref.in_child and not is_client:
            raise ConfigurationError(
                "this is a child of executor='process', which imports the module of its function and starts nothing; "
                'put the start of the orchestrator under if __name__ == "__main__":'
            )
        if not is_client:
            process_end.must_have_threads()
        elif self._was_forked and boss.store_url.startswith("memory:"):
            raise Forked(
                "this process was forked, and only its parent can use the memory store; use a file: sqlite:///…"
            )
        process_end.opens(self)
        parts: NodeParts | None = None
        try:
            store = open_store(boss.store_url, clock=self._clock, durability=boss.durability)
            store = encoded(store, boss.codec)
            try:
                store.open(create=not is_client)
            except StoreMissing:
                if not create:
                    raise
                store.open(create=True)  # not earlier: a client does not migrate a store on which others run (W4)
            parts = NodeParts(boss, store, loop, is_client=is_client, declares_new=create)
            engine = parts.engine(boss.subscribers, boss.meters, owns_process=owns_process)
            self._was_forked = False
            self.node = OpenNode(
                engine, parts, new_views=boss.new_views, redaction=boss.redaction, secrets=boss.secrets
            )
            starting(engine)
            engine.start()
        except BaseException:
            if self.node is not None:
                self.node.engine.stop(owns_process=owns_process)  # a Ctrl-C may come when its thread runs already
            elif parts is not None:
                close_parts(parts)
            self.close()
            raise
        return self.node

    def has_workers(self) -> bool:
        """Whether any worker is declared in the store."""
        node = self.require()
        return node.engine.knows_workers or bool(node.read(lambda views: views.status()).workers)

    def close(self) -> None:
        """Does nothing if none is open."""
        node, self.node = self.node, None
        if node is not None:
            node.close()
        process_end.closed(self)

    # ── ends without a stop (process_end.py) ─────────────────────────────────────────────────────────────────────

    @property
    def shutdown_timeout_s(self) -> float:
        return self._boss.shutdown_timeout_s

    def is_on_loop(self) -> bool:
        """Whether the caller would block the loop on which its functions run."""
        return self.node is not None and self.node.parts.is_on_loop()

    def end_with_process(self, *, owns_process: bool) -> None:
        """The main thread is over: begin to stop.  A loop that is not running by now will not run again."""
        node = self.node
        if node is not None:
            node.engine.end(owns_process=owns_process)
            node.parts.main_is_over()

    def close_with_process(self, timeout_s: float) -> None:
        """Wait until the node has stopped, and close it; one that does not stop in time is left as it is."""
        node = self.node
        if node is not None:
            with contextlib.suppress(FutureTimeout, ShiftbossError):
                report = node.engine.over.result(timeout_s)
                self.close()
                self.loop_thread.end(0.0 if report.stuck else LOOP_ENDS_WITH_PROCESS_S)

    def end_sooner(self) -> None:
        if self.node is not None:
            self.node.engine.stop()

    @property
    def is_inherited(self) -> bool:
        """Whether this process was forked and has not been told so yet."""
        return self.node is not None and self.node.pid != os.getpid()

    def leave_to_parent(self) -> None:
        """In a forked child: forget what belongs to the parent, without closing it."""
        process_end.keep_forever(self.node)
        self.node = None
        self._was_forked = True
        self.loop_thread = LoopThread()
        self.opening = threading.Lock()  # another thread of the parent may have held the old one
