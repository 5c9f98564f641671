"""What arrives at the engine: a rule to apply, what the rule needs to see, and who waits for the answer.

Rules of this file
- A mutation is applied once, in the order of arrival.  Its answer is given after the commit, and fails if that fails.
- Answers for one event loop are delivered together, in one hop.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures import InvalidStateError as FutureInvalidState
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple, Protocol

import msgspec

from shiftboss.clock import Clock
from shiftboss.core import control
from shiftboss.core.bounds import RAW_CHARS
from shiftboss.core.control import Request
from shiftboss.core.events import ArrivalRefused, Event
from shiftboss.core.fan_out import Trigger
from shiftboss.core.fan_out import trigger_many as apply_triggers
from shiftboss.core.fleet import live_nodes
from shiftboss.core.model import LogLine, Report
from shiftboss.core.note import Note, keep_lines
from shiftboss.core.note import note as apply_note
from shiftboss.core.redact import redaction
from shiftboss.core.set_aside import set_aside as set_rows_aside
from shiftboss.core.settle import settle
from shiftboss.core.snapshot import Change, Snapshot
from shiftboss.core.unreadable import Unreadable
from shiftboss.errors import CallerError, ShiftbossError, StoreRejected

MAX_REASON_CHARS = 500  # of a refusal, in an event


class BoundRule(Protocol):
    """A rule whose arguments are bound already."""

    def __call__(self, snapshot: Snapshot, now: datetime, *, ids: Iterator[int]) -> tuple[Change, Any]: ...


class Needs(NamedTuple):
    """What must be read before the rule is applied."""

    runs: tuple[int, ...] = ()  # by id; their lanes are read as well
    keys: tuple[tuple[str, str], ...] = ()
    lanes: tuple[str, ...] = ()
    letters: tuple[int, ...] = ()
    unreadable: tuple[tuple[str, str], ...] = ()  # by table and id


NO_NEEDS = Needs()
NO_WORKER = ""  # of a mutation that concerns only its own node, or only reads


class Answer(Protocol):
    """Where the outcome of a mutation goes."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None: ...
    def resolve(self, value: Any) -> None: ...
    def reject(self, error: BaseException) -> None: ...


class Mutation(msgspec.Struct, frozen=True, eq=False):
    """One rule to apply; it is equal only to itself.

    A mutation without an answer is kept and tried again if the store does not take it (H5).
    """

    rule: Callable[..., tuple[Change, Any]]
    needs: Needs = NO_NEEDS
    answer: Answer | None = None
    report: Report | None = None
    worker: str | None = None  # it reads and writes nothing beyond the component of that worker …
    run: int | None = None  # … or of that running run's worker; if neither is given it may concern any worker
    adds_work: bool = False  # refused while the store is tight (W3)
    weight: int = 1  # how many it counts for in the batch of a cycle
    refused: Callable[[datetime, CallerError], Event] | None = None  # the event in place of an answer, as nobody waits


