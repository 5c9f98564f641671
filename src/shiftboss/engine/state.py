"""The state of an open engine, which the parts of its loop share.

Rules of this file
- Only the engine's thread uses a part; what other threads may use as well says so in its own file.
- Each part takes what it needs from here in its constructor, and is given the other parts that it calls.
"""

from __future__ import annotations

from dataclasses import dataclass

from shiftboss.clock import Clock
from shiftboss.core.model import Node
from shiftboss.engine.contact import Contact
from shiftboss.engine.cycle import Cycle
from shiftboss.engine.inbox import Inbox
from shiftboss.engine.lease import Lease
from shiftboss.engine.observers import Observers
from shiftboss.engine.running import RunningAttempts
from shiftboss.engine.setup import Setup
from shiftboss.engine.shutdown import Shutdown, ShutdownReport
from shiftboss.engine.waiters import Waiters
from shiftboss.ports.store import Session, Store


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineState:
    setup: Setup
    store: Store
    clock: Clock
    node: Node | None  # with the keys of what it declares; None: a client
    session: Session
    cycle: Cycle
    inbox: Inbox
    waiters: Waiters
    running: RunningAttempts
    lease: Lease
    contact: Contact
    shutdown: Shutdown
    report: ShutdownReport
    observers: Observers
