"""A stored row that nobody can read: which it is, why, and what holds until somebody decides about it.

Rules of this file
- It stands beside what could still be told of the row; a value that bears one is never written (W8).
- Only what might run, or be counted among what runs, holds others: the row of a worker, its record, its live runs, its
  breaker.
"""

from __future__ import annotations

from datetime import datetime

from shiftboss.core.value import Value

REMEDY = "look: shiftboss doctor; then: shiftboss doctor --set-aside"
WORDS = {
    "run": "run",
    "history": "finished run",
    "dead_letter": "dead letter",
    "worker": "worker",
    "record": "the record of worker",
    "breaker": "breaker",
    "node": "node",
    "event": "event",
    "log": "log line",
    "arrival": "arrived trigger",
}


class Unreadable(Value, frozen=True):
    """Which row, and what the reader said of it.  `fields` are those that could not be taken; none: not even JSON."""

    table: str
    id: str
    worker: str = ""  # where that can be told
    reason: str = ""
    fields: tuple[str, ...] = ()

    @property
    def place(self) -> tuple[str, str]:
        return self.table, self.id

    def __str__(self) -> str:
        of = f" of {self.worker}" if self.worker and self.worker != self.id else ""
        return f"{WORDS.get(self.table, self.table)} {self.id}{of} cannot be read ({self.reason})"


class SetAside(Value, frozen=True):
    """A row that was moved out of the way, by whom and why.

    `data` is the whole row as JSON, which the store fills in.  One that does not leave is written anew by the same
    change.
    """

    table: str
    id: str
    at: datetime
    by: str
    worker: str = ""
    reason: str = ""
    note: str = ""
    data: str = ""
    leaves: bool = True

    @classmethod
    def of(cls, row: Unreadable, *, at: datetime, by: str, note: str = "", leaves: bool = True) -> SetAside:
        return cls(row.table, row.id, at, by, row.worker, row.reason, note, leaves=leaves)
