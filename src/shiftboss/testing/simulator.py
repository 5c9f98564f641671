"""A fleet in one thread and one process: real rules, real cycles, a real store, virtual time.

Rules of this file
- It jumps from event to event; nothing happens between two of them, so nothing is missed.
- Everything random comes from one seed: the order of events at the same time, latencies, faults.
- While all is well, the leases of idle nodes are renewed in one leap (`leaps`); for the rules nothing differs.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

from shiftboss.app.audit_key import Keys
from shiftboss.app.views import Views
from shiftboss.core.audit import Key
from shiftboss.core.events import Event
from shiftboss.core.fleet import LEASE_S, RENEW_S, RESCUE_GRACE_S
from shiftboss.core.lives import Counted
from shiftboss.core.model import Node
from shiftboss.core.snapshot import Change
from shiftboss.core.unreadable import Unreadable
from shiftboss.core.value import replace
from shiftboss.core.worker import Definition
from shiftboss.engine.cycle import Cycle
from shiftboss.engine.mutation import Mutation, deliver, set_aside
from shiftboss.errors import StoreRejected
from shiftboss.ports.executor import Body
from shiftboss.ports.store import Store
from shiftboss.stores.memory.store import MemoryStore
from shiftboss.stores.memory.tables import Tables
from shiftboss.testing.bodies import Model, NoBody, Plan
from shiftboss.testing.clock import US, VirtualClock
from shiftboss.testing.fault_injection import WatchedSession
from shiftboss.testing.history import Commit, History, Predicate
from shiftboss.testing.invariants import PREDICATES
from shiftboss.testing.node import KeptAnswer, SimNode, State

TICK_S = 1.0  # as in the engine: how soon another node sees that a process is gone
LOST_NOTIFICATION_S = 5.0  # as the engine's longest wait: when a node looks again although no notification came
DECLARED_WITHIN_S = 20.0  # after the store was restored: a node notices at the latest when it renews its lease
ENVIRONMENT = "environment"

Then = Callable[[], None]


class AlwaysSucceeds:
    """A model: every function succeeds at once."""

    def plan(self, launch: object) -> Plan:
        return Plan()


class Backup(NamedTuple):
    """A store, and the world as the commits had made it."""

    tables: Tables
    history: dict[str, Any]


class Simulator:
    """Add nodes with `add_node`; time passes in `run_for`.  *notification_s*: the longest delay of a notification."""

    def __init__(
        self,
        start: datetime | str = "2026-03-01",
        *,
        seed: int = 0,
        model: Model | None = None,
        leaps: bool = True,
        notification_s: float = 0.0,
        notifications_lost: float = 0.0,
        partitions_held: float | None = None,
        predicates: Sequence[Predicate] = PREDICATES,
    ) -> None:
        self.clock = VirtualClock(start)
        self.random = random.Random(seed)  # noqa: S311  # chance that can be repeated is the point
        self.model: Model = model or AlwaysSucceeds()
        self._chance_of_partitions = random.Random(seed)  # noqa: S311  # its own: without partitions nothing else is different
        self._partitions_held = partitions_held
        self.store: Store = MemoryStore(
            clock=self.clock, to_be_had=self._free_partitions if partitions_held is not None else None
        )
        self.history = History(self.clock, predicates, has_partitions=partitions_held is not None)
        self.leaps = leaps
        self.notification_s = notification_s
        self.notifications_lost = notifications_lost
        self.nodes: list[SimNode] = []
        self.subscribers: list[Callable[[Sequence[Event]], None]] = []
        self.on_commit: Callable[[Commit], None] = lambda commit: None
        self.keys: dict[str, Keys] = {}  # of the audit, by node: each has its own and remembers its own seals
        self.steps = 0
        self._made = 0
        self._heap: list[tuple[int, float, int, SimNode | None, Then]] = []
        self._pushed = 0
        self._client = Cycle(self._session(""), self.clock, None)
        self._environment = self._session(ENVIRONMENT)
        self.views = Views(self.store, self.clock)

    def keys_of(self, node: str) -> Keys:
        return self.keys.setdefault(node, Keys((Key(f"the key of {node}".encode()),), None))

    def _free_partitions(self, wanted: Collection[int]) -> list[int]:
        """The partitions that nobody else holds now."""
        held = self._partitions_held or 0.0
        return [partition for partition in wanted if self._chance_of_partitions.random() >= held]

    # ── nodes ────────────────────────────────────────────────────────────────────────────────────────────────────

    def add_node(
        self,
        definitions: Sequence[Definition],
        *,
        resources: Mapping[str, int] | None = None,
        bodies: Mapping[str, Body] | None = None,
        slots: int = 100,
        only: Collection[str] | None = None,
        code_version: str = "",
        freeze_limit_s: float = 0.0,
    ) -> SimNode:
        """Start a node that declares *definitions*, runs those in *only*, and joins.  Raises what `declare` refuses."""
        self._made += 1
        runs = [d for d in definitions if only is None or d.name in only]
        kinds = {d.name: d.executor for d in runs}
        node = Node(
            id=f"node-{self._made}",
            name=f"node-{self._made}",
            boot=self.clock.boot,
            lease_until_s=0.0,
            started_at=self.clock.now(),
            slots=slots,
            executors=dict.fromkeys(sorted(set(kinds.values())), slots),
            workers={d.name: d.parameters for d in runs},
            code_version=code_version,
            freeze_limit_s=freeze_limit_s,
        )
        known = bodies if bodies is not None else {d.name: NoBody() for d in definitions}
        sim_node = SimNode(self, node, self._session(node.id), bodies=known, kinds=kinds)
        self.nodes.append(sim_node)
        try:
            sim_node.enter(definitions, resources or {})
            for definition in definitions:
                declared = definition.name, repr(definition), code_version
                self.history.first_declared.setdefault(declared, len(self.history.first_declared))
        except BaseException:
            sim_node.gone()
            sim_node.held.close()
            self.nodes.remove(sim_node)
            raise
        return sim_node

    @property
    def up(self) -> list[SimNode]:
        """The nodes that live and are not paused."""
        return [node for node in self.nodes if node.state is State.UP]

    def crash(self, node: SimNode, *, kernel_tells: bool = True) -> None:
        """End the process abruptly.  Unless *kernel_tells*, only its lease reveals it (another machine)."""
        node.gone()
        self._set_frozen(node, is_frozen=False)
        if kernel_tells:
            self._let_go(node)
        self._watch_for(node)

    def pause(self, node: SimNode, seconds: float) -> None:
        """The process and its functions stop, and go on after *seconds*."""
        if node.state is State.UP:
            node.state = State.PAUSED
            node.must_renew = True
            self.after(seconds, partial(self.resume, node))
            self._watch_for(node)

    def freeze(self, node: SimNode, seconds: float) -> None:
        """A function keeps the interpreter's lock for *seconds*: the kernel says that its process lives (C4)."""
        if node.state is State.UP:
            self._set_frozen(node, is_frozen=True)
            self.pause(node, seconds)

    def stop_frozen(self, node: SimNode) -> None:
        """The process of a frozen node is stopped (SIGSTOP)."""
        self._set_frozen(node, is_frozen=False)

    def _set_frozen(self, node: SimNode, *, is_frozen: bool) -> None:
        assert isinstance(self.store, MemoryStore)  # noqa: S101  # it has no other
        if is_frozen:
            self.store.frozen.add(node.id)
            self.history.frozen.add(node.id)
        elif node.id in self.store.frozen:
            self.store.frozen.discard(node.id)
            self.history.frozen.discard(node.id)
            self.history.unfrozen_s[node.id] = self.clock.lease_s()
            self._watch_for(node)

    def stop(self, node: SimNode, *, timeout_s: float = 25.0, owns_process: bool = True) -> None:
        """A graceful end (G1)."""
        node.stop(timeout_s=timeout_s, owns_process=owns_process)

    def cut(self, node: SimNode, seconds: float) -> None:
        """The node cannot reach the store for *seconds*.  Not together with `leaps`."""
        node.session.is_cut = True
        self._watch_for(node)
        self.after(seconds, partial(self._reconnect, node))

    def ended(self, node: SimNode, *, process: bool) -> None:
        """A node has left; *process*: whether its process has ended too."""
        node.gone()
        if process:
            self._let_go(node)
        self._watch_for(node)

    def resume(self, node: SimNode) -> None:
        """A paused node goes on; what came due meanwhile happens now."""
        if node.state is not State.PAUSED:
            return
        node.state = State.UP
        self._set_frozen(node, is_frozen=False)
        unfinished, node.unfinished = node.unfinished, None
        if unfinished is not None:
            unfinished()
        frozen, node.frozen = node.frozen, []
        for then in frozen:
            self.after(0.0, then, node=node)
        node.wake()

    def _reconnect(self, node: SimNode) -> None:
        node.session.is_cut = False

    def _let_go(self, node: SimNode) -> None:
        self.history.dead.add(node.id)
        node.held.close()

    def _watch_for(self, node: SimNode) -> None:
        """Wake the other nodes when they could see that *node* is gone: at their tick, and when its lease has ended."""
        self._wake_others(node, TICK_S)
        row = self.history.nodes.get(node.id)
        if row is not None:
            left_s = max(0.0, row.lease_until_s - self.clock.lease_s())
            self.after(left_s + RESCUE_GRACE_S + 0.001, partial(self._watch_on, node))

    def _watch_on(self, node: SimNode) -> None:
        row = self.history.nodes.get(node.id)
        if row is not None and row.lease_until_s < self.clock.lease_s():
            self._wake_others(node, 0.0)
            self.after(RENEW_S, partial(self._watch_on, node))

    def _wake_others(self, node: SimNode, delay_s: float) -> None:
        for other in self.nodes:
            if other is not node and other.state is not State.GONE:
                self.wake(other, delay_s)

    # ── operators ────────────────────────────────────────────────────────────────────────────────────────────────

    def ask(self, make: Callable[..., Mutation]) -> Any:
        """Apply a mutation through a client and return its answer.  Raises what the rule raises."""
        answer = KeptAnswer()
        mutations = [make(answer=answer)]
        while mutations:
            turn = self._client.turn(mutations)
            deliver(turn.replies)
            mutations = turn.missed
        return answer.get()

    def ask_at(self, node: SimNode, make: Callable[..., Mutation]) -> KeptAnswer:
        """Put a mutation into a node's inbox; the answer comes with its commit."""
        answer = KeptAnswer()
        node.put(make(answer=answer))
        return answer

    def step_wall(self, seconds: float) -> None:
        """Set the wall clock; every node looks within the longest wait of an engine, because wall clocks jump."""
        self.clock.step_wall(seconds)
        self.history.wall_was_set()
        for node in self.nodes:
            if node.state is not State.GONE:
                self.wake(node, self.random.uniform(0.0, LOST_NOTIFICATION_S))

    # ── time ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def run_for(self, seconds: float, *, max_steps: int | None = None) -> None:
        """Let time pass.  With *max_steps* it ends early, after that many events."""
        until_us = self.clock.elapsed_us + round(seconds * US)
        last = None if max_steps is None else self.steps + max_steps
        heap = self._heap
        while heap and heap[0][0] <= until_us:
            if last is not None and self.steps >= last:
                return
            at_us, _, _, node, then = heapq.heappop(heap)
            self.clock.advance_to_us(at_us)
            if self.leaps:
                self._leap()
            if node is not None and node.state is not State.UP:
                if node.state is State.PAUSED:
                    node.frozen.append(then)
                continue
            self.steps += 1
            then()
        self.clock.advance_to_us(until_us)
        if self.leaps:
            self._leap()

    def after(self, delay_s: float, then: Then, *, node: SimNode | None = None) -> None:
        """Schedule an event; events at the same time happen in any order."""
        at_us = self.clock.elapsed_us + (max(1, math.ceil(delay_s * US - 1e-3)) if delay_s > 0 else 0)
        self._push(at_us, then, node)

    def wake(self, node: SimNode, delay_s: float) -> None:
        """Step *node* no later than in *delay_s*."""
        at_us = self.clock.elapsed_us + (max(1, math.ceil(delay_s * US - 1e-3)) if delay_s > 0 else 0)
        if node.wakes_us is None or at_us < node.wakes_us:
            node.wakes_us = at_us
            self._push(at_us, partial(self._step, node, at_us), node)

    def _push(self, at_us: int, then: Then, node: SimNode | None) -> None:
        self._pushed += 1
        heapq.heappush(self._heap, (at_us, self.random.random(), self._pushed, node, then))

    def _step(self, node: SimNode, at_us: int) -> None:
        if node.wakes_us == at_us:
            node.wakes_us = None
            node.step()

    def spoil(self, run_id: int) -> None:
        """Make the row of a waiting run unreadable (W8), and notify every node."""
        assert isinstance(self.store, MemoryStore)  # noqa: S101  # it has no other
        self.ask(
            partial(set_aside, (), clock=self.clock, by="", note="")
        )  # like every commit: after a clock that was set
        if run_id not in self.store.tables.live or run_id in self.history.sealed:
            return
        tables = self.store.tables
        run = tables.live[run_id]
        row = Unreadable("run", str(run_id), run.worker, reason="simulated")
        tables.live[run_id] = replace(run, unreadable=row)
        self.history.sealed[run_id] = run.worker
        with self._environment.begin() as tx:
            tx.write(Change(workers=(tables.workers[run.worker],)), new=())

    # ── an earlier state ─────────────────────────────────────────────────────────────────────────────────────────

    def keep(self) -> Backup:
        """A backup of the store as it is now."""
        assert isinstance(self.store, MemoryStore)  # noqa: S101  # it has no other
        return Backup(self.store.keep(), self.history.kept())

    def put_back(self, backup: Backup) -> None:
        """Put the store back to the backup, while nodes live; if none lives, nobody knows what was lost."""
        assert isinstance(self.store, MemoryStore)  # noqa: S101  # it has no other
        living = [node for node in self.nodes if node.state is not State.GONE]
        seen = Counted(self.store.tables.number, self.store.tables.number, self.store.tables.next_run - 1)
        self.store.put_back(backup.tables, seen=seen if living else Counted())
        self.history.put_back(backup.history)
        for node in living:
            self.wake(node, 0.0)
            self.after(DECLARED_WITHIN_S, partial(self._must_be_declared, node))

    def _must_be_declared(self, node: SimNode) -> None:
        if node.state is State.UP and node.is_serving:
            self.history.declares(node.node)

    # ── the store's other side ───────────────────────────────────────────────────────────────────────────────────

    def publish(self, events: Sequence[Event]) -> None:
        if events:
            for subscriber in self.subscribers:
                subscriber(events)

    def _session(self, by: str) -> WatchedSession:
        return WatchedSession(self.store.session(), partial(self._committed, by), self._rejected)

    def _rejected(self, error: StoreRejected) -> None:
        """A store rejects only what a rule should never have asked for: a bug in shiftboss."""
        self.history.violate("W2", f"the store rejected a write: {error}")

    def _committed(self, by: str, number: int, changes: Sequence[Change]) -> None:
        node = next((node for node in self.nodes if node.id == by), None)
        commit = self.history.commit(by, number, changes, node.delivering if node is not None else ())
        if any(change.runs or change.workers or change.breakers or change.resources for change in changes):
            for other in self.nodes:
                if other is not node and other.state is not State.GONE:
                    self.wake(other, self._notified_after_s())
        self.on_commit(commit)

    def _notified_after_s(self) -> float:
        if self.notifications_lost and self.random.random() < self.notifications_lost:
            return LOST_NOTIFICATION_S
        return self.random.uniform(0.0, self.notification_s) if self.notification_s else 0.0

    def _leap(self) -> None:
        """Renew what healthy nodes would have renewed by now, each in its own rhythm, in one transaction."""
        now_s = self.clock.lease_s()
        rows: list[Node] = []
        for node in self.nodes:
            asked_s = node.asked_s
            if node.state is not State.UP or node.must_renew or now_s - asked_s < RENEW_S:
                continue
            stored = self.history.nodes.get(node.id)
            if stored is None:
                continue
            asked_s += RENEW_S * ((now_s - asked_s) // RENEW_S)
            node.asked_s = asked_s
            node.lease.renewed(asked_s)
            rows.append(replace(stored, lease_until_s=asked_s + LEASE_S))
        if rows:
            with self._environment.begin() as tx:
                tx.write(Change(nodes=tuple(rows)), new=())
