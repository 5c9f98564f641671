"""Verbs on everything that matches a filter: cancel runs; replay, resolve, discard or export dead letters.

Rules of this file
- A verb acts on the whole filter, not on a page of it, and only if as many match as the caller was shown (`expect`).
- The host is asked about each worker concerned; if it refuses one, nothing is done.
- Many go to the store together, because it commits them in groups.  Refusals are reported, and the others go on.
- At most MAX at once: beyond that the caller narrows the filter, or calls again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta
from starlette.responses import StreamingResponse

from shiftboss.app.dead_letters import DeadLetterSelection, open_letters
from shiftboss.app.json_format import encoded, jsonable
from shiftboss.app.verb import DEAD_LETTER, RUN, Target, Verb
from shiftboss.app.verbs import verbs
from shiftboss.app.views import Views
from shiftboss.core.model import DeadLetter, Run, Status
from shiftboss.core.policy import Rate
from shiftboss.core.value import Value
from shiftboss.errors import CallerError, UnknownRun
from shiftboss.ports.faces import HistoryFilter
from shiftboss.web.list_queries import page_of
from shiftboss.web.operation import Call, Operation
from shiftboss.web.params import GroupsAsked, Instant, Name, RunId
from shiftboss.web.problems import Problem, harmless, kind_of
from shiftboss.web.verbs import FIELDS, Field, struct_of

MAX_EXPORTED = 2000  # takes some seconds; a browser keeps them in memory
MAX = 10_000  # some seconds of the store's time
TOGETHER = 500  # requests that wait for the same commits
MAX_SHOWN = 20
PAGE = 500


class RunFilter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Unfinished runs; `due_before`: due before that time."""

    worker: Name | None = None
    status: tuple[Literal["pending", "running"], ...] = ("pending", "running")
    due_before: Instant | None = None


class LetterChoice(GroupsAsked, frozen=True, forbid_unknown_fields=True):
    """Open dead letters; `runs`: only those of these runs."""

    runs: Annotated[tuple[RunId, ...], Meta(max_length=1000)] = ()


class Refusal(Value, frozen=True, omit_defaults=False):
    """A run or dead letter that was refused, and why."""

    run: int
    type: str
    detail: str


class Done(Value, frozen=True, omit_defaults=False):
    """How many matched and how many were done.  `runs`: the first that matched; `refused`: the first refusals."""

    matched: int
    done: int
    dry_run: bool
    runs: tuple[int, ...]
    refused: tuple[Refusal, ...]


# ── the verbs ────────────────────────────────────────────────────────────────────────────────────────────────────

EXPECT = "`expect`: how many match; required unless `dry_run`."
OWN = {  # parameters that mean something else for many: not a delay, but a pace
    **FIELDS,
    "delay": Field(
        Annotated[str, Meta(max_length=50)] | None,
        None,
        '`rate`: how fast they become due, "10/s"; all at once without it.',
    ),
}
NAMES = {"delay": "rate"}
SHARED: dict[tuple[str, ...], str] = {("note",): "CloseMany"}


def operations_of(target: Target) -> Sequence[Operation]:
    """The bulk operations on targets of that kind."""
    return [_operation(verb) for verb in verbs() if verb.target == target and verb.words.api_many]


def _operation(verb: Verb[..., Any, Any]) -> Operation:
    kind, choose = CHOOSING[verb.target]

    async def act(call: Call, body: Any) -> Done:
        pace: str | None = getattr(body, "rate", None)
        rate = None if pace is None else Rate.parse(pace)
        spacing_s = 0.0 if rate is None else rate.per_s / rate.count
        given = {name: getattr(body, name) for name in verb.parameters if name != "delay"}

        def one(number: int, run: int) -> Awaitable[object]:
            delay = {"delay": number * spacing_s} if "delay" in verb.parameters else {}
            act_on: Callable[..., Awaitable[object]] = getattr(call.boss, verb.name)
            return act_on(run, **given, **delay)

        fitting = await call.ask(lambda views: choose(views, body.filter))
        await _must(call, verb.name, fitting)
        return await _all([_id(each) for each in fitting], body, one)

    act.__name__, act.__doc__ = f"{verb.name}_many", verb.words.api_many
    act.__annotations__ = {"body": _body_of(verb, kind), "return": Done}
    path = verb.target.path.partition("/{")[0]
    return Operation("POST", f"{path}/{verb.name}", verb.role, act)


def _body_of(verb: Verb[..., Any, Any], kind: type[msgspec.Struct]) -> type[msgspec.Struct]:
    name = SHARED.get(verb.parameters, f"{verb.name.capitalize()}Many")
    fields = {
        "filter": Field(kind, msgspec.field(), ""),
        "expect": Field(Annotated[int, Meta(ge=0)] | None, None, ""),
        "dry_run": Field(bool, False, ""),
        **{NAMES.get(each, each): OWN[each] for each in verb.parameters},
    }
    return struct_of(name, OWN["delay"].says if "delay" in verb.parameters else EXPECT, fields)


