"""Is this file still in the state in which it was last written, and how does it go on if not?

Rules of this file
- It was put back if it has counted less far than this process has seen, or than the note beside it says.  It may have
  been put back if it is another file than the one that was written.  Then fences go on from the clock, and ids go on
  beyond what was lost (core/lives.py).
- After a boot nobody knows what the disk has kept: fences go on from the clock, and nothing else changes.
- The note beside the file says what a node had counted some seconds ago: never more than the file, if it is the same.
"""

from __future__ import annotations

import os
import zlib
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from shiftboss.core.events import StoreRestored
from shiftboss.core.fleet import is_same_boot
from shiftboss.core.lives import Counted, fences_of_next_boot, next_life
from shiftboss.logs import get_logger
from shiftboss.stores.host import file_modes
from shiftboss.stores.sql import codec

if TYPE_CHECKING:
    from datetime import datetime

    from shiftboss.stores.sqlite.connection import Database

NOTED_EVERY_S = 5.0
NOTE_BYTES = 80  # three numbers of 19 digits, a checksum, blanks

LIVED_AT = "SELECT at FROM event ORDER BY id DESC LIMIT 1"
GO_ON = """
UPDATE meta SET number = ?1, epoch = CASE WHEN ?1 > number THEN ?1 ELSE epoch END, next_run = ?2, next_event = ?3,
  inode = ?4, boot = ?5
WHERE id = 1
"""
TELL = "INSERT INTO event (id, at, worker, data) VALUES (?, ?, '', ?)"

log = get_logger("shiftboss.store")


class StorePlace(NamedTuple):
    """Where and when a store is written."""

    inode: int | None
    boot: str | None


def lost_past(stored: Counted, written: StorePlace, here: StorePlace, *, seen: Counted, noted: Counted) -> str:
    """Why the numbers cannot be trusted, in words; empty if they can."""
    if stored.number < seen.number:
        return f"its last commit is {stored.number}, but {seen.number} was seen before"
    if stored.number < noted.number:
        return f"its last commit is {stored.number}, but {noted.number} was noted beside it"
    if written.inode is not None and written.inode != here.inode:
        return "it is another file than the one it was written in"
    return ""


def go_on(
    db: Database, now: datetime, stored: Counted, written: StorePlace, here: StorePlace, *, known: Counted, why: str
) -> Counted:
    """Within a transaction: correct how far it has counted, and its place; *known* is what others have seen."""
    is_boot = written.boot is not None and not is_same_boot(written.boot, here.boot or "")
    counted = stored
    if why:
        lived = db.run(LIVED_AT)
        lived_at = codec.instant_of(int(lived[0][0] or 0)) if lived else None
        counted = next_life(stored, known, now, lived_at=lived_at)
        event = StoreRestored(at=now, reason=why, epoch=counted.number)
        db.run(TELL, (counted.event_id, codec.micros(now), codec.text_of(event)))
        log.info(
            "%s was restored, or may have been: %s; commits and fences continue from %d, runs from %d, and everything "
            "is read again",
            db.path,
            why,
            counted.number + 1,
            counted.run_id + 1,
        )
    elif is_boot:
        counted = fences_of_next_boot(stored, now)
    db.run(GO_ON, (counted.number, counted.run_id + 1, counted.event_id + 1, here.inode, here.boot))
    return counted


class Notes:
    """How far a store has counted, in a file beside it that no backup of the store puts back."""

    def __init__(self, store: Path) -> None:
        self._store = store
        self._path = Path(f"{store}.nodes") / ".counted"

    def read(self) -> Counted:
        """Zeros if there is no note, or none that can be read completely: it may be written just now."""
        try:
            text, _, sum_of_it = self._path.read_text(encoding="ascii").strip().rpartition(" ")
            number, run_id, event_id = map(int, text.split())
        except (OSError, ValueError):
            return Counted()
        return Counted(number, number, run_id, event_id) if sum_of_it == _sum(text) else Counted()

    def forget(self) -> None:
        """Delete the note: it belongs to another store."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    def write(self, counted: Counted) -> None:
        """Write the note as far as the disk allows; without it nothing is lost but a check."""
        text = f"{counted.number} {counted.run_id} {counted.event_id}"
        with suppress(OSError):
            descriptor = self._opened()
            try:
                os.write(descriptor, f"{text} {_sum(text)}".ljust(NOTE_BYTES - 1).encode() + b"\n")
            finally:
                os.close(descriptor)

    def _opened(self) -> int:
        """The note is written in place: a short-lived temporary file would disturb whoever copies the folder."""
        with suppress(FileNotFoundError):
            try:
                return os.open(self._path, os.O_WRONLY | file_modes.FOLLOWS_NO_LINK)
            except PermissionError:  # an earlier file of another user
                self.forget()
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | file_modes.FOLLOWS_NO_LINK, file_modes.ALONE)
        file_modes.share_like(descriptor, self._store)
        return descriptor


def _sum(text: str) -> str:
    """A checksum that shows whether a note was read while it was written."""
    return f"{zlib.crc32(text.encode()):08x}"
