"""Which functions a node has entered, in the node's own file, which survives the process but not the machine (C8).

Rules of this file
- There is one record for each attempt in progress, and later attempts reuse its place.  So the file stays short.
- Each function costs one `pwrite` of 24 bytes and no fsync.  Only the node writes the file; it is read when the node is
  dead.
- A file that cannot be read completely says nothing: "nobody can tell" is never taken for "it was not entered".
"""

from __future__ import annotations

import os
import struct
from collections.abc import Collection
from contextlib import suppress
from itertools import count
from zlib import crc32

from shiftboss.ports.store import AttemptKey

BEGIN = 128  # before it, the file says whose it is
MARK = b"entries\n"  # marks a file in which functions are noted
BODY = struct.Struct("<qq")  # run, fence
RECORD = struct.Struct("<qqLxxxx")  # the same, and the CRC-32 of these
NOTHING = bytes(RECORD.size)
FIRST = BEGIN + len(MARK)
MAX_BYTES = 1 << 22  # of 170,000 attempts at once: no node has that many


class EntryFile:
    """Implements `ports.EntryLog` on the descriptor of the node's file."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._pid = os.getpid()
        # Functions are entered in one thread and forgotten in another.  There is no lock: popping, appending and
        # counting on are atomic, and one claim is noted before it is forgotten.
        self._places: dict[AttemptKey, int] = {}
        self._free: list[int] = []  # places whose attempt has been forgotten
        self._new_places = count()  # used only if none is free, so that the file stays short
        self._is_trusted = self._write(BEGIN, MARK)

    def note(self, run_id: int, fence: int) -> None:
        """The function of that claim is about to be entered."""
        if not self._is_trusted or os.getpid() != self._pid:
            return
        try:
            place = self._free.pop()
        except IndexError:
            place = next(self._new_places)
        self._places[run_id, fence] = place
        if not self._write(FIRST + place * RECORD.size, RECORD.pack(run_id, fence, crc32(BODY.pack(run_id, fence)))):
            self.forget_all()

    def forget(self, run_id: int, fence: int) -> None:
        """What became of the attempt is committed.  Its record stays until another one takes its place."""
        place = self._places.pop((run_id, fence), None)
        if place is not None:
            self._free.append(place)

    def forget_all(self) -> None:
        """Erase everything: from now on nobody can tell."""
        self._is_trusted = False
        with suppress(OSError):
            os.ftruncate(self._descriptor, BEGIN)

    def _write(self, at: int, data: bytes) -> bool:
        try:
            return os.pwrite(self._descriptor, data, at) == len(data)
        except OSError:
            return False


def entries_in(data: bytes) -> Collection[AttemptKey] | None:
    """What the file of a dead node says; None if it cannot be read, or nothing was noted in it."""
    if data[BEGIN:FIRST] != MARK or len(data) >= MAX_BYTES:
        return None
    keys: set[AttemptKey] = set()
    for at in range(FIRST, len(data), RECORD.size):
        record = data[at : at + RECORD.size]
        if record == NOTHING:
            continue
        if len(record) < RECORD.size:
            return None
        run_id, fence, checksum = RECORD.unpack(record)
        if crc32(record[: BODY.size]) != checksum:
            return None
        keys.add((run_id, fence))
    return keys
