"""A file that is read again when it changes; if it becomes wrong, its last valid content stays in force.

Rules of this file
- A wrong file is an error at the start; later it has no effect, and the log says so once for each change.
- A check costs one stat; no thread watches.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from shiftboss.clock import SystemClock
from shiftboss.errors import ConfigurationError
from shiftboss.logs import get_logger

SETTLED_AFTER_S = 1.0  # two changes within a tick of the file system's clock have the same time

T = TypeVar("T")

log = get_logger("shiftboss.web.access")


class WatchedFile(Generic[T]):
    def __init__(self, path: Path, read: Callable[[], T]) -> None:
        """Raises ConfigurationError, as *read* does."""
        self.path = path
        self._read = read
        self._clock = SystemClock()  # a file's times come from the system's clock
        self._lock = threading.Lock()  # protects the three below: loops in several threads may ask
        self._seen, self._is_settled = self._state()
        self._content = read()

    def content(self) -> T:
        """The file's content now, or when it was last valid."""
        state, is_settled = self._state()
        with self._lock:
            is_new = state != self._seen
            if is_new or not self._is_settled:
                self._seen, self._is_settled = state, is_settled
                self._read_again(is_new=is_new)
            return self._content

    def _read_again(self, *, is_new: bool) -> None:
        try:
            self._content = self._read()
        except ConfigurationError as error:
            if is_new:
                log.error("%s; the last valid version applies until it is corrected", error)  # noqa: TRY400  # a wrong file, not our mistake
        else:
            if is_new:
                log.info("%s was reloaded", self.path)

    def _state(self) -> tuple[object, bool]:
        """A value that identifies the content, and whether the next change surely changes that value."""
        try:
            facts = os.stat(self.path)
        except OSError as error:
            return error.errno, True
        state = facts.st_mtime_ns, facts.st_ctime_ns, facts.st_size, facts.st_ino
        return state, self._clock.now().timestamp() - facts.st_ctime > SETTLED_AFTER_S
