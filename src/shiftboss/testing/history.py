"""What was committed, in order: every start and every end, and the world as it follows from them.

Rules of this file
- It learns only what transactions write; it asks no rule of the engine, so that the engine can be checked against it.
- Within one commit what ends comes before what starts: reports are applied before anything is decided.
- Each commit is handed to the invariants at once: a violation is found where it happens.
"""

from __future__ import annotations

import copy
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from shiftboss.core.events import AttemptEnded, Audit, Event, RunEnded
from shiftboss.core.model import (
    BreakerMode,
    BreakerState,
    Cause,
    Claim,
    DeadLetter,
    Node,
    Origin,
    Record,
    Report,
    Run,
    Status,
    WorkerState,
)
from shiftboss.core.shift import Shift, shifted
from shiftboss.core.snapshot import NO_RECORD, Change
from shiftboss.core.worker import Definition, Mode
from shiftboss.testing.clock import US, VirtualClock

FAILURES = frozenset(
    {Cause.ERROR, Cause.FATAL, Cause.TIMEOUT, Cause.CRASH, Cause.UNFIT}
)  # causes of attempts that count (R1)
DEADLY = frozenset({Cause.ERROR, Cause.FATAL, Cause.TIMEOUT, Cause.LOST, Cause.CRASH, Cause.CRASH_LOOP})  # K4
HANDED_BACK = frozenset({Cause.INTERRUPTED, Cause.RESCUED})  # R2
SAME_S = 0.001  # O4: an interval may move by microseconds, to avoid scheduled times that ran already


LASTING = frozenset(  # what stays as it is when the store is restored
    {"has_partitions", "_clock", "_predicates", "violations", "marks", "acts", "starts", "ends", "dead", "wall_steps"}
    | {"last_fence", "last_run", "_fences_from", "_runs_from", "wall_set_s"}
)


class Violation(NamedTuple):
    """A rule that did not hold (docs/reference/semantics.md)."""

    rule: str
    at: datetime
    what: str

    def __str__(self) -> str:
        return f"{self.rule} at {self.at:%Y-%m-%d %H:%M:%S.%f}: {self.what}"


class Start(NamedTuple):
    """A claim that was committed.  `before` is the run as it waited."""

    run: Run
    claim: Claim
    before: Run | None


class End(NamedTuple):
    """A claim that has ended; `cause` as in the attempt, None for a success.  `run` is the run afterwards."""

    run: Run
    claim: Claim
    cause: Cause | None


@dataclass(slots=True)
class Commit:
    """One transaction, as seen from outside."""

    number: int
    at: datetime
    elapsed_s: float
    by: str  # the node whose session it was; empty for operators
    reports: Sequence[Report] = ()  # what that node had been given to write
    starts: list[Start] = field(default_factory=list)
    ends: list[End] = field(default_factory=list)
    created: list[Run] = field(default_factory=list)
    changed: list[tuple[Run, Run]] = field(default_factory=list)  # (before, after); no claim began or ended
    finished: list[Run] = field(default_factory=list)  # runs that are final from now on, for whatever cause
    events: list[Event] = field(default_factory=list)
    letters: list[DeadLetter] = field(default_factory=list)
    gone_nodes: list[str] = field(default_factory=list)
    set_aside: set[str] = field(default_factory=set)  # workers with a run that was set aside (A5)
    breakers_before: dict[str, BreakerState | None] = field(default_factory=dict)
    shifted: bool = False  # the wall clock was set, and this commit has adjusted the store

    @property
    def skips(self) -> bool:
        """Whether it skipped a run: other decisions in it may have taken that run as still waiting, or as started."""
        return any(run.status is Status.SKIPPED for run in self.finished)


Predicate = Callable[["History", Commit], Iterator[Violation]]


