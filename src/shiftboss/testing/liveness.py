"""No run waits without a reason: it looks again and again for due runs that no rule holds back.

Rules of this file
- One look proves nothing, because a node may be about to start the run.  A run is suspect only after several looks
  during which it has not changed and some healthy node has had room.
- What `why` says is compared with the oracle: both must name the same gates.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from shiftboss.core.explain import Explainer
from shiftboss.core.fleet import LEASE_S, live_nodes
from shiftboss.core.gates.table import KINDS
from shiftboss.core.hold import Ends, Scope
from shiftboss.core.model import Origin, Run
from shiftboss.core.schedule import follows_calendar, next_after
from shiftboss.core.value import replace
from shiftboss.core.verify import verify
from shiftboss.engine.agenda import Agenda
from shiftboss.engine.snapshot_cache import SnapshotCache
from shiftboss.testing.history import waiting
from shiftboss.testing.node import SimNode, State
from shiftboss.testing.oracle import FORGIVEN, Oracle

if TYPE_CHECKING:
    from shiftboss.testing.simulator import Simulator

EVERY_S = 17.3
AGAIN_S = 0.61
SEEN_S = 6.0  # by then every node has looked at its clock
MAX_ID = 1 << 62
SETTLED_S = 60.0  # by then a node has held its lease for 30 s, and has looked
RESCUED_S = 25.0  # 5 s of grace for the lease, 5 s for a freeze, and a look every 10 s
LOOKS = 10  # times AGAIN_S: longer than a node waits when a notification was lost
OF_THE_FLEET = {  # gates that the oracle knows too; it does not know what a node, a reservation or the store adds
    str(kind.__struct_config__.tag)
    for kind in KINDS
    if kind.scope in (Scope.WORKER, Scope.COMPONENT) and kind.ends is not Ends.NODES
}

Seen = tuple[int, object, int, int]  # equal in two looks if nothing happened to the run in between


class LivenessWatch:
    """Looks for runs that wait without a reason."""

    def __init__(self, sim: Simulator) -> None:
        self._sim = sim
        self._suspects: dict[Seen, int] = {}
        self._fleet: tuple[object, ...] = ()
        self._fleet_since_s = 0.0
        self._cache = SnapshotCache(Agenda())
        self._session = sim.store.session()

    def start(self, *, first_s: float = EVERY_S) -> None:
        self._sim.after(first_s, self._look)

    def _look(self) -> None:
        waiting = {seen(run): run for run in self.waiting_without_reason()}
        self._suspects = {key: self._suspects.get(key, 0) + 1 for key in waiting}
        for key, looks in self._suspects.items():
            if looks == LOOKS:
                run = waiting[key]
                self._sim.history.violate(
                    "A3", f"run {run.id} of {run.worker} has been due since {run.due_at} and waits without a reason"
                )
        self._look_for_standstill()
        self._look_for_runs_of_lost_nodes()
        self._look_at_declarations()
        if not waiting:
            self._compare_with_why()
        self._sim.after(AGAIN_S if waiting else EVERY_S, self._look)

    def waiting_without_reason(self) -> list[Run]:
        """Due runs that nothing holds back and for which a healthy node has room."""
        sim = self._sim
        oracle = Oracle(sim.history, sim.clock.now())
        healthy = [node for node in sim.up if is_healthy(node)]
        rows = [row for row in (sim.history.nodes.get(node.id) for node in healthy) if row is not None]
        if not rows:
            return []
        due = [run for run in oracle.due() if _may_go(oracle.reasons(run))]
        due = [run for run in due if any(oracle.has_room(row, run, priority=run.priority) for row in rows)]
        return [run for run in due if not oracle.is_reserved_against(run)]

    def _look_for_standstill(self) -> None:
        """O4: whatever the clock shows, nothing waits longer than planned, and cron only for its next time."""
        sim = self._sim
        history, now, elapsed_s = sim.history, sim.clock.now(), sim.clock.elapsed_s()
        if not any(is_healthy(node) for node in sim.up) or elapsed_s < history.wall_set_s + SEEN_S:
            return
        for run in history.pending():
            if run.id in history.sealed:
                continue  # W8: nobody can change it
            rule = history.workers[run.worker].definition.schedule
            ends_s = history.ends_s.get(waiting(run))
            if ends_s is not None and run.due_at > now and elapsed_s > ends_s + SEEN_S:
                history.violate("O4", f"run {run.id} of {run.worker} has waited {elapsed_s - ends_s:.0f} s too long")
            is_unstarted = run.origin is Origin.OCCURRENCE and not run.has_started
            if rule is not None and follows_calendar(rule) and is_unstarted:
                at = next_after(rule, now, anchor=None)
                while at is not None and (at in history.fired[run.worker] or (run.worker, at) in history.passed_over):
                    at = next_after(rule, at, anchor=None)
                if at is not None and run.occurs_at > at:
                    history.violate(
                        "O4",
                        f"{run.worker} does not run before {run.occurs_at}, although {at} comes first; it is {now}",
                    )

    def _look_for_runs_of_lost_nodes(self) -> None:
        """C4: a silent node keeps its runs until its lease ends, a frozen one up to its limit."""
        sim = self._sim
        now_s = sim.clock.lease_s()
        rows = [sim.history.nodes.get(node.id) for node in sim.up if is_healthy(node)]
        if not any(row is not None and now_s - row.held_since_s > SETTLED_S for row in rows):
            return
        for row in sim.history.nodes.values():
            limit_s = row.freeze_limit_s if row.id in sim.history.frozen else 0.0
            ends_s = max(
                row.lease_until_s,
                row.lease_until_s - LEASE_S + limit_s,
                sim.history.unfrozen_s.get(row.id, row.lease_until_s),
            )
            runs = [
                run.id for run in sim.history.running.values() if run.claim is not None and run.claim.node == row.id
            ]
            if runs and now_s > ends_s + RESCUED_S:
                late_s = now_s - ends_s
                sim.history.violate("C4", f"runs {runs} of {row.name} should have been rescued {late_s:.0f} s ago")

    def _look_at_declarations(self) -> None:
        """M7: the newest declaration of a live node is in force, once nothing has happened to the nodes for a while."""
        sim, history = self._sim, self._sim.history
        nodes = [node for node in sim.nodes if node.state is not State.GONE]
        fleet = tuple((node.id, node.state, is_healthy(node)) for node in nodes)
        if fleet != self._fleet:
            self._fleet, self._fleet_since_s = fleet, sim.clock.elapsed_s()
        is_settled = sim.clock.elapsed_s() - self._fleet_since_s > SETTLED_S
        if not is_settled or not all(node.state is State.UP and is_healthy(node) for node in nodes):
            return
        for name, state in history.workers.items():
            declared = [
                (history.first_declared[name, repr(definition), node.node.code_version], definition)
                for node in nodes
                for definition in node.definitions
                if definition.name == name
            ]
            if not declared:
                continue
            _, newest = max(declared, key=lambda pair: pair[0])
            if state.definition != newest:
                history.violate(
                    "M7", f"{state.definition} is in force, but the newest declaration of {name} is {newest}"
                )
            elif len({order for order, _ in declared}) > 1:
                history.marks["declared otherwise"] += 1

    def _compare_with_why(self) -> None:
        """A3: `why` names every hold that the oracle sees, and no other."""
        sim = self._sim
        oracle, now = Oracle(sim.history, sim.clock.now()), sim.clock.now()
        if any(_may_go(oracle.reasons(run) - {"rate"}) for run in oracle.due()):
            return  # something is about to start somewhere, and `why` takes it as started
        with self._session.read() as reader:
            self._cache.refresh(reader)
            snapshot = self._cache.snapshot
            self._cache.load_lanes(snapshot.workers, reader)
        live = live_nodes(snapshot, boot=sim.clock.boot, lease_s=sim.clock.lease_s())
        explainer = Explainer(snapshot, now, live=live)
        for name in sorted(snapshot.workers):
            run = explainer.next_run(name)
            if run is None or run.unreadable is not None or run.due_at > now or self._is_at_a_token(oracle, name):
                continue
            named = {hold.gate for hold in explainer.explain(run).holds} & OF_THE_FLEET
            seen = oracle.reasons(run)
            if "skip" in seen:
                continue  # it is about to be skipped
            if "unreadable" in named and "unreadable" in seen:
                continue  # its other holds depend on a row that only one of the two can read
            if named != seen - (set() if "breaker" in named else {"breaker"}):
                sim.history.violate(
                    "A3", f"run {run.id} of {name}: why names {sorted(named)}, the oracle {sorted(seen)}"
                )

    def _is_at_a_token(self, oracle: Oracle, name: str) -> bool:
        """Whether the bucket holds almost exactly one token: the oracle does not count so finely (B8)."""
        rate = self._sim.history.workers[name].definition.rate
        if rate is None:
            return False
        return abs(oracle.tokens(name, rate) - 1) < 2 * FORGIVEN

    # ── at the end ───────────────────────────────────────────────────────────────────────────────────────────────

    def look_at_the_end(self, accepted: set[int]) -> None:
        """W2: every accepted run is there; the nodes' snapshot caches and the recorded history equal what is stored."""
        sim = self._sim
        with self._session.read() as reader:
            stored = {run.id: run for run in reader.runs(list(sim.history.runs))}
            fresh = SnapshotCache(Agenda())
            self._session.forget()
            fresh.refresh(reader)
            fresh.load_lanes(fresh.snapshot.workers, reader)
        for run_id in sorted(accepted - stored.keys() - sim.history.aside):
            sim.history.violate("W2", f"run {run_id} was accepted, and the store does not have it")
        for run_id, run in sim.history.runs.items():
            if run_id in stored and stored[run_id].status is not run.status:
                sim.history.violate(
                    "W2", f"run {run_id} is stored as {stored[run_id].status}, but its last commit wrote {run.status}"
                )
        self._look_at_the_audit()
        for node in sim.up:
            self._compare_cache(node, fresh)
            self._look_for_orphans(node)

    def _look_at_the_audit(self) -> None:
        """A1, A8: the audit has every act that was committed, and the seals of all nodes verify, whoever made them."""
        sim = self._sim
        with self._session.read() as reader:
            kept = [act for _, act in reader.acts_before(MAX_ID, limit=len(sim.history.acts) + 1)][::-1]
            keys = [key for each in sim.keys.values() for key in each.keys]
            heads = [head for each in sim.keys.values() for head in each.heads]
            rows, seals = reader.audit(after=0, limit=MAX_ID), reader.seals(after=0, limit=MAX_ID)
            verdict = verify(seals, rows, keys=keys, heads=heads, now=sim.clock.now())
        if kept != sim.history.acts:
            sim.history.violate("A1", f"the audit has {len(kept)} acts, but {len(sim.history.acts)} were committed")
        if not verdict.is_proven:
            sim.history.violate("A8", f"the audit does not verify: {'; '.join(doubt.text for doubt in verdict.doubts)}")
        if verdict.proven:
            sim.history.marks["audit:sealed"] += 1

    def _look_for_orphans(self, node: SimNode) -> None:
        """For each claim of a live node a function runs, or its report is in the inbox."""
        reported = {
            (mutation.report.run, mutation.report.fence) for mutation in node.inbox if mutation.report is not None
        }
        running = {key for executor in node.executors.values() for key in executor.keys()}  # noqa: SIM118  # no mapping
        for run in self._sim.history.running.values():
            claim = run.claim
            if claim is not None and claim.node == node.id and (run.id, claim.fence) not in running | reported:
                self._sim.history.violate(
                    "W2", f"run {run.id} of {run.worker} is claimed by {node.id}, which does not run its function"
                )

    def _compare_cache(self, node: SimNode, fresh: SnapshotCache) -> None:
        """A warm snapshot is exactly what the store holds (engine/snapshot_cache.py)."""
        with node.session.read() as reader:
            node.cycle.cache.refresh(reader)
            names = list(node.cycle.snapshot.lanes)
            node.cycle.cache.load_lanes(names, reader)
        mine, theirs = node.cycle.snapshot, fresh.snapshot
        for what in ("workers", "breakers", "resources", "nodes"):
            if getattr(mine, what) != getattr(theirs, what):
                self._sim.history.violate(
                    "W2", f"the {what} in the snapshot cache of {node.id} are not those that are stored"
                )
        if _without_bytes(mine.running.values()) != _without_bytes(theirs.running.values()):
            self._sim.history.violate(
                "W2", f"the claims in the snapshot cache of {node.id} are not those that are stored"
            )
        for name in theirs.workers:
            if mine.record(name) != theirs.record(name):
                self._sim.history.violate(
                    "W2", f"the record of {name} in the snapshot cache of {node.id} is not the stored one"
                )
        for name in names:
            if _without_bytes(mine.lane(name)) != _without_bytes(theirs.lane(name)):
                self._sim.history.violate(
                    "W2", f"the lane of {name} in the snapshot cache of {node.id} is not the stored one"
                )


def _may_go(reasons: set[str]) -> bool:
    """Whether a run may start, or is to be skipped (D5)."""
    return not reasons or ("skip" in reasons and reasons.isdisjoint({"disabled", "paused", "not_due", "unreadable"}))


def _without_bytes(runs: Iterable[Run]) -> dict[int, Run]:
    return {run.id: replace(run, payload=None, result=None) for run in runs}


def seen(run: Run) -> Seen:
    return (run.id, run.due_at, run.attempt, run.interruptions)


def is_healthy(node: SimNode) -> bool:
    """Whether it could start something: it reaches the store, and its own lease is good."""
    return not node.session.is_cut and node.lease.is_trusted and node.is_serving
