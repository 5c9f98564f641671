"""What forbids the start of a run, written a second time: slow, obvious, and without a line of the engine's gates.

Rules of this file
- It judges only the recorded history.  If it and the gates disagree, one of them is wrong.
- Its words are those of the holds: disabled, concurrency, rate, depends_on, blocks, uses, breaker, reserved, slots.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta

from shiftboss.core.lane import FORCED, RESCUED, queue_of
from shiftboss.core.model import BreakerMode, Node, NodeMode, Origin, Run, Shed, Status, WorkerState
from shiftboss.core.policy import Priority, Rate
from shiftboss.core.worker import Definition, OnFailure, Upstream
from shiftboss.testing.history import History

FORGIVEN = 1e-3  # of a token: the engine allows a start one microsecond's worth early (B8)
WAITS_FOR_BODIES = {"blocks", "uses"}  # a run with only these holds may reserve (B4)
OFFSET_S = {Priority.CRITICAL: 0, Priority.HIGH: 0, Priority.NORMAL: 60, Priority.LOW: 600}  # P2
KEPT_OF = 5  # P3
ALONE_FROM = 2  # C8: rescues
QUIET_S, PERIOD_S, SETTLED_S = 60.0, 80.0, 5.0  # C8: of a node's time
MAKES_WAY_S, ALONE_WITHIN_S = 160.0, 600.0  # C8: when others stop making way; when it starts beside others

Rank = tuple[int, datetime, int]


class Oracle:
    """One moment of a history.  Runs in *waiting* are taken as not started yet."""

    def __init__(self, history: History, now: datetime, *, waiting: Collection[int] = ()) -> None:
        self.history = history
        self.now = now
        self._waiting = set(waiting)
        self.reserved: list[Run] = []  # as far as `reserving` has come
        self._lending: list[Run] | None = None
        self._due: list[Run] | None = None  # as it was when first asked for

    def start(self, run: Run) -> None:
        """Take *run* as running from here on."""
        self._waiting.discard(run.id)

    # ── one run ──────────────────────────────────────────────────────────────────────────────────────────────────

    def reasons(self, run: Run) -> set[str]:
        """Why *run* may not start on any node; empty if it may.  "skip": it is to be recorded as skipped (D5)."""
        if run.id in self.history.sealed:
            return {"unreadable"}
        state = self.history.workers[run.worker]
        definition = state.definition
        reasons: set[str] = set()
        if any(self._meets(definition, self.history.workers[name].definition) for name in self.history.sealed.values()):
            reasons.add("unreadable")
        if run.due_at > self.now:
            reasons.add("not_due")
        if not self._is_let_through(state, run):
            reasons.add("disabled")
        if state.paused is not None and (state.paused.until is None or state.paused.until > self.now):
            reasons.add("paused")
        running = self.running(run.worker)
        if definition.concurrency is not None and len(running) >= definition.concurrency:
            reasons.add("concurrency")
        rate = definition.rate
        if rate is not None and self.tokens(definition.name, rate) < min(1 + FORGIVEN, rate.count):
            reasons.add("rate")
        reasons.update(
            word for word in (self._of_upstream(run, edge) for edge in definition.depends_on) if word is not None
        )
        if any(conflict(definition, other) for other in self._busy()):
            reasons.add("blocks")
        if any(self.permits_left(resource) < wanted for resource, wanted in definition.uses.items()):
            reasons.add("uses")
        probes = state.disabled is not None and not run.forced  # a probe for K5 must run the function
        covered_for = definition.fallback and not probes
        if definition.breaker is not None and not covered_for and self._breaker_holds(definition.breaker):
            reasons.add("breaker")
        return reasons

    def running(self, name: str) -> list[Run]:
        runs = self.history.unfinished[name].values()
        return [run for run in runs if run.status is Status.RUNNING and run.id not in self._waiting]

    def due(self) -> list[Run]:
        """Pending runs, and those taken as waiting, that are due."""
        if self._due is None:
            runs = (run for runs in self.history.unfinished.values() for run in runs.values())
            self._due = [run for run in runs if run.due_at <= self.now and self._is_pending(run)]
        return [run for run in self._due if self._is_pending(run)]

    def _meets(self, mine: Definition, theirs: Definition) -> bool:
        """W8: whether runs of the one worker are related to an unreadable run of the other."""
        if mine.name == theirs.name:
            return mine.concurrency is not None
        comes_after = theirs.name in mine.after or any(edge.worker == theirs.name for edge in mine.depends_on)
        shares = bool(mine.uses.keys() & theirs.uses.keys()) or (
            mine.breaker is not None and mine.breaker == theirs.breaker
        )
        return comes_after or shares or conflict(mine, theirs)

    def _busy(self) -> Iterator[Definition]:
        for name, state in self.history.workers.items():
            if self.running(name):
                yield state.definition

    def _is_let_through(self, state: WorkerState, run: Run) -> bool:
        """K5: whether a disabled worker may start it nevertheless."""
        disabled = state.disabled
        if disabled is None or run.forced:
            return True
        until = disabled.probation_until
        probing = any(other.claim is not None and other.claim.probe for other in self.running(run.worker))
        return until is not None and until <= self.now and not probing

    # ── upstreams ────────────────────────────────────────────────────────────────────────────────────────────────

    def _of_upstream(self, run: Run, edge: Upstream) -> str | None:
        """D2 to D6: "depends_on" if it must wait, "skip" if it is to be skipped, None if it may start."""
        history = self.history
        upstream = history.workers.get(edge.worker)
        if upstream is None:
            return "depends_on"
        broken = self.is_broken(upstream)
        occurs_at = min(run.occurs_at, max(self.now, run.due_at))  # a clock that was set back may leave it ahead (O4)
        if self.owes(edge.worker, occurs_at, running_only=broken):
            return "depends_on"
        latest = history.latest.get(edge.worker)
        if latest is None and not broken:
            return "depends_on"
        if broken or (latest is not None and not latest[2]):
            if edge.on_failure is OnFailure.RUN:
                return None
            is_fresh_occurrence = run.origin is Origin.OCCURRENCE and not run.has_started
            return "skip" if edge.on_failure is OnFailure.SKIP and is_fresh_occurrence else "depends_on"
        return None if self._is_fresh(run, edge) else "depends_on"

    def owes(self, name: str, occurs_at: datetime, *, running_only: bool) -> bool:
        """D2: whether *name* has an unfinished run with a logical time at or before *occurs_at*."""
        for run in self.history.unfinished[name].values():
            runs = run.status is Status.RUNNING and run.id not in self._waiting
            if run.occurs_at <= occurs_at and (runs or not running_only):
                return True
        return False

    def is_broken(self, upstream: WorkerState) -> bool:
        """D6: whether the upstream counts as failed."""
        definition = upstream.definition
        if upstream.disabled is not None:
            return True
        if definition.breaker is None or definition.fallback:
            return False
        breaker = self.history.breakers.get(definition.breaker)
        return breaker is not None and breaker.mode is not BreakerMode.CLOSED

    def _is_fresh(self, run: Run, edge: Upstream) -> bool:
        """D4: whether the upstream's success is recent enough."""
        success = self.history.succeeded.get(edge.worker)
        mine = self.history.succeeded.get(run.worker)
        if edge.fresh and (success is None or (mine is not None and success[0] < mine[1])):
            return False
        if edge.max_age_s is None:
            return True
        return success is not None and (self.now - success[0]).total_seconds() <= edge.max_age_s

    # ── what is shared ───────────────────────────────────────────────────────────────────────────────────────────

    def permits_left(self, resource: str) -> int:
        """B9: the permits that are free."""
        workers = self.history.workers
        taken = sum(state.definition.uses.get(resource, 0) * len(self.running(name)) for name, state in workers.items())
        return self.history.resources.get(resource, 0) - taken

    def tokens(self, name: str, rate: Rate) -> float:
        """B8: the tokens in the bucket, by the recorded starts."""
        level, at = self.history.tokens.get(name, (float(rate.count), self.now))
        hidden = sum(1 for run_id in self._waiting if self.history.runs[run_id].worker == name)
        refilled = max(0.0, (self.now - at).total_seconds()) * rate.count / rate.per_s
        return min(float(rate.count), level + hidden + refilled)

    def probes(self, breaker: str) -> list[Run]:
        """K2: the runs that probe a breaker now; one that began before it opened is no probe."""
        state = self.history.breakers.get(breaker)
        opened_at = None if state is None else state.opened_at
        return [
            run
            for name, state in self.history.workers.items()
            if state.definition.breaker == breaker
            for run in self.running(name)
            if run.claim is not None and run.claim.probe and (opened_at is None or run.claim.at >= opened_at)
        ]

    def _breaker_holds(self, name: str) -> bool:
        breaker = self.history.breakers.get(name)
        if breaker is None or breaker.mode is BreakerMode.CLOSED:
            return False
        return (breaker.until is not None and breaker.until > self.now) or bool(self.probes(name))

    # ── order ────────────────────────────────────────────────────────────────────────────────────────────────────

    def rank(self, run: Run, priority: Priority | None = None) -> Rank:
        """P2: its position in the order of starts; the least is first."""
        if run.rescues >= ALONE_FROM:
            return (-1, datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=_lived_s(run)), run.id)
        priority = run.priority if priority is None else priority
        stood_at = place(run)[0] + timedelta(seconds=OFFSET_S[priority])
        return (0 if priority is Priority.CRITICAL else 1, stood_at, run.id)

    def lent(self, run: Run) -> Priority:
        """D9: the highest priority of what waits for *run*, down chains of waiting runs; at least its own.

        A disabled worker neither lends nor borrows.
        """
        best = run.priority
        if run.worker not in self.history.upstreams or self.history.workers[run.worker].disabled is not None:
            return best
        for other in self._lenders():
            if other.priority > best and other.occurs_at >= run.occurs_at and run.worker in self._waited_for(other):
                best = other.priority
        return best

    def _lenders(self) -> list[Run]:
        """What each worker with upstreams would start next: the first run of each queue, and its earliest run."""
        if self._lending is None:
            self._lending = []
            for name, state in self.history.workers.items():
                pending = [run for run in self.history.unfinished[name].values() if self._is_pending(run)]
                if not pending or not state.definition.depends_on:
                    continue
                heads: dict[int, Run] = {}
                for run in sorted(pending, key=_in_queue):
                    heads.setdefault(queue_of(run), run)
                least = min(pending, key=lambda run: (run.occurs_at, run.id))
                self._lending += [
                    run
                    for run in (*heads.values(), least)
                    if run.due_at <= self.now and (state.disabled is None or run.forced)
                ]
        return self._lending

    def stands_behind(self, run: Run) -> bool:
        """Whether another run of its queue comes first: the engine asks the first of each, and the earliest run."""
        others = (other for other in self.history.unfinished[run.worker].values() if self._is_pending(other))
        if queue_of(run) == RESCUED:
            return False  # all of these are asked
        return any(place(other) < place(run) and queue_of(other) == queue_of(run) for other in others)

    def _waited_for(self, run: Run) -> set[str]:
        """The workers, along the chains of depends_on, with unfinished work for *run*."""
        names_waited_for: set[str] = set()
        names = [run.worker]
        while names:
            for edge in self.history.workers[names.pop()].definition.depends_on:
                upstream = self.history.workers.get(edge.worker)
                if edge.worker in names_waited_for or upstream is None or upstream.disabled is not None:
                    continue
                pending = (r for r in self.history.unfinished[edge.worker].values() if self._is_pending(r))
                if any(other.occurs_at <= run.occurs_at for other in pending):
                    names_waited_for.add(edge.worker)
                    names.append(edge.worker)
        return names_waited_for

    def _is_pending(self, run: Run) -> bool:
        if run.id in self.history.sealed:
            return False
        return run.status is Status.PENDING or run.id in self._waiting

    def reserving(self, nodes: Collection[Node], *, surely: bool = True) -> Iterator[tuple[Run, list[Run]]]:
        """B4: the due runs in rank order, each with those of higher rank that have reserved what it would take.

        *nodes* are those that could start something.  Unless *surely*, runs that may have reserved are included, by
        what a node saw a moment ago: room and tokens come and go.  The caller reports each start on the way by `start`.
        """
        self.reserved = []
        for run in self._heads():
            before = [other for other in self.reserved if self.competes(other, run)]
            yield run, before
            if not self._is_pending(run):
                continue
            if run.rescues >= ALONE_FROM:
                continue  # C8: it has its own right of way
            definition = self.history.workers[run.worker].definition
            started_at = self.history.started.get(run.worker, run.due_at) if surely else run.due_at
            if max(run.due_at, started_at) + timedelta(seconds=definition.patience_s) > self.now:
                continue
            reasons = self.reasons(run) - (set() if surely else {"rate"})
            waits = reasons <= WAITS_FOR_BODIES and not (before and surely)  # no reasons: it waits for a node's turn
            may_start = self.has_room if surely else self.can_run
            if waits and any(may_start(node, run) for node in nodes):
                self.reserved.append(run)

    def is_reserved_against(self, run: Run) -> bool:
        """Whether some run may have reserved what *run* would take, if its node had room."""
        for _ in self.reserving(list(self.history.nodes.values()), surely=False):
            pass
        return any(self.competes(other, run) for other in self.reserved if other.id != run.id)

    def _heads(self) -> list[Run]:
        """In rank order: the runs that start, and those that the engine asks of each worker.

        The engine asks the first run of each queue and, of workers with dependencies, the earliest run: that one need
        not be the first of a queue (P2).
        """
        due = [run for run in self.due() if self.history.may_compete(run.worker)]
        first: dict[tuple[str, int], Run] = {}
        for run in sorted(due, key=_in_queue):
            if run.id not in self._waiting:  # after each start the engine asks the next run
                first.setdefault((run.worker, queue_of(run)), run)
        edges = {name: state.definition.depends_on for name, state in self.history.workers.items()}
        related = {name for name in edges if edges[name]} | {edge.worker for each in edges.values() for edge in each}
        least: dict[str, Run] = {}
        for run in sorted(due, key=lambda run: (run.occurs_at, run.id)):
            if run.worker in related:
                least.setdefault(run.worker, run)
        all_of = (run for run in due if queue_of(run) in (FORCED, RESCUED))  # all of these are asked
        asked = {run.id for run in (*first.values(), *least.values(), *all_of)} | self._waiting
        return sorted((run for run in due if run.id in asked), key=lambda run: self.rank(run, self.lent(run)))

    def competes(self, reserved: Run, run: Run) -> bool:
        """Whether *run* would take what *reserved* waits for: by blocks, or by leaving it too few permits."""
        mine = self.history.workers[reserved.worker].definition
        theirs = self.history.workers[run.worker].definition
        return conflict(mine, theirs) or any(
            self.permits_left(resource) - theirs.uses[resource] < wanted
            for resource, wanted in mine.uses.items()
            if resource in theirs.uses
        )

    # ── nodes ────────────────────────────────────────────────────────────────────────────────────────────────────

    def can_run(self, node: Node, run: Run, *, priority: Priority | None = None) -> bool:
        """Whether *node* runs such runs at all now; judged by the priority lent to it, unless *priority* is given."""
        definition = self.history.workers[run.worker].definition
        if node.mode is not NodeMode.RUNNING or node.workers.get(run.worker) != definition.parameters:
            return False
        held_back = {Shed.NOTHING: -1, Shed.LOW: Priority.LOW, Shed.NORMAL: Priority.NORMAL}[node.shed]
        return (self.lent(run) if priority is None else priority) > held_back

    def has_room(self, node: Node, run: Run, *, priority: Priority | None = None) -> bool:
        """Whether *node* has a slot for *run* (P3)."""
        if not self.can_run(node, run, priority=priority) or self.keeps_apart(node, run):
            return False
        claims = self._on(node)
        executor = self.history.workers[run.worker].definition.executor
        same = [o for o in claims if self.history.workers[o.worker].definition.executor == executor]
        if len(claims) >= node.slots or len(same) >= node.executors.get(executor, node.slots):
            return False
        if (self.lent(run) if priority is None else priority) >= Priority.HIGH:
            return True
        low = sum(1 for other in claims if other.priority < Priority.HIGH)
        return low < node.slots - node.slots // KEPT_OF

    def keeps_apart(self, node: Node, run: Run) -> bool:
        """C8: whether *run* may not start on *node* now because one of them must run, or waits to run, alone."""
        return self.stands_apart(node, run) or (self._is_quiet(node, 0.0) and self._is_wanted(node, run))

    def stands_apart(self, node: Node, run: Run) -> bool:
        """C8: the same, only because of what runs there."""
        others = [other for other in self._on(node) if other.id != run.id]
        if run.rescues >= ALONE_FROM:
            if run.due_at + timedelta(seconds=ALONE_WITHIN_S) <= self.now:
                return False
            return bool(others) or not (self._is_quiet(node, 0.0) and self._is_quiet(node, _lived_s(run)))
        return self._is_quiet(node, 0.0) and any(self._is_guarded(other) for other in others)

    def _is_quiet(self, node: Node, after_s: float) -> bool:
        began_s = (self.now - node.started_at).total_seconds()
        phase_s = (began_s % PERIOD_S + after_s) % PERIOD_S
        in_this_one = began_s % PERIOD_S + after_s < QUIET_S
        return in_this_one or (after_s > 0 and SETTLED_S <= phase_s < QUIET_S)

    def _is_guarded(self, run: Run) -> bool:
        if run.rescues < ALONE_FROM or run.claim is None:
            return False
        age_s, lived_s = (self.now - run.claim.at).total_seconds(), _lived_s(run)
        return age_s < lived_s and (age_s < QUIET_S or lived_s - age_s <= QUIET_S)

    def _is_wanted(self, node: Node, run: Run) -> bool:
        if run.rescues >= ALONE_FROM:
            return False
        isolated = (other for other in self.due() if other.rescues >= ALONE_FROM and other.id != run.id)
        return any(
            other.due_at + timedelta(seconds=MAKES_WAY_S) > self.now
            and self.can_run(node, other)
            and not self.reasons(other) - {"rate"}
            for other in isolated
        )

    def _on(self, node: Node) -> list[Run]:
        return [other for other in self.history.running.values() if self._is_on(node, other)]

    def _is_on(self, node: Node, run: Run) -> bool:
        return run.claim is not None and run.claim.node == node.id and run.id not in self._waiting


def goes_on_beside(run: Run, other: Run, now: datetime) -> bool:
    """C8: whether *run*, isolated and late, may have started right after *other*, which was alone until then."""
    is_late = run.rescues >= ALONE_FROM and run.due_at + timedelta(seconds=ALONE_WITHIN_S) <= now
    return is_late and (_lived_s(other), other.id) < (_lived_s(run), run.id)


def _lived_s(run: Run) -> float:
    return max((attempt.duration_s for attempt in run.attempts), default=0.0)


def place(run: Run) -> tuple[datetime, int]:
    """P2: its place in the queue."""
    return (run.place_at or run.due_at, run.id)


def _in_queue(run: Run) -> tuple[datetime, int]:
    """Its position in the list of its queue: it also orders runs that wait for their back-off (core/lane.py)."""
    return (run.due_at, run.id) if queue_of(run) == RESCUED else place(run)


def conflict(one: Definition, other: Definition) -> bool:
    """B1: symmetric, by names and tags; never with itself."""
    return one.name != other.name and (_names(one, other) or _names(other, one))


def _names(one: Definition, other: Definition) -> bool:
    words = set(one.blocks)
    return other.name in words or any(f"tag:{tag}" in words for tag in other.tags)