class History:
    """The world as the commits made it.  `violations` collects every violation found."""

    def __init__(
        self, clock: VirtualClock, predicates: Iterable[Predicate] = (), *, has_partitions: bool = False
    ) -> None:
        self.has_partitions = has_partitions  # transactions may hold only a part of the store
        self._clock = clock
        self._predicates = tuple(predicates)
        self.violations: list[Violation] = []
        self.marks: Counter[str] = Counter()  # coverage: how often each thing has happened
        self.acts: list[Audit] = []  # what people did
        self.fan_outs: dict[str, int] = {}  # O6: who calls trigger_many → how many runs one commit has to store
        self.starts: list[Start] = []
        self.ends: list[End] = []
        self.dead: set[str] = set()  # nodes whose process is gone, as the kernel says
        self.frozen: set[str] = set()  # nodes whose process lives while their engine is frozen
        self.unfrozen_s: dict[str, float] = {}  # when each stopped being frozen, by the clock of leases
        self.wall_steps = 0
        self.wall_set_s = -1e9  # when the wall clock was last set
        self.passed_over: set[tuple[str, datetime]] = set()  # scheduled times in the future whose run was cancelled
        self.fired: dict[str, set[datetime]] = defaultdict(set)  # worker → scheduled times that have their own run (O1)
        self._lasting: dict[object, datetime] = {}  # the same as `ends_s`, in wall time
        self.ends_s: dict[object, float] = {}  # what lasts for a while → until when, in elapsed time (O4)

        self.last_fence = 0  # the largest that was ever given, even in a past that was lost (C9)
        self.last_run = 0
        self._fences_from = 0  # fences that were given since the store was restored are larger
        self._runs_from = 0
        self.runs: dict[int, Run] = {}
        self.unfinished: dict[str, dict[int, Run]] = defaultdict(dict)
        self.running: dict[int, Run] = {}
        self.workers: dict[str, WorkerState] = {}
        self.upstreams: set[str] = set()  # workers that others depend on
        self.blocks: set[str] = set()  # names and tags that some worker blocks
        self.records: dict[str, Record] = {}
        self.breakers: dict[str, BreakerState] = {}
        self.resources: dict[str, int] = {}
        self.first_declared: dict[tuple[str, str, str], int] = {}  # M7: in which order, by worker, text, code version
        self.nodes: dict[str, Node] = {}
        self.sealed: dict[int, str] = {}  # unreadable runs → their workers (W8)
        self.aside: set[int] = set()  # runs that were set aside (A5)

        # what follows from starts and ends, counted here independently of the engine
        self.failures: Counter[int] = Counter()  # run → attempts that count
        self.failed_s: dict[int, float] = {}  # run → when the last of these ended, in elapsed time
        self.declared_s: dict[str, float] = {}  # worker → when it was last declared
        self.rescues: Counter[int] = Counter()  # run → rescues in a row that count (C8)
        self.entered: set[tuple[int, int]] = set()  # (run, fence) of every function that was entered
        self.condemned: set[int] = set()  # runs that were alone at their last rescue, which therefore may end them
        self.crashes: Counter[int] = Counter()  # run → crashes in a row (R4)
        self.bodies: Counter[int] = Counter()  # run → functions entered
        self.outlived: set[tuple[int, int]] = set()  # (run, fence) of those that outlived their timeout (B6)
        self._entered_s: dict[int, float] = {}  # run → when its function was last entered, in elapsed time
        self.started: dict[str, datetime] = {}  # worker → its latest start (B4)
        self._probations_s: dict[str, float | None] = {}  # worker → the length of its latest probation
        self.places: dict[int, datetime] = {}  # run → its place in the queue when it was last claimed (P2)
        self.streaks: Counter[str] = Counter()
        self.latest: dict[str, tuple[datetime, int, bool]] = {}  # D2
        self.succeeded: dict[str, tuple[datetime, datetime]] = {}  # worker → last success, its attempt's start
        self.tokens: dict[str, tuple[float, datetime]] = {}  # B8
        self.covered: dict[str, datetime] = {}  # worker → the last scheduled time that a started run covers
        self.covered_s: dict[str, float] = {}  # when that run started, in elapsed time
        self.ended: set[str] = set()  # M4: workers whose schedule has ended, whatever the clock shows since
        self.fired_of: Counter[str] = Counter()  # worker → scheduled runs that have started while it had `times`
        self.breaker_failures: Counter[str] = Counter()

    # ── reports ──────────────────────────────────────────────────────────────────────────────────────────────────

    def commit(self, by: str, number: int, changes: Sequence[Change], reports: Sequence[Report] = ()) -> Commit:
        """A transaction of node *by* has been committed; *reports* are those that the node had been given."""
        committed = Commit(number, self._clock.now(), self._clock.elapsed_us / US, by, reports)
        starts: list[tuple[Run | None, Run]] = []
        for change in changes:
            self._take_state(change, committed)
            if change.shift is not None:
                committed.shifted = True
                self._shift(change.shift)
                committed.breakers_before.update(self.breakers)  # it only moves them, before anything else happens
            for run in change.runs:
                before = self.runs.get(run.id)
                if before is not None and before.status.is_final:
                    self.violate("S", f"run {run.id} had ended as {before.status} and is now {run.status}")
                if run.status is Status.RUNNING and not _same_claim(before, run):
                    starts.append((before, run))
                    if before is not None and before.status is Status.RUNNING:
                        self._end(before, run, committed)
                else:
                    self._move(before, run, committed)
        self._count_ends(committed)
        for before, run in starts:
            self._start(before, run, committed)
        self._watch_durations(committed)
        for predicate in self._predicates:
            for violation in predicate(self, committed):
                self.violations.append(violation)
        for node_id in committed.gone_nodes:
            self.nodes.pop(node_id, None)
        return committed

    def launched(self, run: Run) -> None:
        """The function of *run* is entered on the node that its claim names (C3, C7)."""
        claim = run.claim
        if claim is None:
            return
        self.bodies[run.id] += 1
        self.entered.add((run.id, claim.fence))
        stored = self.running.get(run.id)
        if stored is None or stored.claim is None or stored.claim.fence != claim.fence:
            self.violate("C3", f"the function of run {run.id} is entered although its claim has ended")
        node = self.nodes.get(claim.node)
        if node is None or node.lease_until_s <= self._clock.lease_s():
            self.violate("C3", f"{claim.node} enters the function of run {run.id} without a lease")
        state = self.workers.get(run.worker)
        entered_s = self._entered_s.get(run.id, 0.0)
        self._entered_s[run.id] = self._clock.monotonic_s()
        is_newer = self.declared_s[run.worker] >= entered_s  # than the function that was entered before this one
        if state is not None and state.definition.at_most_once and self.bodies[run.id] > 1 and not is_newer:
            self.violate(
                "C7", f"the function of run {run.id} of {run.worker} is entered a second time, despite at_most_once"
            )

    def timed_out(self, run: Run) -> None:
        """The function of *run* is told that its timeout has passed (B6)."""
        if run.claim is not None:
            self.outlived.add((run.id, run.claim.fence))

    def violate(self, rule: str, what: str) -> None:
        self.violations.append(Violation(rule, self._clock.now(), what))

    def wall_was_set(self) -> None:
        """O4: from here on scheduled times may come again."""
        self.wall_steps += 1
        self.wall_set_s = self._clock.elapsed_s()

    # ── an earlier state ─────────────────────────────────────────────────────────────────────────────────────────

    def kept(self) -> dict[str, Any]:
        """The world as it is now, for `put_back`."""
        return copy.deepcopy({name: value for name, value in vars(self).items() if name not in LASTING})

    def put_back(self, kept: dict[str, Any]) -> None:
        """The store is as it was then; violations found and fences given stay known (C9)."""
        vars(self).update(copy.deepcopy(kept))
        self._fences_from, self._runs_from = self.last_fence, self.last_run

    def declares(self, node: Node) -> None:
        """*node* lives, and the store was restored a while ago: by now its declarations are there (M7)."""
        missing = [name for name in node.workers if name not in self.workers]
        if missing or node.id not in self.nodes:
            self.violate(
                "M7", f"{', '.join(missing) or 'the row'} of {node.id} is missing since the store was restored"
            )

    # ── questions ────────────────────────────────────────────────────────────────────────────────────────────────

    def fails_by(self, name: str, cause: Cause | None) -> bool:
        """K4: whether an end with that cause says that the worker fails; a fatal one may be the input's fault."""
        definition = self.workers[name].definition
        if cause is Cause.FATAL and definition.fatal_counts is None:
            return definition.mode is not Mode.TRIGGERED
        return cause in DEADLY and (cause is not Cause.FATAL or definition.fatal_counts is True)

    def running_of(self, name: str) -> list[Run]:
        return [run for run in self.unfinished[name].values() if run.status is Status.RUNNING]

    def pending(self) -> Iterator[Run]:
        return (run for runs in self.unfinished.values() for run in runs.values() if run.status is Status.PENDING)

    def may_compete(self, name: str) -> bool:
        """Whether runs of this worker can wait for runs of another, or the other way round (B1, B9)."""
        definition = self.workers[name].definition
        marks = {name, *(f"tag:{tag}" for tag in definition.tags)}
        return bool(definition.blocks or definition.uses) or not marks.isdisjoint(self.blocks)

    def record(self, name: str) -> Record:
        return self.records.get(name, NO_RECORD)

    # ── applying a commit ────────────────────────────────────────────────────────────────────────────────────────

    def _take_state(self, change: Change, commit: Commit) -> None:
        for state in change.workers:
            old = self.workers.get(state.name)
            if old is None or old.definition != state.definition:
                self.declared_s[state.name] = commit.elapsed_s
            if old is not None and _end_of(old.definition) != _end_of(state.definition):
                self.ended.discard(state.name)  # M4: another end
                if old.definition.schedule != state.definition.schedule:
                    self.fired_of.pop(state.name, None)  # another schedule counts anew
            self.workers[state.name] = state
        if change.workers or change.forgotten:
            definitions = [state.definition for state in self.workers.values()]
            self.upstreams = {edge.worker for definition in definitions for edge in definition.depends_on}
            self.blocks = {word for definition in definitions for word in definition.blocks}
        for row in change.set_aside:
            self._leave(int(row.id), row.worker)
            commit.set_aside.add(row.worker)
        for name in change.forgotten:
            self.first_declared = {key: order for key, order in self.first_declared.items() if key[0] != name}
            for known in (self.workers, self.records, self.covered, self.latest, self.succeeded, self.tokens):
                known.pop(name, None)
            self.streaks.pop(name, None)
        self.records.update(change.records)
        self.resources.update(change.resources)
        for breaker in change.breakers:
            commit.breakers_before.setdefault(breaker.name, self.breakers.get(breaker.name))
            self.breakers[breaker.name] = breaker
        for node in change.nodes:
            self.nodes[node.id] = node
        for node_id in change.gone_nodes:
            commit.gone_nodes.append(node_id)
        commit.letters.extend(change.letters)
        commit.events.extend(change.events)
        self.acts += [event for event in change.events if isinstance(event, Audit)]

    def _shift(self, shift: Shift) -> None:
        """O4: what is counted here by the wall clock moves as the store's times do."""
        for runs in self.unfinished.values():
            for run in list(runs.values()):
                if run.id in self.sealed:
                    continue
                if run.status is Status.PENDING and (run.origin is not Origin.OCCURRENCE or run.has_started):
                    self.runs[run.id] = runs[run.id] = shifted(run, shift)
        move = shift.move
        self.started = {name: move(at) for name, at in self.started.items()}
        self.places = {run_id: move(at) for run_id, at in self.places.items()}
        self.succeeded = {name: (move(at), move(began)) for name, (at, began) in self.succeeded.items()}
        self.tokens = {name: (level, move(at)) for name, (level, at) in self.tokens.items()}
        self.latest = {name: (min(at, shift.now), run, ok) for name, (at, run, ok) in self.latest.items()}

    def _watch_durations(self, commit: Commit) -> None:
        """O4: when what lasts for a while ends, in elapsed time; setting a clock changes none of it."""
        lasting: dict[object, datetime] = {}
        for runs in self.unfinished.values():
            for run in runs.values():
                if run.id in self.sealed or (not run.has_started and (run.by_calendar or run.origin is Origin.AFTER)):
                    continue  # unreadable (W8); follows the calendar; moved by every further success (M6)
                if self.declared_s.get(run.worker) == commit.elapsed_s:
                    self.ends_s.pop(waiting(run), None)  # it may have another jitter now
                    self.ends_s.pop(("deadline", run.id), None)
                if run.status is Status.PENDING:
                    lasting[waiting(run)] = run.due_at
                if run.deadline_at is not None:
                    lasting["deadline", run.id] = run.deadline_at
        for name, breaker in self.breakers.items():
            if breaker.until is not None and breaker.mode is not BreakerMode.CLOSED:
                lasting["cooldown", name] = breaker.until
                if breaker.opened_at == commit.at:  # opened again, perhaps in the commit that notices the clock step
                    self.ends_s.pop(("cooldown", name), None)
        for name, state in self.workers.items():
            if state.disabled is not None and state.disabled.probation_until is not None:
                lasting["probation", name] = state.disabled.probation_until
                length_s = state.disabled.probation_s
                if state.disabled.since == commit.at or self._probations_s.get(name) != length_s:  # again, or longer
                    self.ends_s.pop(("probation", name), None)
                self._probations_s[name] = length_s
        before, self._lasting = self._lasting, lasting
        ends_s, self.ends_s = self.ends_s, {}
        for what, until in lasting.items():
            at_s = commit.elapsed_s + (until - commit.at).total_seconds()
            self.ends_s[what] = known_s = ends_s.get(what, at_s)
            if commit.shifted and abs(known_s - at_s) > SAME_S:
                self.violate("O4", f"{what} ends {at_s - known_s:.3f} s later than it should")
            elif not commit.shifted and before.get(what) != until:
                self.ends_s[what] = at_s

    def _leave(self, run_id: int, worker: str) -> None:
        """A5: the simulator spoils only rows of runs."""
        self.aside.add(run_id)
        self.sealed.pop(run_id, None)
        self.runs.pop(run_id, None)
        self.unfinished[worker].pop(run_id, None)

    def _move(self, before: Run | None, run: Run, commit: Commit) -> None:
        """Any change except a start."""
        if before is None:
            if run.id <= self._runs_from:
                self.violate("C9", f"id {run.id} was in use before the store was restored")
            self.last_run = max(self.last_run, run.id)
            commit.created.append(run)
        elif before.status is Status.RUNNING and run.status is not Status.RUNNING:
            self._end(before, run, commit)
            self.running.pop(run.id, None)
        else:
            commit.changed.append((before, run))
        if run.status is Status.RUNNING:
            self.running[run.id] = run
        if run.status.is_final:
            self.unfinished[run.worker].pop(run.id, None)
            commit.finished.append(run)
        else:
            self.unfinished[run.worker][run.id] = run
        self.runs[run.id] = run

    def _end(self, before: Run, run: Run, commit: Commit) -> None:
        if before.claim is None:
            return
        number = len(before.attempts)
        newer = run.attempts[number:] if len(run.attempts) > number else run.attempts[-1:]
        end = End(run, before.claim, newer[0].cause if newer else None)
        commit.ends.append(end)
        self.ends.append(end)

    def _start(self, before: Run | None, run: Run, commit: Commit) -> None:
        if run.claim is None:
            self.violate("C1", f"run {run.id} runs without a claim")
            return
        ends_s = None if before is None else self.ends_s.get(waiting(before))
        is_redeclared = self.declared_s.get(run.worker) == commit.elapsed_s  # perhaps with another jitter
        if ends_s is not None and commit.elapsed_s < ends_s - SAME_S and not is_redeclared:
            self.violate("O4", f"run {run.id} of {run.worker} starts {ends_s - commit.elapsed_s:.3f} s too early")
        self.runs[run.id] = self.unfinished[run.worker][run.id] = self.running[run.id] = run
        if run.claim.fence <= self._fences_from:
            self.violate("C9", f"fence {run.claim.fence} was in use before the store was restored")
        self.last_fence = max(self.last_fence, run.claim.fence)
        start = Start(run, run.claim, before)
        commit.starts.append(start)
        self.starts.append(start)
        self.started[run.worker] = commit.at

    # ── independent counts ───────────────────────────────────────────────────────────────────────────────────────

    def _count_ends(self, commit: Commit) -> None:
        place = {
            event.run: index for index, event in enumerate(commit.events) if isinstance(event, RunEnded | AttemptEnded)
        }
        commit.ends.sort(
            key=lambda end: place.get(end.run.id, -1)
        )  # in the order of the mutations, which a merged change does not keep
        for end in commit.ends:
            self._count_end(end, commit)
        for run in commit.finished:
            self._count_verdict(run)
            if run.origin is Origin.OCCURRENCE and not run.has_started and run.occurs_at > commit.at:
                self.passed_over.add((run.worker, run.occurs_at))
        ended = {run.id: run for run in commit.finished}
        for event in commit.events:  # in the order of the mutations, which a merged change does not keep
            if isinstance(event, RunEnded) and event.run in ended:
                run = ended[event.run]
                if run.status is Status.SUCCEEDED:
                    self.streaks[run.worker] = 0
                elif run.status is Status.DEAD and self.fails_by(run.worker, run.cause):
                    self.streaks[run.worker] += 1
            elif isinstance(event, Audit) and event.action == "enable":
                self.streaks[event.worker] = 0

    def _count_end(self, end: End, commit: Commit) -> None:
        run = end.run
        self.marks[f"end:{end.cause or 'success'}"] += 1
        if end.cause in FAILURES:
            self.failures[run.id] += 1
            self.failed_s[run.id] = commit.elapsed_s
        if end.cause is Cause.CRASH:
            self.crashes[run.id] += 1
        elif end.cause not in HANDED_BACK:
            self.crashes[run.id] = 0
        if end.cause is Cause.RESCUED and end.claim.fence <= self._fences_from:
            self.rescues[run.id] = run.rescues  # those commits are lost: only the node's notes say what it had entered
        elif end.cause is Cause.RESCUED:
            there = self._there(end, commit)
            was_alone = there == {run.id}
            if run.id in there and (was_alone or self.rescues[run.id] < 2):
                self.rescues[run.id] += 1
            (self.condemned.add if was_alone else self.condemned.discard)(run.id)
        elif end.cause is not Cause.INTERRUPTED:
            self.rescues[run.id] = 0
        if end.cause is None:
            self.succeeded[run.worker] = (commit.at, end.claim.at)

    def _there(self, end: End, commit: Commit) -> set[int]:
        """C8: the runs whose functions the node had entered, as far as known; otherwise all that it had claimed."""
        node = end.claim.node
        ends = [other for other in commit.ends if other.claim.node == node and node in commit.gone_nodes]
        return {
            other.run.id for other in ends if node not in self.dead or (other.run.id, other.claim.fence) in self.entered
        }

    def _count_verdict(self, run: Run) -> None:
        """D2: by `occurs_at`, then id, among those that started or were skipped by D5."""
        if run.first_started_at is None and run.cause is not Cause.DEPENDENCY_FAILED:
            return
        verdict = (min(run.occurs_at, self._clock.now()), run.id, run.status is Status.SUCCEEDED)
        latest = self.latest.get(run.worker)
        if latest is None or latest[:2] < verdict[:2]:
            self.latest[run.worker] = verdict


def _end_of(definition: Definition) -> tuple[object, ...]:
    return definition.schedule, definition.until, definition.times


def _same_claim(before: Run | None, run: Run) -> bool:
    """Whether *run* runs under the same claim as before."""
    if before is None or before.claim is None or run.claim is None or before.status is not Status.RUNNING:
        return False
    return before.claim.fence == run.claim.fence


def waiting(run: Run) -> tuple[str, int, int, int]:
    """One wait of a run, for its first start or after an attempt."""
    return "run", run.id, run.attempt, run.interruptions


def is_new_occurrence(start: Start) -> bool:
    """Whether this is the first start for a scheduled time."""
    return start.run.origin is Origin.OCCURRENCE and (start.before is None or not start.before.has_started)
