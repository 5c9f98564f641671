"""An engine that a test turns, step by step: on a memory store and a virtual clock, with the test as its executor."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

from worlds import Kept

from shiftboss.core.control import Request
from shiftboss.core.model import Interrupted, Node, Outcome, Run, Succeeded
from shiftboss.core.worker import Definition
from shiftboss.engine import mutation
from shiftboss.engine.cycle import Turn
from shiftboss.engine.engine import Engine
from shiftboss.engine.setup import Setup
from shiftboss.errors import StoreUnavailable
from shiftboss.ports.executor import Launch, StopReason
from shiftboss.stores.memory.store import MemoryStore
from shiftboss.testing.clock import VirtualClock


def a_job(name: str = "job", **fields: Any) -> Definition:
    return Definition(name=name, executor="hand", **fields)


class Hand:
    """Implements `ports.Executor`: starts nothing, and notes what it is told."""

    kind, slots = "hand", 10

    def __init__(self) -> None:
        self.launches: dict[int, Launch] = {}
        self.told: list[tuple[int, StopReason]] = []
        self.calls: list[str] = []
        self.trusted_s: list[tuple[float, float]] = []
        self.left: dict[tuple[int, int], tuple[Outcome, float]] = {}

    def start(self, launches):
        self.launches.update((launch.run.id, launch) for launch in launches)

    def stop(self, run_id, fence, reason):
        self.told.append((run_id, reason))

    def announce(self):
        self.calls.append("announce")

    def kill(self):
        self.calls.append("kill")

    def flush(self):
        self.calls.append("flush")

    def trust(self, until_s, *, frozen_until_s):
        self.trusted_s.append((until_s, frozen_until_s))

    def occupants(self):
        return {("job", run_id): 1 for run_id in self.launches}

    def unended(self):
        return self.left

    def end(self, run_id: int, outcome: Outcome | None = None) -> None:
        """The body is out."""
        self.launches.pop(run_id).report(outcome or Succeeded(), 0.1)

    def cut(self, run_id: int) -> None:
        self.end(run_id, Interrupted(reason="shutdown"))


class Wake:
    """What the back-off waits for: time passes at once, unless the engine's own event was set."""

    def __init__(self, clock: VirtualClock, event: threading.Event) -> None:
        self._clock = clock
        self._event = event
        self.waits: list[float] = []
        self.set, self.clear = event.set, event.clear

    def wait(self, timeout_s: float) -> None:
        self.waits.append(timeout_s)
        if not self._event.is_set():
            self._clock.advance(timeout_s)


class Store(MemoryStore):
    """Its first session does not wait, and can be cut off."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(clock=clock)
        self.is_away = False
        self.waits: list[float] = []
        self.asked: list[str] = []
        self.ends_in_s: list[float] = []
        self.then: Callable[[], None] = lambda: None  # what happens while the engine waits
        self.gone: set[str] = set()

    def session(self):
        session = super().session()
        begin, read = session.begin, session.read

        def checked(call):
            def checking(*arguments, **options):
                if self.is_away:
                    raise StoreUnavailable("the store is away")
                return call(*arguments, **options)

            return checking

        session.begin, session.read = checked(begin), checked(read)
        session.try_lock = checked(lambda within_s: self.asked.append(f"lock within {within_s:g}"))
        session.try_write = checked(lambda: self.asked.append("write"))
        session.wait = self._wait
        return session

    def _wait(self, timeout_s: float) -> None:
        self.waits.append(timeout_s)
        self.then()

    def end_by(self, seconds: float) -> None:
        self.ends_in_s.append(seconds)

    def is_dead(self, node: str) -> bool:
        return node in self.gone

    def show_life(self, node: str) -> None:
        self.asked.append(f"show life of {node}")

    def engine_ended(self, node: str) -> None:
        self.asked.append(f"engine of {node} ended")


class ByHand:
    """A node, or with *client* nobody's; `step` is one turn of its engine and the wait that follows."""

    def __init__(
        self,
        *definitions: Definition,
        name: str = "one",
        store: Store | None = None,
        clock: VirtualClock | None = None,
        client: bool = False,
        workers: Collection[str] | None = None,
        freeze_limit_s: float = 0.0,
        node: Node | None = None,
        **options: Any,
    ) -> None:
        self.clock = clock or VirtualClock()
        self.store = store or Store(self.clock)
        self.hand = Hand()
        runs = {d.name: d.parameters for d in definitions if workers is None or d.name in workers}
        self.node = node or Node(
            id=name,
            name=name,
            boot=self.clock.boot,
            lease_until_s=0.0,
            started_at=self.clock.now(),
            slots=10,
            workers=runs,
            freeze_limit_s=freeze_limit_s,
        )
        self.told: list[Any] = []
        self.logged: list[Any] = []
        setup = Setup(
            node=None if client else self.node,
            definitions=definitions,
            bodies=dict.fromkeys(runs),
            executors={"hand": self.hand},
            subscribers=[self.told.extend],
            logger=lambda events, raised: self.logged.append((list(events), dict(raised))),
            **options,
        )
        self.engine = Engine(self.store, self.clock, setup)
        self.wake = Wake(self.clock, self.engine._wake)
        self.engine._wake = self.wake

    def enter(self) -> ByHand:
        self.engine._enter()
        return self

    @property
    def is_over(self) -> bool:
        return self.engine._loop.is_over

    def leave(self) -> None:
        """The last writes."""
        self.engine._loop.leave()

    def step(self, times: int = 1, *, after_s: float = 0.0) -> None:
        self.clock.advance(after_s)
        for _ in range(times):
            self.engine._loop.step()

    @contextmanager
    def slow_turns(self, seconds: float) -> Iterator[None]:
        """Each turn takes so long after its commit."""
        turn = self.engine._cycle.turn

        def slowly(*arguments: Any, **options: Any) -> Turn:
            done = turn(*arguments, **options)
            self.clock.advance(seconds)
            return done

        self.engine._cycle.turn = slowly
        yield
        self.engine._cycle.turn = turn

    def until(self, at_s: float, *, every_s: float = 1.0) -> None:
        """Turn once each *every_s* until *at_s* of elapsed time."""
        while self.clock.elapsed_s() < at_s:
            self.step(after_s=min(every_s, at_s - self.clock.elapsed_s()))

    # what callers do

    def put(self, made: Callable[..., mutation.Mutation], *arguments: Any, **options: Any) -> Kept:
        answer = Kept()
        self.engine.put(made(*arguments, answer=answer, **options))
        return answer

    def trigger(self, worker: str = "job", **fields: Any) -> Kept:
        return self.put(mutation.trigger, Request(worker=worker, **fields))

    def running(self, worker: str = "job", **fields: Any) -> int:
        """A run that has been started here; its id."""
        answer = self.trigger(worker, **fields)
        self.step()
        assert answer.value.id in self.hand.launches
        return answer.value.id

    # what the store has

    def stored(self, run_id: int) -> Run:
        is_away, self.store.is_away = self.store.is_away, False
        with self.store.session().read() as reader:
            (run,) = reader.runs([run_id])
        self.store.is_away = is_away
        return run

    @property
    def row(self) -> Node | None:
        """Its own row."""
        return self.store.tables.nodes.get(self.node.id)

    def said(self, kind: type) -> list[Any]:
        return [event for event in self.told if isinstance(event, kind)]
