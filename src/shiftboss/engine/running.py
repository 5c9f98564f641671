"""The attempts that run on this node.

Rules of this file
- An attempt ends with exactly one report, and is forgotten when that report has been applied.
- What functions say is written to the store once a second, by the engine's tick, however often they say it.  What an
  attempt said last is written before its report.
- An attempt whose claim is no longer ours is told to stop, and whatever it reports is void (C3, C5).  A launch that
  must not run beside it is held back here, claimed but handed to no executor, until it has ended or its grace is over
  (B7).
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from shiftboss.clock import Clock
from shiftboss.core.graph import may_not_overlap
from shiftboss.core.model import (
    MAX_LINES,
    Cancelled,
    Interrupted,
    LogLine,
    Outcome,
    Progress,
    Report,
    Run,
    TimedOut,
)
from shiftboss.core.note import Note
from shiftboss.core.redact import places_of
from shiftboss.core.snapshot import Snapshot
from shiftboss.core.value import replace, seconds_between
from shiftboss.engine import mutation
from shiftboss.engine.cycle import Launchable
from shiftboss.engine.mutation import Mutation
from shiftboss.engine.redacting import redacted, said_without_secrets
from shiftboss.logs import get_logger
from shiftboss.ports.executor import Body, Executor, Launch, Raised, StopReason
from shiftboss.ports.store import EntryLog

log = get_logger("shiftboss.engine")

KILLED_WITHIN_S = 2.0  # from the KILL after the grace until its report, on a busy machine

Key = tuple[int, int]  # (run, fence)


@dataclass(slots=True)
class _Held:
    """A launch that waits for another function here to end."""

    launch: Launch
    since_s: float
    until_s: float  # when it starts at the latest


class RunningAttempts:
    def __init__(
        self,
        node: str,
        clock: Clock,
        *,
        bodies: Mapping[str, Body],
        executors: Mapping[str, Executor],
        kinds: Mapping[str, str],
        put: Callable[[Mutation], None],
        code_version: str,
        traced: Callable[[Launch], None] = lambda launch: None,
        secrets: tuple[str, ...] = (),
        entries: EntryLog | None = None,
    ) -> None:
        self._node = node
        self._clock = clock
        self._bodies = bodies
        self._executors = executors
        self._kinds = kinds  # worker → its executor here; the newest declaration may be of another kind (M7)
        self._put = put
        self._code_version = code_version
        self._traced = traced
        self._secrets = secrets
        self._entries = entries
        self._launches: dict[int, Launch] = {}  # the newest attempt of each run
        self._older: dict[Key, Launch] = {}  # earlier attempts of those runs, until their reports are applied
        self._orphans: dict[Key, float] = {}  # claims lost while their functions run → until when they matter
        self._held: dict[Key, _Held] = {}  # not handed to an executor yet; whoever removes one starts or reports it
        # Protects `_lines`, and keeps whatever an attempt said before its report.  Re-entrant: putting may log.
        self._saying = threading.RLock()
        self._lines: dict[Key, deque[LogLine]] = {}  # logged, and not put into the inbox yet
        self._notes: dict[Key, Note] = {}  # the same for the newest progress or heartbeat
        self._told: dict[Key, StopReason] = {}  # attempts that were told to stop
        self._raised: dict[int, Raised] = {}  # by run: what acknowledged attempts raised, until it is taken
        self._unentered: set[Key] = set()  # claims that are being handed back
        self._ended: set[Key] = set()  # functions that have ended, with their report under way

    def __len__(self) -> int:
        return len(self._launches) + len(self._older)

    def __contains__(self, run_id: int) -> bool:
        return run_id in self._launches

    def ids(self) -> frozenset[int]:
        return frozenset(self._launches)

    # ── starting ─────────────────────────────────────────────────────────────────────────────────────────────────

    def start(self, snapshot: Snapshot, starts: Iterable[Launchable]) -> None:
        """Hand the claimed runs to their executors, in one call for each; or hold them back: `release` starts those."""
        by_kind: dict[str, list[Launch]] = {}
        for start in self._newest(starts):
            run = start.run
            name = run.worker
            definition = snapshot.workers[name].definition
            fence = _fence(run)
            launch = Launch(
                run=run,
                definition=definition,
                body=self._bodies[name],
                report=partial(self._report, run.id, fence),
                signal=partial(self._signal, run.id, fence),
                timeout_s=definition.timeout_s if run.deadline_at is None else _timeout_s(run, definition.timeout_s),
                last_success_at=snapshot.record(name).last_success_at,
                secrets=self._secrets,
                entered=partial(self._entered, run.id, fence),
            )
            self._traced(launch)
            earlier = self._launches.get(run.id)
            if earlier is not None:
                self._older[run.id, _fence(earlier.run)] = earlier
                self._orphan(earlier)
            self._launches[run.id] = launch
            if self._orphans and self._hold(snapshot, launch):
                continue
            launches = by_kind.get(self._kinds[name])
            if launches is None:
                by_kind[self._kinds[name]] = [launch]
            else:
                launches.append(launch)
        self._hand_out(by_kind)

    def _hand_out(self, by_kind: Mapping[str, list[Launch]]) -> None:
        for kind, launches in by_kind.items():
            self._executors[kind].start(launches)

    def _newest(self, starts: Iterable[Launchable]) -> Collection[Launchable]:
        """If a run was claimed twice before it started, because the store was put back in between: the later claim."""
        newest: dict[int, Launchable] = {}
        for start in starts:
            earlier = newest.get(start.run.id)
            if earlier is not None:
                self._hand_back(earlier.run, "it was claimed again before it started")
            newest[start.run.id] = start
        return newest.values()

    # ── functions whose claim is gone, and launches that wait for their end ──────────────────────────────────────────

    def _orphan(self, launch: Launch) -> None:
        """The claim of *launch* is gone: tell it.  It keeps others waiting as long as it may be expected to end."""
        key = (launch.run.id, _fence(launch.run))
        if key in self._orphans:
            return
        grace_s = launch.definition.cancel_grace_s + KILLED_WITHIN_S
        self._orphans[key] = self._clock.monotonic_s() + grace_s
        self._tell(launch, StopReason.LEASE)

    def _hold(self, snapshot: Snapshot, launch: Launch) -> bool:
        """Whether *launch* waits for an orphan."""
        run, now_s = launch.run, self._clock.monotonic_s()
        until_s = self._in_the_way_until_s(snapshot, launch)
        if until_s <= now_s:
            return False
        self._held[run.id, _fence(run)] = _Held(launch, now_s, until_s)
        log.warning(
            "run %d of %s waits for an earlier attempt on this node that lost its claim and was told to stop; it "
            "starts when that has ended, within %.0f s",
            run.id,
            run.worker,
            until_s - now_s,
            extra={"worker": run.worker, "run": run.id},
        )
        return True

    def _in_the_way_until_s(self, snapshot: Snapshot, launch: Launch) -> float:
        """Until when *launch* has to wait for orphans at most; in the past if it need not wait."""
        until_s = 0.0
        for key, ends_s in list(self._orphans.items()):
            orphan = self._of(*key)
            if orphan is None or key in self._ended or orphan is launch:
                continue
            is_same = key[0] == launch.run.id
            if is_same or may_not_overlap(snapshot.relations, orphan.definition, launch.definition):
                until_s = max(until_s, ends_s)
        return until_s

    def release(self, snapshot: Snapshot) -> None:
        """Start the held launches that no longer have to wait."""
        now_s = self._clock.monotonic_s()
        by_kind: dict[str, list[Launch]] = {}
        for key, held in list(self._held.items()):
            launch = held.launch
            until_s = self._in_the_way_until_s(snapshot, launch)
            if until_s > now_s:
                held.until_s = until_s
                continue
            if self._held.pop(key, None) is None:
                continue
            if launch.run.deadline_at is not None:
                waited_s = now_s - held.since_s
                launch.timeout_s = _timeout_s(launch.run, launch.definition.timeout_s, waited_s=waited_s)
            by_kind.setdefault(self._kinds[launch.run.worker], []).append(launch)
        self._hand_out(by_kind)

    @property
    def release_in_s(self) -> float:
        """Seconds until a held launch is started in any case; infinite if none is held."""
        ends_s = min((held.until_s for held in list(self._held.values())), default=float("inf"))
        return max(0.0, ends_s - self._clock.monotonic_s())

    def give_back_held(self, reason: str) -> None:
        """Nothing more is started here: held launches are handed back unentered."""
        for key in list(self._held):
            if self._held.pop(key, None) is not None:
                self._report(*key, Interrupted(reason=reason, began=False), 0.0)

    def _of(self, run_id: int, fence: int) -> Launch | None:
        """The attempt with that very claim."""
        launch = self._launches.get(run_id)
        if launch is not None and _fence(launch.run) == fence:
            return launch
        return self._older.get((run_id, fence))

    def refuse(self, starts: Iterable[Launchable], reason: str = "the lease expired before the start") -> None:
        """C3, G1: something came between the commit and the starts; hand the claims back unentered."""
        for start in starts:
            self._hand_back(start.run, reason)

    def _hand_back(self, run: Run, reason: str) -> None:
        key = (run.id, _fence(run))
        if key not in self._unentered:
            self._unentered.add(key)
            self._report(*key, Interrupted(reason=reason, began=False), 0.0)

    def acknowledge(self, reports: Iterable[Report]) -> list[Report]:
        """Forget the attempts of *reports*, which were applied; the reports that ended an attempt of this node."""
        acknowledged = []
        for report in reports:
            key = (report.run, report.fence)
            self._ended.discard(key)
            for kept in (self._told, self._orphans, self._older):
                if kept:  # nearly always there is nothing
                    kept.pop(key, None)
            if self._unentered:
                self._unentered.discard(key)
            if self._entries is not None:
                self._entries.forget(*key)
            launch = self._launches.get(report.run)
            if launch is not None and _fence(launch.run) == report.fence:
                del self._launches[report.run]
                if launch.raised is not None:
                    self._raised[report.run], launch.raised = launch.raised, None
                acknowledged.append(report)
        return acknowledged

    def take_raised(self) -> Mapping[int, Raised]:
        """What the acknowledged functions raised since the last call.  It refers to their frames: do not keep it."""
        taken, self._raised = self._raised, {}
        return taken

    def look(self, snapshot: Snapshot, *, starting: Iterable[Launchable] = ()) -> None:
        """Tell attempts whose claim is gone or that are to end, and hand back claims of ours that nothing here runs.

        Such a claim is left over if the reply to its commit was lost: it was committed and never started (H5).  Claims
        that are *starting* after this call are not meant; attempts that they must wait for have been told by then.
        """
        for run_id, launch in list(self._launches.items()):
            run = snapshot.running.get(run_id)
            if run is None or not run.held_by(self._node, _fence(launch.run)):
                self._orphan(launch)
            elif run.cancel is not None:
                self._tell(launch, StopReason.CANCEL)
        starting_keys = {(start.run.id, _fence(start.run)) for start in starting}
        for run in list(snapshot.running_on(self._node)):
            started = self._launches.get(run.id)
            if (started is None or _fence(started.run) != _fence(run)) and (run.id, _fence(run)) not in starting_keys:
                self._hand_back(run, "the reply to its claim was lost")

    def stop_all(self, reason: StopReason) -> None:
        """Also called by the lease watch, while the engine waits for the store; telling twice is as telling once."""
        for launch in list(self._launches.values()):
            self._tell(launch, reason)

    def _tell(self, launch: Launch, reason: StopReason) -> None:
        run = launch.run
        key = (run.id, _fence(run))
        if key in self._told:
            return
        self._told[key] = reason
        if self._held.pop(key, None) is None:
            self._executors[self._kinds[run.worker]].stop(*key, reason)
        else:
            outcome = Cancelled() if reason is StopReason.CANCEL else Interrupted(reason=str(reason), began=False)
            self._report(*key, outcome, 0.0)

    def flush(self) -> None:
        """Put what functions have said since the last call; called about once a second."""
        for key in {*list(self._notes), *list(self._lines)}:
            with self._saying:
                self._put_said(key)

    def _put_said(self, key: tuple[int, int]) -> None:
        """The caller holds the lock."""
        if not self._notes and not self._lines:
            return
        note, lines = self._notes.pop(key, None), self._lines.pop(key, None)
        if note is not None:
            self._put(mutation.note(note))
        if lines:
            self._put(mutation.log_lines(self._node, tuple(lines)))

    # called by executors, from their threads

    def _entered(self, run_id: int, fence: int) -> None:
        """C8: note it in a place that survives this process, for whoever rescues the run."""
        if self._entries is not None:
            self._entries.note(run_id, fence)

    def _report(self, run_id: int, fence: int, outcome: Outcome, duration_s: float) -> None:
        """An attempt has ended: its secrets are masked, its span ends, its report goes into the inbox."""
        launch = self._of(run_id, fence)
        original = outcome
        outcome = redacted(launch, outcome)
        if launch is not None and launch.raised is not None and outcome != original:
            launch.raised = None  # the exception contains a secret
        traceparent = None
        if launch is not None and launch.span is not None:
            traceparent = launch.span.traceparent
            launch.span.end(outcome)
        report = Report(run_id, self._node, fence, outcome, duration_s, self._code_version, traceparent)
        with self._saying:
            self._put_said((run_id, fence))
            self._ended.add((run_id, fence))
            self._put(mutation.report(report))

    def _signal(self, run_id: int, fence: int, kind: str, value: Any) -> None:
        value = said_without_secrets(self._of(run_id, fence), value)
        key = (run_id, fence)
        match kind:
            case "progress" if isinstance(value, Progress):
                self._notes[key] = Note(run_id, self._node, fence, progress=value)
            case "log" if isinstance(value, LogLine):
                with self._saying:
                    self._lines.setdefault(key, deque(maxlen=MAX_LINES)).append(value)
            case "mask":
                self._mask(run_id, fence, value)
            case "zombie":
                self._put(mutation.note(Note(run_id, self._node, fence, zombie=True)))
            case _:
                self._notes.setdefault(key, Note(run_id, self._node, fence))

    def _mask(self, run_id: int, fence: int, values: tuple[str, ...]) -> None:
        """Mask *values* in what the run says from now on, in what is not put yet, and in the places of its payload."""
        launch = self._of(run_id, fence)
        if launch is None:
            return
        with self._saying:
            launch.redaction = launch.redact().knowing(values)
            key = (run_id, fence)
            lines, note = self._lines.get(key), self._notes.get(key)
            if lines:
                self._lines[key] = deque((said_without_secrets(launch, line) for line in lines), maxlen=MAX_LINES)
            if note is not None:
                self._notes[key] = replace(note, progress=said_without_secrets(launch, note.progress))
            places = places_of(values, launch.run.payload)
            if places:
                self._put(mutation.note(Note(run_id, self._node, fence, masked=places)))

    def abandoned(self) -> list[Report]:
        """Reports for the functions that have not ended, for the last act of the process (G2)."""
        outcomes = {key: given for executor in self._executors.values() for key, given in executor.unended().items()}
        reports = []
        for launch in list(self._launches.values()):
            key = launch.run.id, _fence(launch.run)
            if key not in self._ended:
                given, duration_s = outcomes.get(key, (Interrupted(reason="its process ended"), 0.0))
                outcome = redacted(launch, given)
                if launch.span is not None:
                    launch.span.end(outcome)
                reports.append(Report(key[0], self._node, key[1], outcome, duration_s, self._code_version))
        return reports

    def last_mutations(self, stuck: Iterable[Report], *, owns_process: bool) -> list[Mutation]:
        """If the process ends: reports of what is *stuck*.  If it lives on: what others must know to rescue it (B6)."""
        if owns_process:
            return [mutation.report(each) for each in stuck]
        timed_out = (each for each in stuck if isinstance(each.outcome, TimedOut))
        return [mutation.note(Note(each.run, self._node, each.fence, zombie=True)) for each in timed_out]


def _fence(run: Run) -> int:
    return run.claim.fence if run.claim is not None else 0


def _timeout_s(run: Run, timeout_s: float | None, *, waited_s: float = 0.0) -> float | None:
    """T1: the limit of an attempt, or what is left until the run's deadline, *waited_s* after its claim."""
    if run.deadline_at is None or run.claim is None:
        return timeout_s
    left_s = max(0.001, seconds_between(run.claim.at, run.deadline_at) - waited_s)
    return left_s if timeout_s is None else min(timeout_s, left_s)
