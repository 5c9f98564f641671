"""A file that is read again when it changes, and whose last good content holds when it becomes wrong.

Rules of this file
- What is wrong at the start is an error; later it changes nothing, and the log says so once for each change.
- Looking costs one stat; no thread watches.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from shiftboss.errors import ConfigurationError
from shiftboss.logs import get_logger

T = TypeVar("T")

log = get_logger("shiftboss.web.access")


class WatchedFile(Generic[T]):
    def __init__(self, path: Path, read: Callable[[], T]) -> None:
        """*read* raises ConfigurationError; so does this."""
        self.path = path
        self._read = read
        self._lock = threading.Lock()  # protects the two below: loops in several threads may ask
        self._seen = self._state()
        self._content = read()

    def content(self) -> T:
        """As the file is now, or was when it was last right."""
        state = self._state()
        with self._lock:
            if state != self._seen:
                self._seen = state
                try:
                    self._content = self._read()
                    log.info("%s was read again", self.path)
                except ConfigurationError as error:
                    log.error("%s; the last good one holds until it is mended", error)  # noqa: TRY400  # a file, no mistake of ours
            return self._content

    def _state(self) -> object:
        try:
            facts = os.stat(self.path)
        except OSError as error:
            return error.errno
        return facts.st_mtime_ns, facts.st_ctime_ns, facts.st_size, facts.st_ino
