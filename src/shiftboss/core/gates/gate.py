"""What a gate is: a function that is asked about one run, its rules, and the kinds of hold that it returns.

Rules of this file
- A gate appends its holds to the `Answer`, or notes how the run must be started (probe, fallback, degraded).
- It looks only at what it is given: the fleet as a `View`, a `Node`, or what runs `Here`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, NamedTuple, TypeVar

from shiftboss.core.hold import Hold
from shiftboss.core.isolation import Company
from shiftboss.core.model import Node, Run, WorkerState
from shiftboss.core.room import Room
from shiftboss.core.snapshot import Snapshot

Seen = TypeVar("Seen", contravariant=True)


class Answer:
    """What the gates said about one run: its holds, and how it must be started if there are none."""

    __slots__ = ("degraded", "fallback", "good_until", "holds", "priority", "probe", "run", "skip", "state")

    def __init__(self, run: Run, state: WorkerState) -> None:
        self.run = run
        self.state = state
        self.priority = run.priority  # its own, or the one lent to it (D9)
        self.holds: list[Hold] = []
        self.probe = False  # whether it probes a half-open breaker or a disabled worker
        self.fallback = False
        self.degraded = False
        self.skip = False  # D5: it is not held, but to be recorded as skipped
        self.good_until: datetime | None = None  # when a gate that lets it pass now will hold it again (D4)

    def hold(self, hold: Hold) -> None:
        self.holds.append(hold)

    def since(self, instant: datetime | None) -> datetime:
        """Since when it holds: not since before the run was due."""
        due_at = self.run.due_at
        return due_at if instant is None else max(due_at, instant)


class View:
    """A snapshot in which the starts granted so far count as running."""

    def __init__(self, snapshot: Snapshot, now: datetime) -> None:
        self.snapshot = snapshot
        self.now = now
        self.granted: dict[str, list[Run]] = {}
        self._takers: dict[str, list[tuple[Run, int]]] | None = None
        self._taken: dict[str, int] = {}
        self.skipped: dict[str, Run] = {}  # skipped by D5 in the same walk: a failure for workers downstream (D2)
        self.reserving: list[Run] = []  # B4, in the same walk: runs of higher rank whose patience is over

    def grant(self, run: Run) -> None:
        self.granted.setdefault(run.worker, []).append(run)
        if self._takers is not None:
            self._takes(self._takers, run)

    def running_of(self, name: str) -> list[Run]:
        running = self.snapshot.running_of(name)
        granted = self.granted.get(name)
        if granted is None:
            return list(running)
        return [*running, *granted]

    def running_beside(self, name: str) -> Iterator[str]:
        """The workers of its component that run something; computed from what runs, however large the component is."""
        relations, busy = self.snapshot.relations, self.snapshot.running_by
        return (other for other in {**busy, **self.granted} if relations.is_related(name, other))

    def takers(self, resource: str) -> list[tuple[Run, int]]:
        """The running runs that hold permits of *resource*, with how many."""
        if self._takers is None:
            self._takers = {}
            for run in self.snapshot.running.values():
                self._takes(self._takers, run)
            for granted in self.granted.values():
                for run in granted:
                    self._takes(self._takers, run)
        return self._takers.get(resource, [])

    def taken(self, resource: str) -> int:
        """How many permits of *resource* the running runs hold."""
        self.takers(resource)
        return self._taken.get(resource, 0)

    def _takes(self, takers: dict[str, list[tuple[Run, int]]], run: Run) -> None:
        state = self.snapshot.workers.get(run.worker)
        if state is not None and state.definition.uses:
            for resource, permits in state.definition.uses.items():
                takers.setdefault(resource, []).append((run, permits))
                self._taken[resource] = self._taken.get(resource, 0) + permits

    def node_name(self, node_id: str) -> str:
        node = self.snapshot.nodes.get(node_id)
        return node.name if node else node_id


class Here(NamedTuple):
    """A node and what runs there, including the starts granted so far."""

    node: Node
    room: Room
    company: Company


@dataclass(frozen=True)
class Gate(Generic[Seen]):
    """One line of the table."""

    rules: tuple[str, ...]  # of docs/reference/semantics.md
    holds: tuple[type[Hold], ...]  # the kinds that it returns
    ask: Callable[[Seen, Answer], None]
    is_about_options: bool = False  # it never holds a worker without an option of worker.HOLDING and without relations

    def __post_init__(self) -> None:
        for kind in self.holds:
            if kind.__struct_config__.tag is None:
                raise TypeError(f"hold {kind.__name__} has no tag: it is the gate's name in JSON")
            if kind.about and kind.about not in kind.__struct_fields__:
                raise TypeError(f"hold {kind.__name__} is about {kind.about!r}, which is none of its fields")
