"""Any orchestrator in virtual time: let a month pass, make a worker fail, kill a node, ask why.

Rules of this file
- The rules, the cycle and the store are the real ones; functions are modelled, or really called on request.
- The orchestrator itself is neither started nor changed: only its declarations are read.
- Every rule is checked at every commit; `check`, and the end of the simulation, raise if one was broken.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from inspect import isawaitable
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

from shiftboss.app.fan_out import given_triggers
from shiftboss.app.handle import TriggerOptions
from shiftboss.app.options import CALL, Named, name_of
from shiftboss.app.orchestrator import Orchestrator
from shiftboss.app.status import SystemStatus
from shiftboss.app.triggering import with_options
from shiftboss.context import Announcement, Context
from shiftboss.core.control import Request
from shiftboss.core.events import Event
from shiftboss.core.explain import Explanation
from shiftboss.core.fan_out import Trigger
from shiftboss.core.kinds import Duration, duration
from shiftboss.core.model import Outcome, Run, Status
from shiftboss.core.worker import Mode
from shiftboss.engine import mutation
from shiftboss.errors import CallerError, RefusedTrigger, UnknownWorker, did_you_mean
from shiftboss.ports.executor import Launch
from shiftboss.testing.bodies import SUCCESS, Plan, failed
from shiftboss.testing.clock import instant
from shiftboss.testing.node import SimNode
from shiftboss.testing.simulator import Simulator

ITERATION_S = 1.0  # of a continuous worker, unless `takes` sets it: virtual time must pass between iterations

E = TypeVar("E", bound=Event)


class Simulation:
    """A fleet of virtual nodes that run the workers of *boss*, from *start* on.

        with Simulation(boss, start="2026-03-01") as sim:
            sim.fail("fetch-data", times=3)
            sim.run_for("1h")
            assert sim.why("process-data") is None

    Functions succeed at once (a continuous one after a second); `fail`, `takes` and `hang` change that.  With
    *call_bodies* the functions are really called when an attempt starts, and take no virtual time of their own.
    Raises ConfigurationError for what a real start would refuse, and AssertionError at its end for a broken rule.
    """

    def __init__(
        self,
        boss: Orchestrator,
        *,
        start: datetime | str = "2026-03-01",
        nodes: int = 1,
        call_bodies: bool = False,
        seed: int = 0,
    ) -> None:
        self._boss = boss
        self._bodies = ScriptedBodies(self, call_bodies=call_bodies)
        self._sim = Simulator(start, seed=seed, model=self._bodies)
        self._events: list[Event] = []
        self._sim.subscribers.append(self._events.extend)
        for _ in range(nodes):
            self.add_node()

    # ── time ─────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def now(self) -> datetime:
        return self._sim.clock.now()

    def run_for(self, time: Duration) -> None:
        """Let *time* pass: seconds, a timedelta, or a text like "1d"."""
        self._sim.run_for(duration(time, name="run_for"))

    def run_until(self, at: datetime | str) -> None:
        """Let time pass until the wall clock shows *at*."""
        self._sim.run_for(max(0.0, (instant(at) - self.now).total_seconds()))

    def set_clock(self, seconds: float) -> None:
        """Set the wall clock forward, or back if *seconds* is negative; no time passes (O4)."""
        self._sim.step_wall(seconds)

    # ── functions ────────────────────────────────────────────────────────────────────────────────────────────────

    def fail(self, worker: Named, *, times: int | None = None, message: str = "simulated", fatal: bool = False) -> None:
        """Let the next *times* attempts fail; None: all of them, until `succeed`."""
        self._bodies.failures[self._known(worker)] = (times, failed(message, fatal=fatal))

    def succeed(self, worker: Named) -> None:
        """Let its attempts succeed again, and end."""
        name = self._known(worker)
        self._bodies.failures.pop(name, None)
        self._bodies.hanging.discard(name)

    def takes(self, worker: Named, time: Duration) -> None:
        """Attempts that start from now on take that *time*, a duration such as 30 or "5m"."""
        self._bodies.durations[self._known(worker)] = duration(time, name="takes")

    def hang(self, worker: Named) -> None:
        """Attempts that start from now on do not end by themselves, until `succeed`; timeouts end them."""
        self._bodies.hanging.add(self._known(worker))

    # ── nodes ────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def nodes(self) -> list[str]:
        """The names of the nodes that run, the oldest first."""
        return [node.id for node in self._sim.up]

    def add_node(self) -> str:
        """Start one more node, like one more process; returns its name."""
        boss = self._boss
        definitions = [definition for name, definition in boss.definitions.items() if boss.only(name)]
        node = self._sim.add_node(
            definitions,
            resources=boss.resources,
            bodies=boss.bodies,
            slots=boss.max_concurrency,
            code_version=boss.code_version,
        )
        return node.id

    def kill_node(self, name: str | None = None, *, machine: bool = False) -> str:
        """End a node's process abruptly.  Returns its name.

        *name* None: the youngest.  With *machine* only its lease reveals it.  Raises ValueError if there is none.
        """
        node = self._node(name)
        self._sim.crash(node, kernel_tells=not machine)
        return node.id

    def stop_node(self, name: str | None = None) -> str:
        """Ask a node to end, as by SIGTERM; time must pass for that (G1).  Returns its name.

        *name* None: the youngest.  Raises ValueError if there is none.
        """
        node = self._node(name)
        self._sim.stop(node, timeout_s=self._boss.shutdown_timeout_s)
        return node.id

    def pause_node(self, time: Duration, name: str | None = None) -> str:
        """Let a node's process stop for *time*, a duration, and then go on.  Returns its name.

        *name* None: the youngest.  Raises ValueError if there is none.
        """
        node = self._node(name)
        self._sim.pause(node, duration(time, name="pause_node"))
        return node.id

    # ── actions ──────────────────────────────────────────────────────────────────────────────────────────────────

    def trigger(
        self, worker: Named, payload: Mapping[str, Any] | None = None, /, **options: Unpack[TriggerOptions]
    ) -> Run:
        """Store a run, as `Orchestrator.trigger` does.  Raises the same errors."""
        run: Run = self._sim.ask(partial(mutation.trigger, self._request(worker, payload, options)))
        return run

    def trigger_many(
        self, worker: Any, payloads: Any = None, /, *, keys: Iterable[str | None] | None = None, **options: Any
    ) -> list[Run]:
        """Store many runs or none, as `Orchestrator.trigger_many` does (O6).  Raises the same errors."""
        given = given_triggers(worker, payloads, keys, options)
        triggers: list[Trigger] = []
        for place, item in enumerate(given.items):
            try:
                own = dict(zip(item._fields[2:], item[2:], strict=True))
                triggers.append(self._request(item.worker, item.payload, {**own, **given.options}))
            except CallerError as error:
                triggers.append(RefusedTrigger.of(place, given.worker or str(item.worker), error))
        return list(self._sim.ask(partial(mutation.trigger_many, triggers))) if triggers else []

    def _request(self, worker: Named, payload: Any, options: Mapping[str, Any]) -> Request:
        encoded = self._boss.encode(worker, payload)
        request = Request(
            worker=name_of(worker),
            payload=encoded,
            digest=None if encoded is None else hashlib.sha256(encoded).hexdigest(),
            by="simulation",
        )
        return with_options(request, options)

    def cancel(self, run: Run | int) -> None:
        """End a run (T4)."""
        self._sim.ask(partial(mutation.cancel, _id(run), by="simulation", reason=""))

    def disable(self, worker: Named, *, reason: str | None = None) -> None:
        """Start nothing new of it (K5)."""
        why = CALL.read_one("reason", reason)
        self._sim.ask(partial(mutation.disable, name_of(worker), by="simulation", reason=why))

    def enable(self, worker: Named) -> None:
        """Start it again (K5)."""
        self._sim.ask(partial(mutation.enable, name_of(worker), by="simulation"))

    def replay(self, run: Run | int) -> Run:
        """Store a new run of a dead letter (Q3)."""
        replayed: Run = self._sim.ask(partial(mutation.replay, _id(run), by="simulation", delay_s=0.0))
        return replayed

    # ── questions ────────────────────────────────────────────────────────────────────────────────────────────────

    def why(self, worker: Named) -> Explanation | None:
        """Every hold of its next run; None if nothing waits (A3)."""
        return self._sim.views.why(self._known(worker))

    def status(self) -> SystemStatus:
        """As `Orchestrator.status`."""
        return self._sim.views.status()

    def run(self, run: Run | int) -> Run:
        """A run as it is stored now.  Raises UnknownRun."""
        return self._sim.views.run(_id(run))

    def runs(self, worker: Named, *status: Status) -> list[Run]:
        """Its runs by id; if statuses are given, only runs with one of these."""
        name = self._known(worker)
        runs = (run for run in self._sim.history.runs.values() if run.worker == name)
        return sorted((run for run in runs if not status or run.status in status), key=lambda run: run.id)

    def starts(self, worker: Named) -> list[datetime]:
        """When its attempts started."""
        name = self._known(worker)
        return [start.claim.at for start in self._sim.history.starts if start.run.worker == name]

    def counts(self, worker: Named) -> Counter[str]:
        """How many of its runs have each status."""
        return Counter(run.status.value for run in self.runs(worker))

    def events(self, kind: type[E]) -> Sequence[E]:
        """The events of one kind, in order."""
        return [event for event in self._events if isinstance(event, kind)]

    def check(self) -> None:
        """Raises AssertionError if any rule was broken so far."""
        broken = self._sim.history.violations
        if broken:
            raise AssertionError("rules were broken:\n" + "\n".join(str(violation) for violation in broken[:20]))

    # ── as a context manager ─────────────────────────────────────────────────────────────────────────────────────

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bodies.close()
        if error is None:
            self.check()

    def _known(self, worker: Named) -> str:
        name = name_of(worker)
        if name not in self._boss.definitions:
            raise UnknownWorker(f"no worker {name!r} is declared; {did_you_mean(name, self._boss.definitions)}")
        return name

    def _node(self, name: str | None) -> SimNode:
        if not self._sim.up:
            raise ValueError("no node runs; add one with add_node()")
        named = [node for node in self._sim.up if name in (None, node.id)]
        if not named:
            raise ValueError(f"no node {name!r} runs; {did_you_mean(str(name), self.nodes)}")
        return named[-1]


class ScriptedBodies:
    """A model: it does what the test said about each worker."""

    def __init__(self, simulation: Simulation, *, call_bodies: bool) -> None:
        self._simulation = simulation
        self._runner = asyncio.Runner() if call_bodies else None
        self.failures: dict[str, tuple[int | None, Outcome]] = {}
        self.durations: dict[str, float] = {}
        self.hanging: set[str] = set()

    def plan(self, launch: Launch) -> Plan:
        name = launch.run.worker
        if name in self.hanging:
            return Plan(None)
        instantly_s = ITERATION_S if launch.definition.mode is Mode.CONTINUOUS else 0.0
        return Plan(self.durations.get(name, instantly_s), self._outcome(launch))

    def _outcome(self, launch: Launch) -> Outcome:
        name = launch.run.worker
        if name in self.failures:
            times, outcome = self.failures[name]
            if times == 1:
                del self.failures[name]
            elif times is not None:
                self.failures[name] = (times - 1, outcome)
            return outcome
        return SUCCESS if self._runner is None else self._call(launch, self._runner)

    def _call(self, launch: Launch, runner: asyncio.Runner) -> Outcome:
        context = Context(launch, self._simulation._sim.clock, Announcement())
        claim = launch.run.claim
        try:
            value = launch.body.call(context, launch.run.payload, fallback=claim is not None and claim.fallback)
            if isawaitable(value):
                value = runner.run(_awaited(value))
        except Exception as error:  # noqa: BLE001  # the boundary around a function: whatever it raises is its outcome
            return launch.body.failed(error)
        return launch.body.succeeded(value)

    def close(self) -> None:
        if self._runner is not None:
            self._runner.close()


async def _awaited(value: Any) -> Any:
    return await value


def _id(run: Run | int) -> int:
    known: int = CALL.read_one("run_id", run.id if isinstance(run, Run) else run)
    return known
