"""What people did, as the audit has it: acts that fit a filter, and the rows and seals that are verified.

Rules of this file
- It reads page by page: the audit of a year may have more rows than fit into memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from shiftboss.core.audit import AuditRow, Seal
from shiftboss.core.event import Severity
from shiftboss.core.events import Audit, UnreadableEvent
from shiftboss.core.value import Value
from shiftboss.ports.faces import AuditFilter
from shiftboss.ports.store import Reader

LAST = (1 << 63) - 1
AUDIT_PAGE = 1000
MAX_LOOKED_THROUGH = 100_000  # rows read for one question; if few fit, the next question goes on from the last `before`


class Act(Value, frozen=True, omit_defaults=False):
    """What somebody did, as the audit has it."""

    id: int  # its number, among all events
    at: datetime
    by: str  # the name of a token or a user; empty: not known
    action: str
    worker: str  # the worker's name; empty if it is about none
    run: int | None
    node: str
    before: str  # what was before, and …
    after: str  # … what is now, in words
    text: str  # all of it as a sentence
    severity: Severity  # a warning: the action was refused
    sealed: bool  # whether any later change to it would be found (A8)


def acts(reader: Reader, wanted: AuditFilter) -> Iterator[Act]:
    """The acts that fit, the newest first; *limit* is the caller's matter."""
    sealed = reader.last_seal()
    sealed_to = 0 if sealed is None else sealed.id
    before = LAST if wanted.before is None else wanted.before
    for _ in range(0, MAX_LOOKED_THROUGH, AUDIT_PAGE):
        page = reader.acts_before(before, limit=AUDIT_PAGE)
        read = [_act(number, event, is_sealed=number <= sealed_to) for number, event in page]
        yield from (act for act in read if _fits(act, wanted))
        if len(page) < AUDIT_PAGE or (wanted.since is not None and read[-1].at < wanted.since):
            return
        before = read[-1].id


def _act(number: int, event: Audit | UnreadableEvent, *, is_sealed: bool) -> Act:
    words = event.text, event.severity
    if isinstance(event, UnreadableEvent):  # W8
        return Act(number, event.at, "", "unreadable", "", None, "", "", event.reason, *words, is_sealed)
    about = event.worker, event.run, event.node
    return Act(number, event.at, event.by, event.action, *about, event.before, event.after, *words, is_sealed)


def _fits(act: Act, wanted: AuditFilter) -> bool:
    return (
        wanted.worker in (None, act.worker)
        and wanted.by in (None, act.by)
        and wanted.action in (None, act.action)
        and (wanted.since is None or act.at >= wanted.since)
    )


def rows(reader: Reader, after: int = 0) -> Iterator[AuditRow]:
    while page := reader.audit(after=after, limit=AUDIT_PAGE):
        yield from page
        after = page[-1].id


def seals(reader: Reader, after: int = 0) -> Iterator[Seal]:
    while page := reader.seals(after=after, limit=AUDIT_PAGE):
        yield from page
        after = page[-1].id