# ── export ───────────────────────────────────────────────────────────────────────────────────────────────────────


class ExportMany(msgspec.Struct, frozen=True):
    """Which dead letters."""

    filter: LetterChoice


async def export_many(call: Call, body: ExportMany) -> NdjsonLines:
    """All open dead letters that match a filter with their runs, as a line of JSON each; secrets masked.

    The oldest first, at most 2,000; `shiftboss-lines` says how many lines there will be.
    """
    letters = (await call.ask(lambda views: _letters(views, body.filter)))[:MAX_EXPORTED]
    await _must(call, "export_many", letters)
    wanted = body.filter
    asked = [f"{name} {value}" for name, value in (("error", wanted.error), ("since", wanted.since)) if value]
    await call.boss.record(
        "export dead letters", about=wanted.worker, after=", ".join([*asked, f"{len(letters):,} by the API"])
    )
    return NdjsonLines(_exported(call, letters), headers={"shiftboss-lines": str(len(letters))})


class NdjsonLines(StreamingResponse):
    media_type = "application/x-ndjson"


async def _exported(call: Call, letters: Sequence[DeadLetter]) -> AsyncIterator[bytes]:
    for letter in letters:
        try:
            run: Run | None = (await page_of(call, letter.run)).run
        except UnknownRun:  # the history was deleted meanwhile
            run = None
        yield harmless(encoded({**jsonable(letter), "run": run})) + b"\n"


# ── choosing ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _runs(views: Views, wanted: RunFilter) -> list[Run]:
    asked = HistoryFilter(worker=wanted.worker, status=frozenset(map(Status, wanted.status)), limit=PAGE)
    runs: list[Run] = []
    while asked.status and (page := views.history(asked)):
        runs += [run for run in page if wanted.due_before is None or run.due_at < wanted.due_before]
        if len(page) < PAGE or len(runs) > MAX:
            break
        asked = asked._replace(before=page[-1].id)
    return runs[::-1]


def _letters(views: Views, wanted: LetterChoice) -> list[DeadLetter]:
    """The oldest first."""
    letters: list[DeadLetter] = []
    ids = frozenset(wanted.runs)
    for letter in open_letters(
        views, DeadLetterSelection(worker=wanted.worker, error=wanted.error, since=wanted.since)
    ):
        if not ids or letter.run in ids:
            letters.append(letter)
        if len(letters) > MAX:
            break
    return letters[::-1]


CHOOSING: dict[Target, tuple[type[msgspec.Struct], Callable[[Views, Any], Sequence[Run] | Sequence[DeadLetter]]]] = {
    RUN: (RunFilter, _runs),
    DEAD_LETTER: (LetterChoice, _letters),
}


def _id(each: Run | DeadLetter) -> int:
    return each.id if isinstance(each, Run) else each.run


async def _must(call: Call, action: str, entries: Sequence[Run] | Sequence[DeadLetter]) -> None:
    """The host permits the action on all of their workers, or nothing is done.  Raises Problem."""
    if call.access is not None and call.access.may is not None:
        for worker in sorted({each.worker for each in entries}):
            await call.must(action, worker)


# ── doing ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _all(ids: Sequence[int], body: Any, act: Callable[[int, int], Awaitable[object]]) -> Done:
    """Do it to each, if there are as many as expected.  Raises Problem."""
    shown = tuple(ids[:MAX_SHOWN])
    if len(ids) > MAX:
        raise Problem(409, "too-many", f"More than {MAX:,} match this filter; narrow it.", at_least=MAX)
    if body.dry_run:
        return Done(len(ids), 0, dry_run=True, runs=shown, refused=())
    if body.expect is None:
        raise Problem(
            400, "no-expect", "Say how many you expect to match (`expect`); `dry_run` counts them.", matched=len(ids)
        )
    if body.expect != len(ids):
        raise Problem(
            409, "count-changed", f"{len(ids)} match this filter, not {body.expect}; check again.", matched=len(ids)
        )
    refused: list[Refusal] = []
    done = 0
    for start in range(0, len(ids), TOGETHER):
        batch = ids[start : start + TOGETHER]
        results = await asyncio.gather(
            *(act(start + number, run) for number, run in enumerate(batch)), return_exceptions=True
        )
        for run, result in zip(batch, results, strict=True):
            if isinstance(result, CallerError):
                refused.append(Refusal(run, kind_of(type(result)), str(result)))
            elif isinstance(result, BaseException):
                raise result
            else:
                done += 1
    return Done(len(ids), done, dry_run=False, runs=shown, refused=tuple(refused[:MAX_SHOWN]))
