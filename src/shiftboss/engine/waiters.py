"""Who waits for the end of which run.

Rules of this file
- Only the engine's thread uses it.  A wait is registered by the answer to a mutation, so no end can be missed.
- The run that waiters get is read from the store after the commit that ended it (A2).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from functools import partial
from typing import Any

from shiftboss.core.control import found
from shiftboss.core.events import Event, RunEnded, RunSkipped
from shiftboss.core.model import Run
from shiftboss.core.snapshot import NOTHING, Change, Snapshot
from shiftboss.engine.mutation import NO_WORKER, Answer, Mutation, Needs, Reply, deliver
from shiftboss.ports.store import Session


class Waiters:
    def __init__(self) -> None:
        self._waiting: dict[int, list[Answer]] = {}
        self._ended_before: set[int] = set()  # runs that had ended when a wait for them was registered

    def mutation(self, run_id: int, answer: Answer) -> Mutation:
        """Answers after this turn if the run has ended, else when it ends.  Raises UnknownRun."""
        registration = _Registration(self, run_id, answer)
        return Mutation(partial(_look, run_id=run_id), Needs(runs=(run_id,)), registration, worker=NO_WORKER)

    @property
    def runs(self) -> Collection[int]:
        """The runs for whose end somebody waits."""
        return self._waiting.keys()

    def add(self, run_id: int, answer: Answer, *, has_ended: bool = False) -> None:
        self._waiting.setdefault(run_id, []).append(answer)
        if has_ended:
            self._ended_before.add(run_id)

    def ended(self, events: Iterable[Event], session: Session, *, claims_read: bool) -> list[Reply]:
        """Answers for those whose run has ended; with *claims_read* others may have ended any, so all are looked up."""
        if not self._waiting:
            return []
        ids: Collection[int] = self._waiting.keys()
        if not claims_read:
            ended = (event.run for event in events if isinstance(event, RunEnded | RunSkipped))
            ids = self._ended_before.union(run_id for run_id in ended if run_id in self._waiting)
        self._ended_before.clear()
        if not ids:
            return []
        with session.read() as reader:
            runs = [run for run in reader.runs(list(ids)) if run.status.is_final]
        return [(answer, run, None) for run in runs for answer in self._waiting.pop(run.id, ())]

    def all(self) -> list[Answer]:
        answers = [answer for waiting in self._waiting.values() for answer in waiting]
        self._waiting.clear()
        return answers


class _Registration:
    """An answer within the engine's thread: registers for the end of a run, which may lie behind it.

    A run that ended in this very turn is in the snapshot without its payload, so it is read from the store too.
    """

    loop = None

    def __init__(self, waiters: Waiters, run_id: int, answer: Answer) -> None:
        self._waiters = waiters
        self._run_id = run_id
        self._answer = answer

    def resolve(self, value: Any) -> None:
        has_ended = isinstance(value, Run) and value.status.is_final
        self._waiters.add(self._run_id, self._answer, has_ended=has_ended)

    def reject(self, error: BaseException) -> None:
        deliver([(self._answer, None, error)])


def _look(snapshot: Snapshot, now: datetime, *, ids: Iterator[int], run_id: int) -> tuple[Change, Run]:
    return NOTHING, found(snapshot, run_id)
