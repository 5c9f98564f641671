"""The same for everything that fits a filter: cancel runs; replay, resolve, discard or export dead letters.

Rules of this file
- It acts on the filter, not on a page of it, and only if it fits as many as the caller was shown (`expect`).
- The host is asked for each worker that it would touch; where it refuses one, nothing is done.
- Many go to the store together, for it commits them in groups; what is refused is told, the others go on.
- No more than MAX at once: beyond that one narrows the filter, or comes again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta
from starlette.responses import StreamingResponse

from shiftboss.app.dead_letters import DeadLetterSelection, open_letters
from shiftboss.app.json_format import encoded, jsonable
from shiftboss.app.views import Views
from shiftboss.core.model import DeadLetter, Run, Status
from shiftboss.core.policy import Rate
from shiftboss.core.value import Value
from shiftboss.errors import CallerError, UnknownRun
from shiftboss.ports.faces import HistoryFilter
from shiftboss.web.actions import Note
from shiftboss.web.list_queries import page_of
from shiftboss.web.operation import Call
from shiftboss.web.params import GroupsAsked, Instant, Name, RunId
from shiftboss.web.problems import Problem, harmless, kind_of

MAX_EXPORTED = 2000  # some seconds; a browser keeps them in memory
MAX = 10_000  # some seconds of the store's time
TOGETHER = 500  # callers that wait for the same commits
MAX_SHOWN = 20
PAGE = 500

T = TypeVar("T")


class RunFilter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Unfinished runs; `due_before`: due before that instant."""

    worker: Name | None = None
    status: tuple[Literal["pending", "running"], ...] = ("pending", "running")
    due_before: Instant | None = None


class LetterChoice(GroupsAsked, frozen=True, forbid_unknown_fields=True):
    """Open dead letters; `runs`: those of these runs."""

    runs: Annotated[tuple[RunId, ...], Meta(max_length=1000)] = ()


class CancelMany(msgspec.Struct, frozen=True):
    """`expect`: how many fit; needed unless `dry_run`."""

    filter: RunFilter
    expect: Annotated[int, Meta(ge=0)] | None = None
    dry_run: bool = False
    reason: Note | None = None


class CloseMany(msgspec.Struct, frozen=True):
    """`expect`: how many fit; needed unless `dry_run`."""

    filter: LetterChoice
    expect: Annotated[int, Meta(ge=0)] | None = None
    dry_run: bool = False
    note: Note | None = None


class ReplayMany(msgspec.Struct, frozen=True):
    """`rate`: how fast they become due, "10/s"; all at once without it."""

    filter: LetterChoice
    expect: Annotated[int, Meta(ge=0)] | None = None
    dry_run: bool = False
    rate: Annotated[str, Meta(max_length=50)] | None = None


class Refusal(Value, frozen=True, omit_defaults=False):
    """One that was refused, and why."""

    run: int
    type: str
    detail: str


class Done(Value, frozen=True, omit_defaults=False):
    """How many fit and how many were done.  `runs`: the first of those that fit; `refused`: the first refusals."""

    matched: int
    done: int
    dry_run: bool
    runs: tuple[int, ...]
    refused: tuple[Refusal, ...]


async def cancel_many(call: Call, body: CancelMany) -> Done:
    """Cancel all unfinished runs that fit a filter."""
    wanted = body.filter
    found = await call.ask(lambda views: _runs(views, wanted))
    await _must(call, "cancel", found)
    return await _all(
        found, [run.id for run in found], body, lambda _, run: call.boss.cancel(run.id, reason=body.reason)
    )


async def replay_many(call: Call, body: ReplayMany) -> Done:
    """Replay all open dead letters that fit a filter, the oldest first, at a pace that the store keeps."""
    rate = None if body.rate is None else Rate.parse(body.rate)
    spacing_s = 0.0 if rate is None else rate.per_s / rate.count
    found = await call.ask(lambda views: _letters(views, body.filter))
    await _must(call, "replay", found)
    return await _all(
        found,
        [each.run for each in found],
        body,
        lambda number, each: call.boss.replay(each.run, delay=number * spacing_s),
    )


async def resolve_many(call: Call, body: CloseMany) -> Done:
    """Resolve all open dead letters that fit a filter."""
    found = await call.ask(lambda views: _letters(views, body.filter))
    await _must(call, "resolve", found)
    ids = [each.run for each in found]
    return await _all(found, ids, body, lambda _, each: call.boss.resolve(each.run, note=body.note))


