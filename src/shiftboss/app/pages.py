"""All about one worker or one run: answers that combine several questions.

Rules of this file
- The command prints the same values that the HTTP API sends.
- A payload is stored unmasked, because it must run; its secrets are masked when it is shown.  That happens after the
  question to the store, for which others wait (`masked.py`): only the reader waits for it.
- Lists carry no traceback: a run in a list has its error's type and message; the run's own page has all of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from msgspec.json import encode

from shiftboss.app.masked import masked_payloads
from shiftboss.app.status import WorkerStatus
from shiftboss.app.views import Views
from shiftboss.core.events import Event
from shiftboss.core.explain import Explanation
from shiftboss.core.model import Attempt, DeadLetter, LogLine, Run, Status
from shiftboss.core.opaque import OpaqueBytes
from shiftboss.core.prevail import OtherDeclaration, declared_otherwise
from shiftboss.core.redact import Redaction
from shiftboss.core.schedule import Every, Schedule
from shiftboss.core.schedules.zone import clock_changes
from shiftboss.core.value import Value, replace
from shiftboss.core.worker import Definition
from shiftboss.errors import UnknownRun
from shiftboss.ports.faces import HistoryFilter, LetterFilter

MAX_CHAIN = 20  # runs that led to this one; a chain may have no beginning
LOG_LINES = 8  # on the page of a run; its log has the others
MAX_SHOWN_BYTES = 1 << 20  # of a payload: the most that a worker takes by default
MAX_RELATED = 500  # names in each list of related workers
DURATIONS = 50  # of a worker's last attempts


# ── one worker ───────────────────────────────────────────────────────────────────────────────────────────────────


class Lasted(Value, frozen=True, omit_defaults=False):
    """One attempt in the chart of durations."""

    ok: bool
    duration_s: float


class ClockChange(Value, frozen=True, omit_defaults=False):
    """A time at which the clocks of the worker's zone change."""

    at: datetime
    change_s: float


class PageOfWorker(Value, frozen=True, omit_defaults=False):
    """A worker and what belongs to it.  `nodes`: the live ones that declare it; `why` is about its next run.

    `related_left_out`: how many names the three lists of related workers lack, because they have 500 at most.
    """

    worker: WorkerStatus
    definition: Definition
    declared_at: datetime
    why: Explanation | None
    blocked_with: tuple[str, ...]
    dependents: tuple[str, ...]
    triggers: tuple[str, ...]
    nodes: tuple[str, ...]
    declared_otherwise: tuple[OtherDeclaration, ...]  # live nodes whose declaration differs from the one in force
    next: tuple[datetime, ...]
    clock_changes: tuple[ClockChange, ...]
    durations: tuple[Lasted, ...]  # the newest last
    runs: tuple[Run, ...]
    at: datetime
    related_left_out: int = 0


def page_of_worker(views: Views, name: str, *, instants: int = 3, runs: int = 10) -> PageOfWorker:
    """All about worker *name*, with *instants* scheduled times and *runs* runs.  Raises UnknownWorker."""
    snapshot = views.snapshot()
    state = snapshot.worker(name)
    live = views.live_nodes()
    coming = tuple(views.next_instants(name, instants))
    why = views.why(name)
    relations = snapshot.relations
    related = relations.excluding(name), relations.dependents.get(name, ()), relations.after.get(name, ())
    blocked_with, dependents, triggers = (names[:MAX_RELATED] for names in related)
    return PageOfWorker(
        worker=views.worker(name),
        definition=state.definition,
        declared_at=state.declared_at,
        why=None if why is None else replace(why, run=listed(why.run)),
        blocked_with=blocked_with,
        dependents=dependents,
        triggers=triggers,
        nodes=tuple(n.name for n in snapshot.nodes.values() if n.id in live and name in n.workers),
        declared_otherwise=declared_otherwise(snapshot, name, live),
        next=coming,
        clock_changes=_clock_changes(state.definition.schedule, coming),
        durations=tuple(Lasted(each.ok, each.duration_s) for each in snapshot.record(name).ring[-DURATIONS:]),
        runs=tuple(listed(run) for run in views.history(HistoryFilter(worker=name, limit=runs))),
        at=views.now(),
        related_left_out=sum(max(0, len(names) - MAX_RELATED) for names in related),
    )


