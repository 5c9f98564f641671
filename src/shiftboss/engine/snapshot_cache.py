"""The snapshot, kept from one cycle to the next and brought up to date with what others commit.

Rules of this file
- It is exactly what the store holds.  Our own changes are applied when they are made, those of others arrive as deltas,
  and after a failed commit everything is read again.
- Whatever a rule will ask for is read before the rule is called.
- What this process has declared is not held twice: an equal value that was read is replaced by the one that is here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from shiftboss.core.lane import Lane
from shiftboss.core.model import Run, Status, WorkerState
from shiftboss.core.snapshot import Snapshot
from shiftboss.core.value import replace
from shiftboss.core.worker import Definition
from shiftboss.engine.agenda import Agenda
from shiftboss.engine.mutation import NO_NEEDS, Mutation
from shiftboss.ports.cycle import CycleReader, Delta
from shiftboss.ports.faces import LetterFilter

WIDE_LIMIT = 4096  # how far to look if none of the first runs can be decoded here (E3)
LANE_LIMIT = 256  # runs of a queue that are read at once; a node starts fewer in a cycle
MAX_LANE = 10_000  # loaded runs of a lane, some 10 MB; a longer lane is read again as a prefix
MAX_SUPERSEDED = 1000  # dead letters that one success closes (Q5); the next success closes more


class SnapshotCache:
    def __init__(
        self,
        agenda: Agenda,
        *,
        starts_runs: bool = True,
        decodes: Sequence[str] = (),
        definitions: Iterable[Definition] = (),
    ) -> None:
        self._definitions = {definition.name: definition for definition in definitions}
        self._decodes = decodes
        self._codec_key = decodes[0] if decodes else ""
        self.snapshot = Snapshot(codec_key=self._codec_key)
        self.agenda = agenda
        self._lane_limit = LANE_LIMIT if starts_runs else 0  # of lanes that others changed: nodes look at these
        self.next_give_up_at: datetime | None = None
        self.is_read = False  # whether it was read since it was forgotten
        self.is_behind = False  # others committed, and not all of it was read
        self.epoch: int | None = None  # of the store, at the last full reading

    def forget(self) -> None:
        """Trust nothing: the next refresh reads everything."""
        self.snapshot = Snapshot(codec_key=self._codec_key)
        self.agenda.clear()
        self.is_read = False

    # what others changed

    def refresh(self, reader: CycleReader) -> bool:
        """Take in what others committed.  True if our claims or the nodes may have changed."""
        delta = reader.changes(lanes=self._lane_limit)
        self.is_behind = delta.more
        if delta.everything:
            self._read_everything(delta, reader)
            return True
        if delta.claimed is None and not delta.workers and not delta.breakers and delta.nodes is None:
            return False
        self._take_in(delta)
        self._learn_of(delta.claimed or (), reader)
        self.next_give_up_at = reader.next_give_up()
        return True

    def _learn_of(self, claimed: Collection[int], reader: CycleReader) -> None:
        """Read claims of a worker that was free when they were made, and is disabled now: no delta reported them."""
        running = self.snapshot.running
        unknown = [run_id for run_id in claimed if run_id not in running]
        if unknown:
            self._add_claims(replace(run, payload=None) for run in reader.runs(unknown))

    def _read_everything(self, delta: Delta, reader: CycleReader) -> None:
        self.forget()
        self._take_in(delta)
        self.is_read = True
        self.epoch = delta.epoch
        self.snapshot.dirty.clear()  # everything that waits is on the agenda
        self.snapshot.freed.clear()
        self.snapshot.freed_breakers.clear()
        self.snapshot.strays = {name for name in delta.waiting or () if name not in self.snapshot.workers}
        for name, at in (delta.waiting or {}).items():
            state = self.snapshot.workers.get(name)
            self.agenda.look_at(name if state is None else state.name, at)
        self.next_give_up_at = reader.next_give_up()

    def _take_in(self, delta: Delta) -> None:
        snapshot = self.snapshot
        redeclared = []
        for read, record in delta.workers:
            state = self._shared(read)
            if snapshot.put_worker(state):
                redeclared.append(state.name)
            snapshot.records[state.name] = record
            snapshot.lanes.pop(state.name, None)
            if state.unreadable is not None or record.unreadable is not None:
                snapshot.suspect(state.name)
        self._add_lanes(delta.lanes)
        snapshot.strays.update(delta.forgotten)
        for name in delta.forgotten:
            for known in (snapshot.workers, snapshot.records, snapshot.lanes):
                known.pop(name, None)
        if redeclared or delta.forgotten:
            snapshot.rebuild(redeclared)
        for breaker in delta.breakers:
            snapshot.put_breaker(breaker)
            if breaker.unreadable is not None:
                snapshot.suspects.update(snapshot.relations.sharing_breaker(breaker.name))
        if delta.resources is not None and dict(delta.resources) != snapshot.resources:
            snapshot.resources = dict(delta.resources)
            snapshot.dirty.update(snapshot.workers)
        if delta.size_declarations is not None:
            snapshot.size_declarations = dict(delta.size_declarations)
            snapshot.declared += 1
        if delta.nodes is not None:
            snapshot.nodes = {node.id: node for node in delta.nodes}
        if delta.claimed is not None:
            self._take_in_claims(delta.claimed, delta.running, delta.of)

    def _shared(self, state: WorkerState) -> WorkerState:
        """The same state with the definition that this process holds already, if it is equal."""
        definition = self._definitions.get(state.name)
        if definition is None or definition != state.definition:
            return state
        return replace(state, definition=definition, declarations=state.declarations.compact())

    def _take_in_claims(self, claimed: Collection[int], changed: Iterable[Run], of: Collection[str] | None) -> None:
        running, running_by = self.snapshot.running, self.snapshot.running_by
        known = set(running) if of is None else {run_id for name in of for run_id in running_by.get(name, ())}
        for run_id in known.difference(claimed):
            self.snapshot.drop_claim(run_id)
        self._add_claims(changed)

    def _add_claims(self, runs: Iterable[Run]) -> None:
        for run in runs:
            self.snapshot.put_claim(run)
            if run.unreadable is not None:
                self.snapshot.suspect(run.worker)

    def _add_lanes(self, lanes: Mapping[str, Lane]) -> None:
        snapshot = self.snapshot
        for name, lane in lanes.items():
            state = snapshot.workers.get(name)
            snapshot.lanes[name if state is None else state.name] = lane
            if lane.sealed:
                self.snapshot.suspects.add(name)

    # what the rules will ask for

    def read_for(self, mutations: Collection[Mutation], reader: CycleReader) -> None:
        """Read what *mutations* need: runs, keys, the lanes in which they leave something, dead letters."""
        snapshot = self.snapshot
        snapshot.fetched.clear()
        snapshot.keyed.clear()
        snapshot.letters.clear()
        snapshot.unreadable.clear()
        ids: set[int] = set()
        keys: set[tuple[str, str]] = set()
        lanes: set[str] = set()
        letters: set[int] = set()
        places: set[tuple[str, str]] = set()
        superseding: set[str] = set()
        for mutation in mutations:
            needs = mutation.needs
            if needs is not NO_NEEDS:
                ids.update(needs.runs)
                keys.update(needs.keys)
                lanes.update(needs.lanes)
                letters.update(needs.letters)
                places.update(needs.unreadable)
            if mutation.report is not None:
                run = snapshot.running.get(mutation.report.run)
                if run is not None and (run.is_standing or run.worker not in superseding):
                    lanes.update(self.lanes_of_end(run.worker, is_standing=run.is_standing))
                    superseding.add(run.worker)
        if ids:
            for run in reader.runs(ids):
                snapshot.fetched[run.id] = run
                if not run.status.is_final and run.is_standing:
                    lanes.update(self.lanes_of_end(run.worker, is_standing=True))
        if keys:
            snapshot.keyed.update(((run.worker, run.key or ""), run) for run in reader.keyed(keys))
        if places:
            snapshot.unreadable.update((row.place, row) for row in reader.unreadable(places))
            lanes.update(row.worker for row in snapshot.unreadable.values() if row.worker)
        if letters:
            snapshot.letters.update(
                (letter.run, letter) for letter in reader.letters(LetterFilter(letters, state=None))
            )
        for name in superseding:
            if self.snapshot.record(name).owes_letters:
                open_letters = reader.open_letters(name, without_payload_only=True, limit=MAX_SUPERSEDED)
                snapshot.letters.update((letter.run, letter) for letter in open_letters)
        self.load_lanes(lanes, reader)

    def lanes_of_end(self, worker: str, *, is_standing: bool) -> Iterable[str]:
        """The lanes that the end of a run may write to: those of workers that run after it, and its own.

        Its own, because the next run goes there, and because a success may enable the worker and record what passed
        (K5).
        """
        after = self.snapshot.relations.after.get(worker, ())
        state = self.snapshot.workers.get(worker)
        needs_own = is_standing or (state is not None and state.disabled is not None)
        return (worker, *after) if needs_own else after

    def missing(self, names: Iterable[str]) -> list[str]:
        """Those of *names* whose lane must be read (again) before anybody decides about it."""
        return [name for name in names if name in self.snapshot.workers and self._is_missing(name)]

    def _is_missing(self, name: str) -> bool:
        lane = self.snapshot.lanes.get(name)
        if lane is None:
            return True
        if lane.is_whole:  # nearly all are: nothing of such a lane can be missing
            return False
        if lane.is_dry or self._is_stuck(lane):
            return True
        if lane.knows_least:
            return False
        relations = self.snapshot.relations
        return name in relations.dependents or bool(self.snapshot.workers[name].definition.depends_on)

    def load_lanes(self, names: Iterable[str], reader: CycleReader) -> None:
        missing = self.missing(names)
        if missing:
            self._read_lanes(missing, reader, limit=LANE_LIMIT)
            stuck = [name for name in missing if self._is_stuck(self.snapshot.lanes[name])]
            if stuck:
                self._read_lanes(stuck, reader, limit=WIDE_LIMIT)

    def _read_lanes(self, names: Sequence[str], reader: CycleReader, *, limit: int) -> None:
        lanes = reader.lanes(names, limit=limit)
        self._add_lanes({name: lanes[name] if name in lanes else Lane() for name in names})

    def _is_stuck(self, lane: Lane) -> bool:
        """Whether a queue has more runs than were loaded, and none of the loaded ones can be decoded here (E3)."""
        return not lane.is_whole and any(
            not is_whole
            and not any(self._can_be_decoded(run) for run in lane.heads(number))
            and 0 < sum(1 for _ in lane.heads(number)) < WIDE_LIMIT
            for number, is_whole in enumerate(lane.whole)
        )

    def _can_be_decoded(self, run: Run) -> bool:
        if run.id in self.snapshot.undecodable:
            return False
        return not run.encoded_by or run.encoded_by in self._decodes

    def trim(self) -> None:
        """Forget lanes that have grown too long; the next use reads them again."""
        lanes = self.snapshot.lanes
        for name in self.snapshot.dirty:
            lane = lanes.get(name)
            if lane is not None and len(lane) > MAX_LANE:
                del lanes[name]

    def note_give_up(self, run: Run) -> None:
        """Remember the earliest time at which a waiting run expires."""
        if run.give_up_at is not None and run.status is Status.PENDING:
            known = self.next_give_up_at
            self.next_give_up_at = run.give_up_at if known is None else min(known, run.give_up_at)
