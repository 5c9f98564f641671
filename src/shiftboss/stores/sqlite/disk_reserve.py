"""Some disk space set aside, which is given up when the disk is full (W3).

Rules of this file
- The reserve is a file of real blocks beside the store.  At the first "disk full" it is deleted: its space is enough to
  record how running attempts ended, while new work is refused.
- New work is refused even earlier, when less space is free than the reserve holds: it must not use up that space.
- The reserve is made again, and new work accepted, once there is clearly enough space.
- Every process that uses the store checks for the file once a second, clients too: if one met the full disk, all of
  them refuse new work.  Only nodes make the file.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from shiftboss.clock import SystemClock
from shiftboss.stores.host import file_modes

RESERVE_BYTES = 2 * 1024 * 1024  # some 2,000 outcomes with their pages
ENOUGH_BYTES = 4 * RESERVE_BYTES  # free space needed to make the reserve (again): it must not fill the disk itself
LOOK_AGAIN_S = 1.0

_clock = SystemClock()


class Reserve:
    """Used by the threads of all sessions of a store."""

    def __init__(self, store: Path) -> None:
        self._store = store
        self._path = Path(f"{store}.reserve")
        self._is_kept = False  # by this process; clients do not make it
        self._is_tight = False
        self._looked_s = float("-inf")

    @property
    def is_tight(self) -> bool:
        """Whether the disk is full, or was full and has not enough space again; checks once a second."""
        if _clock.monotonic_s() - self._looked_s >= LOOK_AGAIN_S:
            self._look()
        return self._is_tight

    @property
    def free_bytes(self) -> int:
        """Free bytes on its disk; if nobody can tell, as many as are enough."""
        try:
            facts = os.statvfs(self._path.parent)
        except (OSError, AttributeError):  # AttributeError: Windows has no statvfs
            return ENOUGH_BYTES
        return facts.f_bavail * facts.f_frsize

    def keep(self) -> None:
        """Make the reserve if it does not exist; if that fails, the store is tight."""
        self._is_kept = True
        self._look()

    def _look(self) -> None:
        self._looked_s = _clock.monotonic_s()
        if self._is_there():
            self._is_tight = self.free_bytes < (ENOUGH_BYTES if self._is_tight else RESERVE_BYTES)
        elif self._is_kept:
            self._is_tight = not self._make()
        else:
            self._is_tight = self.free_bytes < ENOUGH_BYTES

    def give_up(self) -> None:
        """The disk is full: give these blocks to the store."""
        self._is_tight = True
        self._looked_s = _clock.monotonic_s()
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _is_there(self) -> bool:
        try:
            return self._path.stat().st_size >= RESERVE_BYTES
        except OSError:
            return False

    def _make(self) -> bool:
        if self.free_bytes < ENOUGH_BYTES:
            return False
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, file_modes.ALONE)
            try:
                file_modes.share_like(descriptor, self._store)
                _allocate(descriptor)
            finally:
                os.close(descriptor)
        except OSError:
            with suppress(OSError):
                self._path.unlink(missing_ok=True)
            return False
        return True


def _allocate(descriptor: int) -> None:
    """Allocate real blocks, not a hole."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, RESERVE_BYTES)
    else:
        os.write(descriptor, bytes(RESERVE_BYTES))
