"""Lists of runs, dead letters, events and audit rows, with a cursor; and the pages of single ones.

Rules of this file
- A list carries no payloads, results or tracebacks; the page of a run does, with secrets masked.
- A page is never larger than its limit, and is read without counting the rows behind it.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from shiftboss.app.acts import Act
from shiftboss.app.dead_letters import DeadGroup, DeadLetterSelection, fits, grouped, open_letters
from shiftboss.app.pages import PageOfRun, listed, listed_event, read_page
from shiftboss.app.views import Views
from shiftboss.core.events import AnyEvent
from shiftboss.core.model import DeadLetter, LogLine, Run, Status
from shiftboss.core.value import Value
from shiftboss.core.verify import AuditVerdict
from shiftboss.errors import NotAllowed
from shiftboss.ports.faces import AuditFilter, HistoryFilter, LetterFilter
from shiftboss.web.operation import Call
from shiftboss.web.params import GroupsAsked, Instant, LettersState, Limit, Name, RunAsked, RunId, Text

EVENTS_AT_ONCE = 500
MAX_GROUPS = 500  # of dead letters; each worker may have several
MAX_EVENT_PAGES = 10


# ── runs ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


class RunsAsked(msgspec.Struct, frozen=True):
    """`since`: unfinished runs, and those that ended since; `error`: the stored type; `cursor`: of the last page."""

    worker: Name | None = None
    status: tuple[Status, ...] = ()
    since: Instant | None = None
    key: Text | None = None
    error: Text | None = None
    cursor: RunId | None = None
    limit: Limit = 50


class Runs(Value, frozen=True, omit_defaults=False):
    """A page, newest first.  `next`: the cursor of the next one; None at the end."""

    runs: tuple[Run, ...]
    next: int | None


async def runs(call: Call, params: RunsAsked) -> Runs:
    """Pending, running and finished runs, newest first."""
    wanted = HistoryFilter(
        worker=params.worker,
        status=frozenset(params.status),
        since=params.since,
        key=params.key,
        error_type=params.error,
        before=params.cursor,
        limit=params.limit,
    )
    page_of_runs = await call.ask(lambda views: views.history(wanted))
    return Runs(tuple(map(listed, page_of_runs)), page_of_runs[-1].id if len(page_of_runs) == params.limit else None)


async def run(call: Call, params: RunAsked) -> PageOfRun:
    """Everything about a run: attempts with errors, payload (secrets masked), result, chain, holds, last log lines."""
    return await page_of(call, params.run)


async def page_of(call: Call, run_id: int) -> PageOfRun:
    unmasked = await call.ask(lambda views: read_page(views, run_id))
    return await asyncio.to_thread(unmasked.shown)


class LogAsked(msgspec.Struct, frozen=True):
    """After the line `number` of the attempt under `fence`."""

    run: RunId
    fence: Annotated[int, Meta(ge=0, lt=1 << 53)] = 0
    number: Annotated[int, Meta(ge=0, lt=1 << 53)] = 0


class Log(Value, frozen=True, omit_defaults=False):
    """Lines in order, at most 1,000; ask again after the last one."""

    lines: tuple[LogLine, ...]


async def log(call: Call, params: LogAsked) -> Log:
    """The log lines of a run's attempts; the last 1,000 of each attempt are kept."""

    def question(views: Views) -> Log:
        lines = views.new_lines(params.run, after=(params.fence, params.number))
        if not lines:
            views.run(params.run)
        return Log(tuple(lines))

    return await call.ask(question)


# ── dead letters ─────────────────────────────────────────────────────────────────────────────────────────────────────


class LettersAsked(msgspec.Struct, frozen=True):
    """`error`: the stored type, its class name alone, or the cause."""

    worker: Name | None = None
    error: Text | None = None
    since: Instant | None = None
    state: LettersState = "open"
    cursor: RunId | None = None
    limit: Limit = 50


class Letters(Value, frozen=True, omit_defaults=False):
    """A page, newest first.  `next`: the cursor of the next one; None at the end."""

    letters: tuple[DeadLetter, ...]
    next: int | None


