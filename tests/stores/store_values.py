"""Runs, workers and letters for the stores' tests; what a test does not care about is filled in here."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from shiftboss.core.model import (
    Attempt,
    Cause,
    Claim,
    DeadLetter,
    Error,
    Node,
    Origin,
    Run,
    Status,
    WorkerState,
)
from shiftboss.core.policy import Priority
from shiftboss.core.snapshot import Change
from shiftboss.core.value import replace
from shiftboss.core.worker import Definition
from shiftboss.ports.cycle import NO_DELTA, Delta
from shiftboss.ports.faces import HistoryFilter
from shiftboss.ports.store import Session

NOON = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
NODE = "node-1"
OTHER = "node-2"
BYTES = bytes(range(256)) + b'{"a": "\xc3\xbc"}\x00\xff'  # no text in any encoding, and a NUL in it


class FrozenClock:
    """A wall clock that is told what time it is."""

    boot = "boot-1"

    def __init__(self, now: datetime = NOON) -> None:
        self.instant = now

    def now(self) -> datetime:
        return self.instant

    def monotonic_s(self) -> float:
        return 0.0

    def elapsed_s(self) -> float:
        return 0.0

    lease_s = elapsed_s


def at(seconds: float) -> datetime:
    """Seconds after noon."""
    return NOON + timedelta(seconds=seconds)


def a_run(run_id: int, worker: str = "mail", status: Status = Status.PENDING, **facts: Any) -> Run:
    due_at = facts.pop("due_at", NOON)
    payload = facts.get("payload")
    defaults: dict[str, Any] = {
        "origin": Origin.TRIGGER,
        "priority": Priority.NORMAL,
        "created_at": NOON,
        "occurs_at": due_at,
        "due_at": due_at,
        "digest": hashlib.sha256(payload).hexdigest() if payload is not None else None,
        "claim": a_claim() if status is Status.RUNNING else None,
        "finished_at": NOON if status.is_final else None,
    }
    return Run(id=run_id, worker=worker, status=status, **(defaults | facts))


def a_claim(node: str = NODE, fence: int = 1) -> Claim:
    return Claim(node=node, fence=fence, at=NOON)


def started(run: Run, *, fence: int = 1) -> Run:
    """The run as a claim makes it; like the cycle, without the payload unless it is in memory."""
    return replace(
        run, status=Status.RUNNING, claim=a_claim(fence=fence), attempt=run.attempt + 1, first_started_at=NOON
    )


def ended(run: Run, status: Status = Status.SUCCEEDED, **facts: Any) -> Run:
    attempt = Attempt(number=1, node=NODE, started_at=NOON, ended_at=at(1), duration_s=1.0)
    defaults: dict[str, Any] = {"finished_at": at(1), "attempts": (attempt,)}
    return replace(run, status=status, claim=None, **(defaults | facts))


def failed(run: Run, error_type: str = "ValueError", **facts: Any) -> Run:
    return ended(run, Status.DEAD, error=Error(type=error_type, message="no"), cause=Cause.ERROR, **facts)


def a_letter(run: Run, **facts: Any) -> DeadLetter:
    defaults: dict[str, Any] = {
        "cause": Cause.ERROR,
        "error_type": run.error.type if run.error is not None else "ValueError",
        "entered_at": at(1),
        "has_payload": run.digest is not None,
    }
    return DeadLetter(run=run.id, worker=run.worker, **(defaults | facts))


def a_worker(name: str = "mail", **facts: Any) -> WorkerState:
    return WorkerState(definition=Definition(name=name, **facts), declared_at=NOON)


def a_node(node_id: str = NODE, **facts: Any) -> Node:
    defaults: dict[str, Any] = {"name": f"host:{node_id}", "boot": "boot-1", "lease_until_s": 30.0, "started_at": NOON}
    return Node(id=node_id, **(defaults | facts))


def write(session: Session, change: Change | None = None, *, new: Collection[int] = (), **facts: Any) -> int:
    """One transaction that writes one change; its number."""
    with session.begin() as tx:
        tx.changes()
        tx.write(change if change is not None else Change(**facts), new=new)
        return tx.number


class Abandoned(Exception):
    """What a test raises in the middle of a transaction."""


def abandon(session: Session, change: Change, *, new: Collection[int] = ()) -> Delta:
    """One transaction that looks, writes *change* and draws an id, and then fails; what it had seen."""
    delta = NO_DELTA
    with suppress(Abandoned), session.begin() as tx:
        delta = tx.changes()
        next(tx.ids())
        tx.write(change, new=new)
        raise Abandoned
    return delta


def store_runs(session: Session, *runs: Run) -> None:
    """New runs, in one transaction."""
    write(session, runs=runs, new={run.id for run in runs})


def change_runs(session: Session, *runs: Run) -> None:
    """Runs that have a row, in one transaction."""
    write(session, runs=runs)


def fetch(session: Session, *ids: int) -> list[Run]:
    with session.read() as reader:
        return reader.runs(ids)


def finish(session: Session, *runs: Run) -> None:
    store_runs(session, *(started(replace(run, error=None)) for run in runs))
    change_runs(session, *runs)


def listed(session: Session, **wanted: object) -> list[int]:
    with session.read() as reader:
        return [run.id for run in reader.history(HistoryFilter(**wanted))]  # type: ignore[arg-type]