async def discard_many(call: Call, body: CloseMany) -> Done:
    """Discard all open dead letters that fit a filter."""
    found = await call.ask(lambda views: _letters(views, body.filter))
    await _must(call, "discard", found)
    ids = [each.run for each in found]
    return await _all(found, ids, body, lambda _, each: call.boss.discard(each.run, note=body.note))


class ExportMany(msgspec.Struct, frozen=True):
    """Which dead letters."""

    filter: LetterChoice


async def export_many(call: Call, body: ExportMany) -> NdjsonLines:
    """All open dead letters that fit a filter with their runs, as a line of JSON each; secrets masked.

    The oldest first, at most 2,000; `shiftboss-lines` says how many lines there will be.
    """
    found = (await call.ask(lambda views: _letters(views, body.filter)))[:MAX_EXPORTED]
    await _must(call, "export_many", found)
    wanted = body.filter
    asked = [f"{name} {value}" for name, value in (("error", wanted.error), ("since", wanted.since)) if value]
    await call.boss.record(
        "export dead letters", about=wanted.worker, after=", ".join([*asked, f"{len(found):,} by the API"])
    )
    return NdjsonLines(_exported(call, found), headers={"shiftboss-lines": str(len(found))})


class NdjsonLines(StreamingResponse):
    media_type = "application/x-ndjson"


async def _exported(call: Call, found: Sequence[DeadLetter]) -> AsyncIterator[bytes]:
    for letter in found:
        try:
            run: Run | None = (await page_of(call, letter.run)).run
        except UnknownRun:  # retention was faster
            run = None
        yield harmless(encoded({**jsonable(letter), "run": run})) + b"\n"


# ── choosing ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _runs(views: Views, wanted: RunFilter) -> list[Run]:
    asked = HistoryFilter(worker=wanted.worker, status=frozenset(map(Status, wanted.status)), limit=PAGE)
    found: list[Run] = []
    while asked.status and (page := views.history(asked)):
        found += [run for run in page if wanted.due_before is None or run.due_at < wanted.due_before]
        if len(page) < PAGE or len(found) > MAX:
            break
        asked = asked._replace(before=page[-1].id)
    return found[::-1]


def _letters(views: Views, wanted: LetterChoice) -> list[DeadLetter]:
    """The oldest first."""
    found: list[DeadLetter] = []
    ids = frozenset(wanted.runs)
    for letter in open_letters(
        views, DeadLetterSelection(worker=wanted.worker, error=wanted.error, since=wanted.since)
    ):
        if not ids or letter.run in ids:
            found.append(letter)
        if len(found) > MAX:
            break
    return found[::-1]


async def _must(call: Call, action: str, found: Sequence[Run] | Sequence[DeadLetter]) -> None:
    """All of them, or none.  Raises Problem."""
    if call.access is not None and call.access.may is not None:
        for worker in sorted({each.worker for each in found}):
            await call.must(action, worker)


# ── doing ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _all(
    found: Sequence[T],
    ids: Sequence[int],
    body: CancelMany | ReplayMany | CloseMany,
    act: Callable[[int, T], Awaitable[object]],
) -> Done:
    """Do it to each, if they are as many as expected.  Raises Problem."""
    shown = tuple(ids[:MAX_SHOWN])
    if len(found) > MAX:
        raise Problem(409, "too-many", f"More than {MAX:,} fit this filter; narrow it.", at_least=MAX)
    if body.dry_run:
        return Done(len(found), 0, dry_run=True, runs=shown, refused=())
    if body.expect is None:
        raise Problem(
            400, "no-expect", "Say how many you expect to fit (`expect`); `dry_run` tells.", matched=len(found)
        )
    if body.expect != len(found):
        raise Problem(
            409, "count-changed", f"{len(found)} fit this filter and not {body.expect}; look again.", matched=len(found)
        )
    refused: list[Refusal] = []
    done = 0
    for start in range(0, len(found), TOGETHER):
        batch = found[start : start + TOGETHER]
        results = await asyncio.gather(
            *(act(start + number, each) for number, each in enumerate(batch)), return_exceptions=True
        )
        for run, result in zip(ids[start : start + TOGETHER], results, strict=True):
            if isinstance(result, CallerError):
                refused.append(Refusal(run, kind_of(type(result)), str(result)))
            elif isinstance(result, BaseException):
                raise result
            else:
                done += 1
    return Done(len(found), done, dry_run=False, runs=shown, refused=tuple(refused[:MAX_SHOWN]))
