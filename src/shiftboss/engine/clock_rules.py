"""What a turn does because of the time, and not because somebody asks: clocks are set, runs expire, nodes are lost.

Rules of this file
- A clock that was set comes first: everything else in the turn sees the store as it is by the new clock (O4).
- Runs expire a thousand in a cycle (T1), and runs of lost nodes are rescued (C4), before anything is decided.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from datetime import datetime
from itertools import chain

from shiftboss.clock import Clock
from shiftboss.core.clock_step import STEP_US, clock_was_set, scheduled, went_back_unseen_us
from shiftboss.core.fleet import Processes, leases_held, lost_nodes
from shiftboss.core.model import ClockMark, Node
from shiftboss.core.settle import expire, rescue
from shiftboss.core.shift import Shift
from shiftboss.core.snapshot import Change
from shiftboss.core.value import US
from shiftboss.engine.agenda import Agenda
from shiftboss.engine.clock_watch import ClockWatch, is_outdated
from shiftboss.engine.snapshot_cache import SnapshotCache
from shiftboss.engine.writer import Writer
from shiftboss.ports.store import AttemptKey, Transaction

MAX_EXPIRED = 1000  # runs that expire in one cycle; the rest in the next


class ClockRules:
    """Of a node; for a client (*node* None) only the clock that was set matters."""

    def __init__(self, clock: Clock, node: Node | None, cache: SnapshotCache, agenda: Agenda) -> None:
        self._clock = clock
        self._node = node
        self._cache = cache
        self._agenda = agenda
        self._watch = ClockWatch(clock)

    # ── the clock ────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def seems_set(self) -> bool:
        """Whether the wall clock seems to have been set since the last transaction."""
        return self._watch.seems_set

    def doubt(self) -> None:
        """The last transaction failed, so what was seen in it may not be stored."""
        self._watch.doubt()

    def was_set(self, tx: Transaction) -> bool:
        step_us = self._watch.step_us(tx.clock_mark())
        return step_us is None or abs(step_us) >= STEP_US

    def follow(self, ids: Iterator[int], writer: Writer, tx: Transaction) -> None:
        """O4: before anything else, adapt the store to the clock as it is now."""
        snapshot, mark, now = self._cache.snapshot, tx.clock_mark(), self._clock.now()
        step_us = self._watch.step_us(mark)
        if step_us is None:
            step_us = went_back_unseen_us(snapshot, now)
        elif abs(step_us) < STEP_US:
            step_us = None
        seen = self._watch.saw(mark, step_us=step_us or 0)
        snapshot.clock = seen
        if step_us is not None:
            self._shift(step_us, seen, now, ids, writer, tx)
        elif is_outdated(mark, seen):
            writer.take(Change(clock=seen))

    def _shift(
        self, step_us: int, mark: ClockMark, now: datetime, ids: Iterator[int], writer: Writer, tx: Transaction
    ) -> None:
        snapshot, shift = self._cache.snapshot, Shift(step_us, now)
        names = scheduled(snapshot)
        self._cache.load_lanes(names, tx)
        waiting = chain.from_iterable(snapshot.lanes[name].standing.values() for name in names)
        last = (snapshot.record(name).last_instant for name in names if snapshot.lanes[name].sealed)  # W8: it waits
        begin = (*(run.occurs_at for run in waiting), *(at for at in last if at is not None))
        after = min((now, *map(shift.move, begin))) - US
        fired = tx.fired(names, after=after)
        change, _ = clock_was_set(
            snapshot,
            now,
            ids=ids,
            step_us=step_us,
            mark=mark,
            fired={name: fired.get(name, ()) for name in names},
            node=self._node.id if self._node is not None else "",
            leases_too=self._clock.leases_by_wall,
        )
        began_s, lease_s = self._clock.elapsed_s(), self._clock.lease_s()
        writer.take(change)
        writer.flush()  # with a million waiting runs this takes SQLite some 13 s, in which nobody can renew a lease
        change, _ = leases_held(snapshot, lease_s=lease_s, for_s=self._clock.elapsed_s() - began_s)
        writer.take(change)
        self._agenda.clear()  # every lane has to be looked at again
        self._cache.next_give_up_at = tx.next_give_up()

    # ── runs that expire ─────────────────────────────────────────────────────────────────────────────────────────

    def expire_if_due(self, now: datetime, ids: Iterator[int], writer: Writer, tx: Transaction) -> None:
        """T1: end runs that waited too long, and the next scheduled ones, which may be late at once (misfire="all")."""
        give_up_at = self._cache.next_give_up_at
        if give_up_at is None or give_up_at > now:
            return
        left = MAX_EXPIRED
        while left > 0:
            writer.flush()
            expiring = tx.expiring(now, limit=left)
            if not expiring:
                break
            left -= len(expiring)
            lanes = chain.from_iterable(
                self._cache.lanes_of_end(run.worker, is_standing=run.is_standing) for run in expiring
            )
            self._cache.load_lanes(set(lanes), tx)
            known = [run for run in expiring if run.worker in self._cache.snapshot.workers]
            for run in known:
                writer.take(expire(self._cache.snapshot, now, ids=ids, run=run)[0])
            if not known:
                break
        next_at = tx.next_give_up()
        if next_at is not None and next_at <= now and left > 0:
            next_at = tx.next_give_up(now)  # what is late and still there cannot be ended here: it is unreadable, say
        self._cache.next_give_up_at = next_at

    # ── nodes that are lost ──────────────────────────────────────────────────────────────────────────────────────

    def rescue_lost(
        self,
        now: datetime,
        processes: Processes,
        ids: Iterator[int],
        writer: Writer,
        tx: Transaction,
        *,
        entered: Callable[[str], Collection[AttemptKey] | None],
    ) -> None:
        """C4: give back the runs of nodes that are gone.  *entered*: what such a node had entered, as far as known."""
        if self._node is None:
            return
        cache, snapshot = self._cache, self._cache.snapshot
        me = snapshot.nodes.get(self._node.id, self._node)
        for node in lost_nodes(snapshot, me=me, lease_s=self._clock.lease_s(), processes=processes):
            runs = list(snapshot.running_on(node.id))
            lanes = {lane for run in runs for lane in cache.lanes_of_end(run.worker, is_standing=run.is_standing)}
            if cache.missing(lanes):
                writer.flush()
                cache.load_lanes(lanes, tx)
            is_gone = node.id in processes.dead or node.boot != me.boot  # otherwise only the end of its lease is known
            keys = entered(node.id) if node.id in processes.dead else None
            change, _ = rescue(snapshot, now, ids=ids, node=node, by=me.id, process_is_gone=is_gone, entered=keys)
            writer.take(change)
