"""What an engine is given: who it is, what it declares and runs, whom it tells, and how long things may take."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from shiftboss.core.model import Node
from shiftboss.core.retention import KEEP, Keep
from shiftboss.core.worker import Definition
from shiftboss.engine.declaring import declaring_node
from shiftboss.engine.observers import Logger, Meter, Subscriber
from shiftboss.engine.sealing import Keyring
from shiftboss.engine.watchdog import Watchdog
from shiftboss.ports.executor import Body, Executor, Launch
from shiftboss.ports.store import EntryLog


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    node: Node | None  # None: a client, which starts nothing
    definitions: Sequence[Definition] = ()  # including those that only other nodes run
    resources: Mapping[str, int] = field(default_factory=dict[str, int])
    declares_new: bool = False  # a client declares what nobody has declared yet (M7)
    bodies: Mapping[str, Body] = field(default_factory=dict[str, Body])  # by worker
    executors: Mapping[str, Executor] = field(default_factory=dict[str, Executor])  # by kind
    entries: EntryLog | None = None  # which attempts entered their function, for whoever rescues them

    logger: Logger = lambda events, raised: None
    subscribers: Sequence[Subscriber] = ()
    meters: Sequence[Meter] = ()
    traced: Callable[[Launch], None] = lambda launch: None

    watchdog: Watchdog | None = None
    memory_share: Callable[[], float | None] = lambda: None
    resident_bytes: Callable[[], int] = lambda: 0

    secrets: tuple[str, ...] = ()  # values that are masked wherever a text repeats them
    decodes: Sequence[str] = ()  # the ids of the codec's keys, beginning with the one that it encodes with
    keyring: Keyring | None = None  # with what it seals the audit

    keep: Keep = KEEP
    shutdown_timeout_s: float = 25.0
    owns_process: bool = False  # it may use the alarm of the process

    @property
    def declaring_node(self) -> Node | None:
        """The node with the keys of what it declares."""
        return None if self.node is None else declaring_node(self.node, self.definitions, self.resources)
