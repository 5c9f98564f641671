"""A stored row that cannot be read: which one it is, why, and what is held until somebody decides about it.

Rules of this file
- `Unreadable` is part of the value that holds what could still be read of the row; such a value is never written (W8).
- Only rows of what might run, or counts among what runs, hold others: a worker, its record, its live runs, its breaker.
"""

from __future__ import annotations

from datetime import datetime

from shiftboss.core.value import Value

REMEDY = "see: shiftboss doctor; then: shiftboss doctor --set-aside"
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
    "arrival": "incoming trigger",
}


class Unreadable(Value, frozen=True):
    """Which row, and what the reader said.  `fields` are the unreadable ones; none: the row is not even JSON."""

    table: str
    id: str
    worker: str = ""  # if that could be read
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

    `data` is the whole row as JSON, which the store fills in.  If the row does not leave its table, the same change
    writes it again.
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