class LoopAnswer:
    """An asyncio future, which is touched on its own loop only."""

    __slots__ = ("future", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.future: asyncio.Future[Any] = loop.create_future()

    def resolve(self, value: Any) -> None:
        if not self.future.done():
            self.future.set_result(value)

    def reject(self, error: BaseException) -> None:
        if not self.future.done():
            self.future.set_exception(error)


class ThreadAnswer:
    """A concurrent future, for callers without a loop."""

    __slots__ = ("future",)
    loop = None

    def __init__(self) -> None:
        self.future: Future[Any] = Future()

    def resolve(self, value: Any) -> None:
        with contextlib.suppress(FutureInvalidState):
            self.future.set_result(value)

    def reject(self, error: BaseException) -> None:
        with contextlib.suppress(FutureInvalidState):
            self.future.set_exception(error)


Reply = tuple[Answer, Any, BaseException | None]


def deliver(replies: Iterable[Reply]) -> None:
    """Hand out replies, in one hop per loop, however many wait there.  The callers of a closed loop are gone."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Reply]] = {}
    for reply in replies:
        loop = reply[0].loop
        if loop is None:
            _settle([reply])
        else:
            by_loop.setdefault(loop, []).append(reply)
    for loop, batch in by_loop.items():
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_settle, batch)


def _settle(replies: Iterable[Reply]) -> None:
    for answer, value, error in replies:
        if error is None:
            answer.resolve(value)
        else:
            answer.reject(error)


# ── every kind of mutation ───────────────────────────────────────────────────────────────────────────────────────────


def report(content: Report) -> Mutation:
    return Mutation(partial(settle, report=content), report=content, run=content.run)


def note(content: Note) -> Mutation:
    return Mutation(partial(_note, content=content), run=content.run)


def _note(snapshot: Snapshot, now: datetime, *, ids: Iterator[int], content: Note) -> tuple[Change, None]:
    return apply_note(snapshot, now, note=content)


def log_lines(node: str, lines: tuple[LogLine, ...]) -> Mutation:
    return Mutation(partial(_keep_lines, node=node, lines=lines), run=lines[0].run if lines else None)


def _keep_lines(
    snapshot: Snapshot, now: datetime, *, ids: Iterator[int], node: str, lines: tuple[LogLine, ...]
) -> tuple[Change, None]:
    return keep_lines(snapshot, now, node=node, lines=lines)


def trigger(request: Request, answer: Answer) -> Mutation:
    needs = NO_NEEDS if request.key is None else Needs(keys=((request.worker, request.key),))
    return Mutation(partial(control.trigger, request=request), needs, answer, worker=request.worker, adds_work=True)


def trigger_many(triggers: Sequence[Trigger], answer: Answer | None = None) -> Mutation:
    """O6: all of them or none.  Those of several workers need the whole store, as their components may be many."""
    requests = [each for each in triggers if isinstance(each, Request)]
    keys = tuple((request.worker, request.key) for request in requests if request.key is not None)
    workers = {request.worker for request in requests}
    return Mutation(
        partial(apply_triggers, triggers=triggers),
        Needs(keys=keys) if keys else NO_NEEDS,
        answer,
        worker=workers.pop() if len(workers) == 1 else None,
        adds_work=True,
        weight=max(1, len(triggers)),
    )


def pick_up(request: Request, refusal: StoreRejected | None = None) -> Mutation:
    """A trigger that a caller's own transaction has left; with *refusal* one that no store can keep."""

    def refused(now: datetime, error: ShiftbossError) -> Event:
        reason = redaction(()).text(str(error)[:RAW_CHARS])[:MAX_REASON_CHARS]
        return ArrivalRefused(at=now, worker=request.worker, key=request.key or "", by=request.by, reason=reason)

    if refusal is not None:
        return Mutation(lambda snapshot, now, *, ids: (Change(events=(refused(now, refusal),)), None))
    needs = NO_NEEDS if request.key is None else Needs(keys=((request.worker, request.key),))
    return Mutation(partial(control.trigger, request=request), needs, refused=refused)


def cancel(run_id: int, *, by: str, reason: str, answer: Answer) -> Mutation:
    return Mutation(partial(control.cancel, run_id=run_id, by=by, reason=reason), Needs(runs=(run_id,)), answer)


def disable(name: str, *, by: str, reason: str, answer: Answer) -> Mutation:
    return Mutation(partial(control.disable, name=name, by=by, reason=reason), NO_NEEDS, answer, worker=name)


def enable(name: str, *, by: str, answer: Answer) -> Mutation:
    return Mutation(partial(control.enable, name=name, by=by), Needs(lanes=(name,)), answer, worker=name)


def pause(name: str, *, for_s: float | None, until: datetime | None, by: str, reason: str, answer: Answer) -> Mutation:
    rule = partial(control.pause, name=name, by=by, reason=reason, for_s=for_s, until=until)
    return Mutation(rule, NO_NEEDS, answer, worker=name)


def resume(name: str, *, by: str, answer: Answer) -> Mutation:
    return Mutation(partial(control.resume, name=name, by=by), NO_NEEDS, answer, worker=name)


def replay(run_id: int, *, by: str, delay_s: float, answer: Answer) -> Mutation:
    needs = Needs(runs=(run_id,), letters=(run_id,))
    return Mutation(partial(control.replay, run_id=run_id, by=by, delay_s=delay_s), needs, answer, adds_work=True)


def resolve(run_id: int, *, by: str, note: str, answer: Answer) -> Mutation:
    rule = partial(_without_ids, control.resolve, run_id=run_id, by=by, note=note)
    return Mutation(rule, Needs(runs=(run_id,), letters=(run_id,)), answer)


def discard(run_id: int, *, by: str, note: str, answer: Answer) -> Mutation:
    rule = partial(_without_ids, control.discard, run_id=run_id, by=by, note=note)
    return Mutation(rule, Needs(runs=(run_id,), letters=(run_id,)), answer)


def forget(name: str, *, clock: Clock, by: str, answer: Answer) -> Mutation:
    return Mutation(partial(_forget, name=name, clock=clock, by=by), Needs(lanes=(name,)), answer)


def _forget(
    snapshot: Snapshot, now: datetime, *, ids: Iterator[int], name: str, clock: Clock, by: str
) -> tuple[Change, None]:
    live = live_nodes(snapshot, boot=clock.boot, lease_s=clock.lease_s())
    return control.forget(snapshot, now, ids=ids, name=name, live=live, by=by)


def set_aside(places: tuple[tuple[str, str], ...], *, clock: Clock, by: str, note: str, answer: Answer) -> Mutation:
    rule = partial(_set_aside, places=places, clock=clock, by=by, note=note)
    return Mutation(rule, Needs(unreadable=places), answer)


def _set_aside(
    snapshot: Snapshot,
    now: datetime,
    *,
    ids: Iterator[int],
    places: tuple[tuple[str, str], ...],
    clock: Clock,
    by: str,
    note: str,
) -> tuple[Change, tuple[Unreadable, ...]]:
    boot, lease_s = clock.boot, clock.lease_s()
    return set_rows_aside(snapshot, now, ids=ids, places=places, by=by, note=note, boot=boot, lease_s=lease_s)


def drain(wanted: str, *, by: str, answer: Answer) -> Mutation:
    return Mutation(partial(_without_ids, control.drain, wanted=wanted, by=by), NO_NEEDS, answer)


def prefer(wanted: str, *, worker: str | None, clock: Clock, by: str, answer: Answer) -> Mutation:
    return Mutation(partial(_prefer, wanted=wanted, worker=worker, clock=clock, by=by), NO_NEEDS, answer)


def _prefer(
    snapshot: Snapshot, now: datetime, *, ids: Iterator[int], wanted: str, worker: str | None, clock: Clock, by: str
) -> tuple[Change, tuple[str, ...]]:
    live = live_nodes(snapshot, boot=clock.boot, lease_s=clock.lease_s())
    return control.prefer(snapshot, now, wanted=wanted, worker=worker, live=live, by=by)


def record(action: str, *, by: str, worker: str, before: str, after: str, answer: Answer | None) -> Mutation:
    rule = partial(_without_ids, control.record, by=by, action=action, worker=worker, before=before, after=after)
    return Mutation(rule, answer=answer, worker=NO_WORKER)


def _without_ids(rule: Any, snapshot: Snapshot, now: datetime, *, ids: Iterator[int], **arguments: Any) -> Any:
    return rule(snapshot, now, **arguments)
