"""A node or a client that is open: its engine, which writes, its store, and the views that read.

Rules of this file
- Whatever acts or asks is handed one of these; current_node.py says how it is opened and when it is closed.
- Only one thread at a time uses the views: others wait.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING, TypeVar

from shiftboss.app.actor import MAX_CHARS
from shiftboss.app.options import CALL
from shiftboss.context import storable
from shiftboss.engine import mutation
from shiftboss.errors import NotStarted

if TYPE_CHECKING:  # 15 ms of import, left to the start and the first question
    from shiftboss.app.node import NodeParts
    from shiftboss.app.views import Views
    from shiftboss.clock import Clock
    from shiftboss.core.redact import Redaction
    from shiftboss.engine.engine import Engine
    from shiftboss.ports.store import Store

T = TypeVar("T")


class OpenNode:
    """An *engine*, and the *parts* that it runs with; *new_views* makes the views that answer questions.

    *redaction* and *secrets*: what must be masked before something that callers say is kept.
    """

    def __init__(
        self,
        engine: Engine,
        parts: NodeParts,
        *,
        new_views: Callable[[], Views],
        redaction: Redaction,
        secrets: tuple[str, ...],
    ) -> None:
        self.engine = engine
        self.parts = parts
        self.secrets = secrets
        self.pid = os.getpid()
        self._redaction = redaction
        self._new_views = new_views
        self._views: Views | None = None
        self._is_closed = False
        self._lock = threading.Lock()  # protects the views' session, which only one thread at a time may use

    @property
    def store(self) -> Store:
        return self.parts.store

    @property
    def clock(self) -> Clock:
        """The store's clock, which the rules use."""
        return self.parts.store.clock

    def read(self, question: Callable[[Views], T]) -> T:
        """Ask the store, in the calling thread.  Raises NotStarted if it was closed meanwhile."""
        CALL.read_one("question", question)
        with self._lock:
            if self._is_closed:
                raise NotStarted("the orchestrator was stopped before this was asked; start it again")
            if self._views is None:
                self._views = self._new_views()
            return question(self._views)

    def masked(self, text: str) -> str:
        """*text* without secrets, so that it may be kept."""
        return self._redaction.text(text) if text else text

    def note(self, action: str, *, by: str, before: str, after: str) -> None:
        """Record an action in the audit without waiting; a failed write is tried again (H5).  Raises NotStarted."""
        before, after = self.masked(before), self.masked(after)
        facts = {"by": storable(by, MAX_CHARS), "worker": "", "before": before, "after": after}
        self.engine.put(mutation.record(action, **facts, answer=None))

    def close(self) -> None:
        """To be called once the engine was told to stop, or has failed to become ready."""
        self.engine.join()
        with self._lock:
            self._is_closed = True
            if self._views is not None:
                self._views.close()
                self._views = None
        # an engine that did not become ready has no report
        report = self.engine.over.result() if self.engine.over.done() else None
        self.parts.close(has_stuck_bodies=report is not None and report.stuck > 0, within_s=self.engine.left_s)


def close_parts(parts: NodeParts) -> None:
    """Close the parts of a node that did not get an engine."""
    parts.close(has_stuck_bodies=False, within_s=inf)