def _clock_changes(rule: Schedule | None, instants: tuple[datetime, ...]) -> tuple[ClockChange, ...]:
    if rule is None or isinstance(rule, Every) or not instants:
        return ()
    day = timedelta(days=1)
    return tuple(
        ClockChange(at, change_s) for at, change_s in clock_changes(rule.zone, instants[0] - day, instants[-1] + day)
    )


# ── one run ──────────────────────────────────────────────────────────────────────────────────────────────────────


class PageOfRun(Value, frozen=True, omit_defaults=False):
    """A run and what belongs to it.

    `chain`: the runs that led to it, the earliest first.  `log`: the last lines of its last attempt that logged, of
    `logged` in all.  `executor` and `timeout_s` are its worker's; empty and None if the worker was forgotten.
    """

    run: Run
    letter: DeadLetter | None
    why: Explanation | None  # while it is pending
    chain: tuple[Run, ...]
    nodes: dict[str, str]
    executor: str
    timeout_s: float | None
    log: tuple[LogLine, ...]
    logged: int
    at: datetime


class UnmaskedPage(NamedTuple):
    """A page whose secrets are not masked yet."""

    page: PageOfRun
    redaction: Redaction

    def shown(self) -> PageOfRun:
        """The page as people see it.  A large payload takes a while: do not call this on a loop."""
        return replace(self.page, run=as_shown(self.page.run, self.redaction))


def redaction_of(views: Views, run: Run) -> Redaction:
    """What masks that run's payload."""
    state = views.snapshot().workers.get(run.worker)
    return views.redaction(state.definition if state is not None else None)


def as_shown(run: Run, mask: Redaction) -> Run:
    """The run with its payload as people see it."""
    payload = run.payload
    if payload is None or isinstance(payload, OpaqueBytes):
        return run
    if len(payload) > MAX_SHOWN_BYTES:
        return replace(run, payload=encode(f"too large to show ({len(payload):,} bytes)"))
    return replace(run, payload=without_secrets(payload, run, mask))


def without_secrets(payload: bytes, run: Run, mask: Redaction) -> bytes:
    """The payload of *run*, masked; the same bytes if it holds no secret."""
    return masked_payloads.masked(payload, run.masked, mask)


def page_of_run(views: Views, run_id: int) -> PageOfRun:
    """The page of a run, as people see it.  Raises UnknownRun."""
    return read_page(views, run_id).shown()


def read_page(views: Views, run_id: int) -> UnmaskedPage:
    """What the store has about the run; `shown` makes the page of it.  Raises UnknownRun."""
    run = views.run(run_id)
    letters = views.letters(LetterFilter(ids=(run_id,), state=None)) if run.status is Status.DEAD else []
    snapshot = views.snapshot()
    state = snapshot.workers.get(run.worker)
    definition = state.definition if state is not None else None
    lines = views.lines(run_id)
    log = [line for line in lines if line.fence == lines[-1].fence]
    why = views.why_run(run_id) if run.status is Status.PENDING and definition is not None else None
    page = PageOfRun(
        run=run,
        letter=letters[0] if letters else None,
        why=None if why is None else replace(why, run=listed(why.run)),
        chain=tuple(reversed([listed(each) for each in _chain(views, run)])),
        nodes={node.id: node.name for node in snapshot.nodes.values()},
        executor=definition.executor if definition is not None else "",
        timeout_s=definition.timeout_s if definition is not None else None,
        log=tuple(log[-LOG_LINES:]),
        logged=log[-1].number if log else 0,
        at=views.now(),
    )
    return UnmaskedPage(page, views.redaction(definition))


def _chain(views: Views, run: Run) -> Iterator[Run]:
    for _ in range(MAX_CHAIN):
        origin = run.replay_of or run.caused_by
        if origin is None:
            return
        try:
            run = views.run(origin)
        except UnknownRun:  # deleted after its retention
            return
        yield run


def listed(run: Run) -> Run:
    """A run as it appears in a list: no payload, no result, no traceback."""
    return replace(
        run,
        payload=None,
        result=None,
        error=None if run.error is None else run.error.short(),
        attempts=tuple(_without_traceback(attempt) for attempt in run.attempts),
    )


def listed_event(event: Event) -> Event:
    """An event as it appears in a list or a stream: without the traceback of its error."""
    error = getattr(event, "error", None)
    return event if error is None else replace(event, error=error.short())


def _without_traceback(attempt: Attempt) -> Attempt:
    return attempt if attempt.error is None else replace(attempt, error=attempt.error.short())
