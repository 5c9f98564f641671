"""What people ask: how is it, why not, what ran, which nodes are there.

Rules of this file
- Every answer is read from committed state in one consistent view (A2), by the same rules that run (A3).
- Answers are values with stable field names (status.py, acts.py, core).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import count, islice
from typing import TYPE_CHECKING, Any, NamedTuple

from shiftboss.app import acts, worker_page
from shiftboss.app.acts import Act
from shiftboss.app.status import NodeStatus, RunningRun, SystemStatus, WorkerStatus
from shiftboss.app.status_rows import AT_ONCE, NEVER, Assessment, StatusRows
from shiftboss.app.store_trial import StoreTrial
from shiftboss.clock import Clock, Looked
from shiftboss.core import control, fan_out, schedule_words
from shiftboss.core.audit import Head
from shiftboss.core.control import Request, keeps_its_key
from shiftboss.core.events import ArrivalRefused, Event
from shiftboss.core.explain import Explainer, Explanation
from shiftboss.core.fleet import is_live, is_silent, left_to_it_until_s, live_nodes
from shiftboss.core.health import (
    MAX_DEAD_LETTERS,
    Place,
    StoreTrouble,
    SystemHealth,
    health_of_all,
    place_of,
    trouble_of_store,
    worker_health,
)
from shiftboss.core.lane import Lane
from shiftboss.core.model import MAX_LINES, DeadLetter, LogLine, Node, Run
from shiftboss.core.occurrence import instants_ahead
from shiftboss.core.opaque import OpaqueBytes
from shiftboss.core.redact import Redaction, redaction
from shiftboss.core.snapshot import Snapshot
from shiftboss.core.unreadable import SetAside, Unreadable
from shiftboss.core.value import later, replace
from shiftboss.core.verify import AuditVerdict, verify
from shiftboss.core.worker import Definition
from shiftboss.engine.agenda import Agenda
from shiftboss.engine.mutation import pick_up, trigger_many
from shiftboss.engine.snapshot_cache import SnapshotCache
from shiftboss.errors import NotAllowed, UnknownRun
from shiftboss.ports.faces import MAX_COUNTED, AuditFilter, HistoryFilter, LetterFilter, WorkerFilter
from shiftboss.ports.store import Reader, Store
from shiftboss.stores.encryption import cipher_of, session_for_people

if TYPE_CHECKING:
    from shiftboss.app.audit_key import Keys
    from shiftboss.app.triggering import Promise
    from shiftboss.core.fan_out import Trigger

EVERY_WORKER = WorkerFilter()


class Assessed(NamedTuple):
    """All workers judged, as of the last question: by name, and their places in order."""

    at: datetime
    snapshot: Snapshot
    assessments: Mapping[str, Assessment]
    places: Sequence[Place]


class Views:
    """Answers questions from one session, whose cache is kept between them.  One thread at a time."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        max_dead_letters: int = MAX_DEAD_LETTERS,
        trouble: Callable[[], StoreTrouble | None] | None = None,
        secrets: tuple[str, ...] = (),
    ) -> None:
        """*secrets*: values that are masked in what is shown.

        *trouble*: tells what this process knows about the store already; without it the store is tried.
        """
        self._store = store
        self._session = session_for_people(store)
        self._known_trouble = trouble or StoreTrial(store, self._session).trouble
        self._trouble: StoreTrouble | None = None  # as of the last question that needed it
        self._key_ids = cipher_of(store).key_ids
        self._clock = clock
        self._max_dead_letters = max_dead_letters
        self._secrets = secrets
        self._cache = SnapshotCache(Agenda())
        self._rows = StatusRows(self._assess, self._row)
        self._explainer: Explainer  # of the last question about workers
        self._judged_at = clock.now()
        self._live_then: frozenset[str] = frozenset()
        self._changed: set[str] = set()  # workers that the store has reported since all were judged
        self._long: set[str] = set()  # workers with more waiting runs than were read
        self._whole: Snapshot | None = None  # the snapshot of which every lane was read
        self._letters: dict[str, int] = {}
        self._counts: dict[str, dict[str, int]] = {}

    def redaction(self, definition: Definition | None) -> Redaction:
        """What masks a payload of the worker with that definition; None: of a worker that was forgotten."""
        names = ((), ()) if definition is None else (definition.redact, definition.redact_patterns)
        return redaction(*names).knowing(self._secrets)

    # ── triggers within callers' transactions ────────────────────────────────────────────────────────────────────

    def before_arrival(self, request: Request) -> tuple[int, int]:
        """The ids of the newest run and the newest event.

        Raises what is known now against the request; it is checked again when it is picked up.
        """
        with self._session.read() as reader:
            snapshot = self._refreshed(reader)
            self._cache.read_for([pick_up(request)], reader)
            control.trigger(snapshot, self._clock.now(), ids=count(1), request=request)
            return reader.past().run_id, reader.last_event()

    def before_arrivals(self, triggers: Sequence[Trigger]) -> tuple[int, int]:
        """The same for many requests at once.  Raises TriggersRefused."""
        with self._session.read() as reader:
            snapshot = self._refreshed(reader)
            self._cache.read_for([trigger_many(triggers)], reader)
            fan_out.trigger_many(snapshot, self._clock.now(), ids=count(1), triggers=triggers)
            return reader.past().run_id, reader.last_event()

    def promised(self, promise: Promise) -> Run | None:
        """The run of that trigger; None: not there yet.  Raises NotAllowed if it was refused at its pick-up (O5)."""
        with self._session.read() as reader:
            snapshot = self._refreshed(reader)
            runs = reader.history(HistoryFilter(worker=promise.worker, key=promise.key, limit=1))
            run = runs[0] if runs and _has_one_of(runs[0].digest, promise.digests) else None
            if run is not None and run.id > promise.after_run:
                return run
            mark = reader.clock_mark()
            refusal = self._refusal(promise, reader)
        if refusal is not None:
            raise NotAllowed(
                f"the trigger of {promise.worker!r} with key {promise.key!r} was refused: {refusal.reason}"
            )
        state = snapshot.workers.get(promise.worker)
        if run is None or state is None:
            return None
        ttl_s, now = state.definition.key_ttl_s, self._clock.now()
        return run if keeps_its_key(run, now, key_ttl_s=ttl_s, clock_set_us=mark.set_us if mark else 0) else None

    def _refusal(self, promise: Promise, reader: Reader) -> ArrivalRefused | None:
        after = promise.after_event
        while page := reader.events(after=after, limit=MAX_LINES, worker=promise.worker):
            for after, event in page:  # noqa: B007  # the last one is where the next page begins
                if isinstance(event, ArrivalRefused) and event.key == promise.key:
                    return event
        return None

    # ── now ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def status(self, wanted: WorkerFilter = EVERY_WORKER) -> SystemStatus:
        """The state of everything, or of the workers that *wanted* names.

        Raises ConfigurationError for a filter with a field of a wrong type.
        """
        asked = WorkerFilter.read(wanted)
        snapshot = self._look()
        page = worker_page.page(self._rows, asked)
        rows = [self._rows.row(name) for name in page.names]
        return self._status(snapshot, rows, page.matching, page.next, max_running=asked.limit)

    def live_status(self) -> tuple[SystemStatus, int]:
        """What a live page shows, bounded however many workers there are.

        Returned with a number that grows with every change of any worker.
        """
        snapshot = self._look()
        rows = worker_page.live_rows(self._rows)
        status = self._status(snapshot, rows, len(snapshot.workers), None, max_running=worker_page.MAX_LIVE_RUNNING)
        return status, self._rows.revision

    def _status(
        self,
        snapshot: Snapshot,
        rows: Sequence[WorkerStatus],
        matching: int,
        following: str | None,
        *,
        max_running: int | None,
    ) -> SystemStatus:
        health = self._health(snapshot, [row.name for row in rows])
        running = [_running(snapshot, run) for run in sorted(snapshot.running.values(), key=lambda run: run.id)]
        return SystemStatus(
            at=self._judged_at,
            health=health.status,
            reasons=health.reasons,
            nodes=self._nodes(snapshot),
            running=worker_page.some_running(running, max_running),
            workers=tuple(rows),
            store=self._store.url,
            totals=self._rows.tally.totals(),
            matching=matching,
            next=following,
        )

    def health(self, wanted: WorkerFilter = EVERY_WORKER) -> SystemHealth:
        """The health of the whole and of each worker, or of those that *wanted* names (H1 to H3).

        Raises ConfigurationError for a filter with a field of a wrong type.
        """
        asked = WorkerFilter.read(wanted)
        snapshot = self._look()
        page = worker_page.page(self._rows, asked)
        counts = self._rows.tally.totals().health
        return replace(self._health(snapshot, page.names), counts=counts, matching=page.matching, next=page.next)

    def assessed(self) -> Assessed:
        """Every worker judged, without its row."""
        snapshot = self._look()
        return Assessed(self._judged_at, snapshot, self._rows.judged, self._rows.places)

    def _health(self, snapshot: Snapshot, names: Iterable[str]) -> SystemHealth:
        """The health of the whole, with that of these workers and their reasons."""
        judged, tally = self._rows.judged, self._rows.tally
        return health_of_all(
            snapshot,
            {name: judged[name].health for name in names},
            has_grave=tally.has_grave,
            is_well=tally.is_well,
            live=self._live_then,
            letters=self._letters,
            max_dead_letters=self._max_dead_letters,
            store_trouble=None if self._trouble is None else str(self._trouble),
            store_concern=self._store.concern,
            lease_s=self._clock.lease_s(),
        )

    def worker(self, name: str) -> WorkerStatus:
        """One worker.  Raises UnknownWorker."""
        with self._session.read() as reader:
            snapshot = self._refreshed(reader)
            snapshot.worker(name)
            self._load_lanes(snapshot.relations.component(name), reader)
            self._count(reader)
        self._take_stock(snapshot)
        return self._row(name, self._assess(name))

    def live_nodes(self) -> frozenset[str]:
        """The ids of the nodes whose lease is good."""
        with self._session.read() as reader:
            return self._live(self._refreshed(reader))

    def nodes(self) -> tuple[NodeStatus, ...]:
        with self._session.read() as reader:
            return self._nodes(self._refreshed(reader))

    def is_dead(self, node: str) -> bool:
        """Whether the process of that node is surely gone; False if nobody can tell."""
        return self._store.is_dead(node)

    def try_write(self) -> None:
        """Commit a write that changes nothing.  Raises what the store raises if it takes none."""
        self._session.try_write()

    def why(self, name: str) -> Explanation | None:
        """Every hold of the worker's next run; None if nothing waits.  Raises UnknownWorker."""
        with self._session.read() as reader:
            snapshot = self._refreshed(reader)
            snapshot.worker(name)
            self._cache.load_lanes(snapshot.workers, reader)  # a run of another worker may want the node to itself (C8)
            run = self._explainer_of(snapshot).next_run(name)
            if run is not None:
                self._look_at_payload(snapshot, run, reader)
        return None if run is None else self._explained(snapshot, run)

    def why_run(self, run_id: int) -> Explanation:
        """Every hold of one run.  Raises UnknownRun."""
        with self._session.read() as reader:
            snapshot = self._refreshed(reader)
            run = _one(reader, run_id)
            if run.worker in snapshot.workers:
                self._cache.load_lanes(snapshot.workers, reader)  # as above
            self._look_at_payload(snapshot, run, reader)
        return self._explained(snapshot, run)

    def _look_at_payload(self, snapshot: Snapshot, run: Run, reader: Reader) -> None:
        """E3: whether this process can decode it, if its keys say so."""
        snapshot.undecodable.pop(run.id, None)
        payload = run.payload or (reader.payloads((run.id,)).get(run.id) if run.encoded_by else None)
        if isinstance(payload, OpaqueBytes) and payload.key_id in self._key_ids:
            snapshot.undecodable[run.id] = payload.why

    def _explainer_of(self, snapshot: Snapshot) -> Explainer:
        return Explainer(snapshot, self._clock.now(), live=self._live(snapshot), trouble=self._trouble)

    def _explained(self, snapshot: Snapshot, run: Run) -> Explanation:
        self._look_for_trouble(snapshot, self._live(snapshot))
        return self._explainer_of(snapshot).explain(run)

    def run(self, run_id: int) -> Run:
        """A run with payload, result and attempts.  Raises UnknownRun."""
        with self._session.read() as reader:
            return _one(reader, run_id)

    def next_instants(self, name: str, count: int) -> list[datetime]:
        """The next scheduled times of a worker, the stored one first; empty for a worker without a schedule."""
        return list(islice(self.instants((name,))(name), count))

    def instants(self, names: Collection[str]) -> Callable[[str], Iterator[datetime]]:
        """The scheduled times of each of *names*, the stored one first; mostly endless.  Raises UnknownWorker."""
        with self._session.read() as reader:
            snapshot = self._refreshed(reader)
            for name in names:
                snapshot.worker(name)
            self._cache.load_lanes(names, reader)
        return lambda name: self._instants(snapshot, name)

    def _instants(self, snapshot: Snapshot, name: str) -> Iterator[datetime]:
        definition, record = snapshot.worker(name).definition, snapshot.record(name)
        waiting = [run.occurs_at for run in snapshot.lane(name).standing.values() if not run.has_started]
        return instants_ahead(definition, record, waiting=min(waiting, default=None), now=self._clock.now())

    @property
    def seen(self) -> Snapshot:
        """Declarations, state and claims as of the last question; reads nothing."""
        return self._cache.snapshot

    def snapshot(self) -> Snapshot:
        """Declarations and state of all workers, for graphs and checks; lanes are not read."""
        with self._session.read() as reader:
            return self._refreshed(reader)

    def history(self, wanted: HistoryFilter) -> list[Run]:
        """Runs, newest first.  Raises ConfigurationError for a filter with a field of a wrong type."""
        asked = HistoryFilter.read(wanted)
        with self._session.read() as reader:
            return reader.history(asked)

    def letters(self, wanted: LetterFilter) -> list[DeadLetter]:
        """Dead letters, newest first.  Raises ConfigurationError for a filter with a field of a wrong type."""
        asked = LetterFilter.read(wanted)
        with self._session.read() as reader:
            return reader.letters(asked)

    def events(self, *, after: int, limit: int, worker: str | None = None) -> list[tuple[int, Event]]:
        with self._session.read() as reader:
            return reader.events(after=after, limit=limit, worker=worker)

    def audit(self, wanted: AuditFilter) -> list[Act]:
        """What people did, the newest first.  Raises ConfigurationError for a filter with a field of a wrong type."""
        asked = AuditFilter.read(wanted)
        with self._session.read() as reader:
            return list(islice(acts.acts(reader, asked), asked.limit))

    def verify_audit(self, keys: Keys | None, heads: Sequence[Head] = ()) -> AuditVerdict:
        """Compare the audit with its seals, with *heads*, and with what this machine remembers (A8)."""
        known = () if keys is None else keys.keys
        remembered = () if keys is None else keys.heads
        with self._session.read() as reader:
            return verify(
                acts.seals(reader), acts.rows(reader), keys=known, heads=[*heads, *remembered], now=self._clock.now()
            )

    def verify_newest(self, keys: Keys | None, *, rows: int) -> tuple[AuditVerdict, bool]:
        """The same for the newest *rows* at most, beginning at a seal; and whether these are all rows."""
        known, remembered = ((), ()) if keys is None else (keys.keys, keys.heads)
        now = self._clock.now()
        with self._session.read() as reader:
            head = reader.last_seal()
            older = reader.seals(after=head.id - rows - 1, limit=1) if head is not None and head.id > rows else []
            if not older:
                return verify(acts.seals(reader), acts.rows(reader), keys=known, heads=remembered, now=now), True
            after = older[0].id
            seals, newest = acts.seals(reader, after - 1), acts.rows(reader, after)
            return verify(seals, newest, keys=known, heads=remembered, now=now, since=after), False

    def lines(self, run_id: int, *, after: tuple[int, int] = (0, 0)) -> list[LogLine]:
        """What attempts of a run logged.  Raises UnknownRun if there is neither a line nor a run."""
        with self._session.read() as reader:
            lines = page = reader.lines(run_id, after=after)
            while len(page) == MAX_LINES:
                page = reader.lines(run_id, after=(page[-1].fence, page[-1].number))
                lines = lines + page
            if not lines:
                _one(reader, run_id)
            return lines

    def unreadable(self) -> list[Unreadable]:
        """Every row that cannot be read (W8); this reads the whole store."""
        with self._session.read() as reader:
            return reader.unreadable()

    def set_aside(self, *, after: int = 0, limit: int = 1000) -> list[tuple[int, SetAside]]:
        """What was set aside, in order (A5)."""
        with self._session.read() as reader:
            return reader.set_aside(after=after, limit=limit)

    def info(self) -> dict[str, Any]:
        with self._session.read() as reader:
            return reader.info()

    def last_event(self) -> int:
        """The number of the newest stored event; 0 if there is none."""
        with self._session.read() as reader:
            return reader.last_event()

    def runs(self, ids: Collection[int]) -> list[Run]:
        """The runs with one of *ids* that are stored."""
        with self._session.read() as reader:
            return reader.runs(ids)

    def now(self) -> datetime:
        return self._clock.now()

    def looked(self) -> Looked:
        return Looked(self._clock.now(), self._clock.elapsed_s())

    def has_changed(self) -> bool:
        """Whether anybody has committed since the last status; takes no lock and does not wait."""
        return self._session.changed_elsewhere()

    def forget(self) -> None:
        """Read everything again next time (after a failure)."""
        self._session.forget()

    def new_lines(self, run_id: int, *, after: tuple[int, int]) -> list[LogLine]:
        """At most 1,000 lines of a run after the given one (fence, number); none if there is no such run."""
        with self._session.read() as reader:
            return reader.lines(run_id, after=after)

    def wake(self) -> None:
        """End the `wait` of another thread."""
        self._session.wake()

    def wait(self, timeout_s: float) -> None:
        """Return when something may have changed, or after *timeout_s*."""
        self._session.wait(timeout_s)

    def close(self) -> None:
        self._session.close()

    # ── parts ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _refreshed(self, reader: Reader) -> Snapshot:
        self._cache.refresh(reader)
        snapshot = self._cache.snapshot
        self._changed |= snapshot.dirty
        snapshot.dirty.clear()
        return snapshot

    def _live(self, snapshot: Snapshot) -> frozenset[str]:
        """Nodes with a good lease, except those whose process is surely gone."""
        leased = live_nodes(snapshot, boot=self._clock.boot, lease_s=self._clock.lease_s())
        return frozenset(node for node in leased if not self._store.is_dead(node))

    def _look(self) -> Snapshot:
        """Assess every worker about which something may have changed."""
        with self._session.read() as reader:
            snapshot = self._refreshed(reader)
            if snapshot is not self._whole:
                self._long.clear()
            self._load_lanes(self._changed if snapshot is self._whole else snapshot.workers, reader)
            self._count(reader)
        self._whole = snapshot
        changed, self._changed = self._changed, set()
        self._take_stock(snapshot)
        live = self._live_then
        self._rows.look(snapshot, self._judged_at, changed=changed, live=live, letters=self._letters)
        return snapshot

    def _take_stock(self, snapshot: Snapshot) -> None:
        """What every judgement of a worker needs."""
        self._judged_at = self._clock.now()
        self._live_then = live = self._live(snapshot)
        if self._look_for_trouble(snapshot, live):
            self._rows.forget()
        self._explainer = Explainer(snapshot, self._judged_at, live=live, trouble=self._trouble)

    def _load_lanes(self, names: Collection[str], reader: Reader) -> None:
        lanes = self._cache.snapshot.lanes
        self._cache.load_lanes([name for name in names if name not in lanes], reader)
        for name in names:
            lane = lanes.get(name)
            (self._long.discard if lane is None or lane.is_whole else self._long.add)(name)

    def _look_for_trouble(self, snapshot: Snapshot, live: Collection[str]) -> bool:
        """Look what keeps the store from taking work; returns whether that has changed."""
        before = self._trouble
        known = self._known_trouble()
        self._trouble = trouble_of_store(snapshot, live=live, lease_s=self._clock.lease_s(), known=known)
        return self._trouble != before

    def _count(self, reader: Reader) -> None:
        """Count open letters, and what waits in lanes that were too long to be read."""
        self._letters = reader.letter_counts()
        self._counts = reader.counts() if self._long else {}

    def _nodes(self, snapshot: Snapshot) -> tuple[NodeStatus, ...]:
        nodes = sorted(snapshot.nodes.values(), key=lambda node: node.started_at)
        return tuple(self._node(snapshot, node) for node in nodes)

    def _node(self, snapshot: Snapshot, node: Node) -> NodeStatus:
        lease_s = self._clock.lease_s()
        return NodeStatus(
            id=node.id,
            name=node.name,
            live=is_live(node, boot=self._clock.boot, lease_s=lease_s) and not self._store.is_dead(node.id),
            mode=node.mode.value,
            slots=node.slots,
            used=len(snapshot.running_on(node.id)),
            workers=len(node.workers),
            shed=node.shed.value,
            shed_reason=node.shed_reason,
            lag_s=node.lag_s,
            memory_bytes=node.memory_bytes,
            lease_left_s=round(node.lease_until_s - lease_s, 1) if node.boot == self._clock.boot else 0.0,
            started_at=node.started_at,
            version=node.version,
            code_version=node.code_version,
            pid=node.pid,
            host=node.host,
            unreadable=str(node.unreadable) if node.unreadable is not None else "",
            durability=node.durability,
            decodes=node.decodes,
            frozen=is_silent(node, lease_s=lease_s)
            and left_to_it_until_s(node, is_frozen=True) >= lease_s
            and node.freeze_limit_s > 0
            and not self._store.is_dead(node.id)
            and self._store.is_frozen(node.id),
        )

    def _assess(self, name: str) -> Assessment:
        snapshot, now = self._cache.snapshot, self._judged_at
        definition = snapshot.workers[name].definition
        pending, due, until = self._waiting(snapshot, now, name)
        health = worker_health(snapshot, now, name, live=self._live_then, due=due)
        running = len(snapshot.running_of(name))
        within_s = definition.health.expect_success_within_s
        if running or name in snapshot.suspects:
            until = AT_ONCE
        elif within_s is not None:
            since = snapshot.record(name).last_success_at or snapshot.workers[name].declared_at
            late_at = later(since, within_s)
            until = AT_ONCE if late_at <= now else min(until, late_at)
        pause = snapshot.workers[name].pause_at(now)
        if pause is not None and pause.until is not None:
            until = min(until, pause.until)
        place = place_of(health.status, definition.priority, name)
        return Assessment(
            health, place, definition.mode.value, running, pending, due, self._letters.get(name, 0), until
        )

    def _row(self, name: str, judged: Assessment) -> WorkerStatus:
        snapshot, now = self._cache.snapshot, self._judged_at
        state = snapshot.workers[name]
        definition = state.definition
        record = snapshot.record(name)
        breaker = snapshot.breakers.get(definition.breaker) if definition.breaker else None
        first = self._explainer.next_run(name)
        explained = self._explainer.explain(first) if first is not None and first.due_at <= now else None
        return WorkerStatus(
            name=name,
            mode=judged.mode,
            schedule=schedule_words.in_words(definition.schedule) if definition.schedule is not None else "",
            priority=definition.priority.label,
            enabled=state.disabled is None,
            disabled=state.disabled,
            paused=state.pause_at(now),
            accepts=state.accepts,
            health=judged.health.status,
            reasons=judged.health.reasons,
            running=judged.running,
            pending=judged.pending,
            due=judged.due,
            dead_letters=judged.letters,
            consecutive_failures=record.streak,
            last_run_at=record.last_run_at,
            last_success_at=record.last_success_at,
            last_error=record.last_error,
            last_error_at=record.last_error_at,
            latest=record.latest,
            next_due_at=min((run.due_at for run in _waiting_in(snapshot.lane(name))), default=None),
            breaker=breaker.mode.value if breaker is not None else None,
            breaker_until=breaker.until if breaker is not None else None,
            next_run=first.id if first is not None else None,
            holds=explained.holds if explained is not None else (),
            doc=definition.doc,
            unreadable=tuple(snapshot.unreadable_of(name)) if name in snapshot.suspects else (),
        )

    def _waiting(self, snapshot: Snapshot, now: datetime, name: str) -> tuple[int, int, datetime]:
        """How many of its runs are pending, and how many of those are due, both counted up to 1,001; when that changes.

        It changes when another one becomes due.
        """
        lane = snapshot.lane(name)
        if not lane.is_whole:
            counts = self._counts.get(name, {})
            return counts.get("pending", 0), counts.get("due", 0), AT_ONCE
        if not len(lane) and not lane.sealed:
            return 0, 0, NEVER
        due, until = 0, NEVER
        for run in (*lane, *lane.sealed.values()):
            if run.due_at <= now:
                due += 1
            elif run.due_at < until:
                until = run.due_at
        return min(len(lane) + len(lane.sealed), MAX_COUNTED), min(due, MAX_COUNTED), until


def _waiting_in(lane: Lane) -> Iterable[Run]:
    """What waits there, as far as it was read; unreadable runs if there is nothing else (W8)."""
    return lane or lane.sealed.values()


def _has_one_of(digest: str | None, digests: Collection[str]) -> bool:
    return digest in digests if digests else digest is None


def _one(reader: Reader, run_id: int) -> Run:
    runs = reader.runs((run_id,))
    if not runs:
        raise UnknownRun(f"no run {run_id} is stored; it may have been pruned, or the id belongs to another store")
    return runs[0]


def _running(snapshot: Snapshot, run: Run) -> RunningRun:
    claim = run.claim
    node = snapshot.nodes.get(claim.node) if claim is not None else None
    return RunningRun(
        run=run.id,
        worker=run.worker,
        node=node.name if node is not None else (claim.node if claim is not None else ""),
        since=claim.at if claim is not None else run.created_at,
        attempt=run.attempt,
        progress=run.progress,
        zombie=claim is not None and claim.zombie_since is not None,
        cancelling=run.cancel is not None,
        unreadable=str(run.unreadable) if run.unreadable is not None else "",
    )