async def letters(call: Call, params: LettersAsked) -> Letters:
    """Dead letters, newest first."""
    wanted = LetterFilter(
        worker=params.worker,
        since=params.since,
        state=None if params.state == "all" else params.state,
        before=params.cursor,
        limit=params.limit if params.error is None else 1000,
    )

    def question(views: Views) -> Letters:
        page = views.letters(wanted)
        fitting = [letter for letter in page if fits(letter, params.error)][: params.limit]
        if len(fitting) == params.limit:
            return Letters(tuple(fitting), fitting[-1].run)
        return Letters(tuple(fitting), page[-1].run if len(page) == wanted.limit else None)

    return await call.ask(question)


class Groups(Value, frozen=True, omit_defaults=False):
    """The 500 largest, the largest first; `total` counts the letters of all, `left_out` the groups that are missing."""

    total: int
    groups: tuple[DeadGroup, ...]
    left_out: int = 0


async def letter_groups(call: Call, params: GroupsAsked) -> Groups:
    """Open dead letters by worker, cause and error type."""
    wanted = DeadLetterSelection(worker=params.worker, error=params.error, since=params.since)
    groups = await call.ask(lambda views: grouped(open_letters(views, wanted)))
    total = sum(group.count for group in groups)
    return Groups(total, tuple(groups[:MAX_GROUPS]), max(0, len(groups) - MAX_GROUPS))


async def letter(call: Call, params: RunAsked) -> PageOfRun:
    """One dead letter: its run with every attempt, and what was done about it."""
    page = await page_of(call, params.run)
    if page.letter is None:
        raise NotAllowed(f"run {page.run.id} of {page.run.worker!r} is not a dead letter (it is {page.run.status})")
    return page


# ── what happened ────────────────────────────────────────────────────────────────────────────────────────────────────


class ActivityAsked(msgspec.Struct, frozen=True):
    """`by`: what people did, or what the system did; `cursor`: an event's number; the answer has those before it."""

    worker: Name | None = None
    by: Literal["people", "system"] | None = None
    cursor: RunId | None = None
    limit: Limit = 50


class AuditAsked(msgspec.Struct, frozen=True):
    """`by`: a complete name; `cursor`: an act's number; the answer has those before it."""

    worker: Name | None = None
    by: Text | None = None
    action: Text | None = None
    since: Instant | None = None
    cursor: RunId | None = None
    limit: Limit = 50


class Acts(Value, frozen=True, omit_defaults=False):
    """Newest first.  `next`: the cursor of the next page; None at the end."""

    acts: tuple[Act, ...]
    next: int | None


async def audit(call: Call, params: AuditAsked) -> Acts:
    """What people did, newest first; kept for a year, while other events are deleted with the history."""
    wanted = AuditFilter(
        worker=params.worker,
        by=params.by,
        action=params.action,
        since=params.since,
        before=params.cursor,
        limit=params.limit,
    )
    acts = await call.ask(lambda views: views.audit(wanted))
    return Acts(tuple(acts), acts[-1].id if len(acts) == params.limit else None)


async def verify_audit(call: Call) -> AuditVerdict:
    """Does the audit match its seals, and how much of it can this server prove?"""
    return await call.boss.verify_audit()


class StoredEvent(Value, frozen=True, omit_defaults=False):
    """An event and its number, which is also its id in a stream."""

    number: int
    event: AnyEvent


class Activity(Value, frozen=True, omit_defaults=False):
    """Newest first.  `next`: the cursor of the next page; None at the end."""

    events: tuple[StoredEvent, ...]
    next: int | None


async def activity(call: Call, params: ActivityAsked) -> Activity:
    """What happened and who did what, newest first."""
    return await call.ask(lambda views: _activity(views, params))


def _activity(views: Views, params: ActivityAsked) -> Activity:
    before = min(params.cursor or (1 << 53), views.last_event() + 1)
    events: list[StoredEvent] = []
    for _ in range(MAX_EVENT_PAGES):
        first = max(0, before - 1 - EVENTS_AT_ONCE)
        page = views.events(after=first, limit=EVENTS_AT_ONCE)
        newest_first = [(number, event) for number, event in reversed(page) if number < before]
        for number, event in newest_first:
            if params.worker in (None, event.worker) and params.by in (None, "people" if event.AUDITED else "system"):
                events.append(StoredEvent(number, listed_event(event)))  # type: ignore[arg-type]  # every stored event is one of them
            if len(events) == params.limit:
                return Activity(tuple(events), number)
        before = first + 1
        if first == 0:
            return Activity(tuple(events), None)
    return Activity(tuple(events), before)
