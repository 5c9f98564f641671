"""Sessions that a user ended before their time: their cookies are no longer accepted, also after a restart.

Rules of this file
- Only ids are kept, one a line, in a file of mode 0600 beside the token's file, until the sessions would have ended.
- Servers on one machine that share the store share the file: a session that one ends is ended for all.
- If the file cannot be written, the ids are kept in memory until this process ends, and the log says so.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
from pathlib import Path

from shiftboss.clock import Clock
from shiftboss.core.value import EPOCH
from shiftboss.logs import get_logger
from shiftboss.web.own_token import give

KEPT_AFTER_S = 3 * 86_400  # beyond their end: the wall clock may be set back, while sessions last by elapsed time
MAX_BYTES = 4 << 20  # some eighty thousand log-outs
LINE = re.compile(r"([0-9a-f]{32}) (\d{1,12})")

log = get_logger("shiftboss.web.access")


class EndedSessions:
    def __init__(self, clock: Clock, file: Path | None = None) -> None:
        self._clock = clock
        self._file = file
        self._lock = threading.Lock()  # protects the two below: loops in several threads may ask
        self._until: dict[str, int] = {}
        self._seen: tuple[int, int, int] | None = None

    def __contains__(self, id_: str) -> bool:
        with self._lock:
            self._look()
            return id_ in self._until

    def add(self, id_: str, until_s: int) -> None:
        with self._lock:
            self._look()
            self._forget()
            self._until[id_] = until_s
            if self._file is None:
                return
            try:
                self._append(self._file, f"{id_} {until_s}\n")
            except OSError as error:
                log.warning(
                    "a logout could not be written to %s (%s); it is valid only until this process ends",
                    self._file,
                    error.strerror,
                )

    def _append(self, file: Path, line: str) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        descriptor = os.open(file, flags, 0o600)
        try:
            if os.fstat(descriptor).st_size == 0:
                give(descriptor, file)
            if os.fstat(descriptor).st_size > MAX_BYTES:
                os.ftruncate(descriptor, 0)
                line = "".join(f"{each} {until}\n" for each, until in self._until.items())
            os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)

    def _look(self) -> None:
        """Read what another process has added."""
        if self._file is None:
            return
        with contextlib.suppress(OSError):
            facts = os.stat(self._file, follow_symlinks=False)
            seen = facts.st_mtime_ns, facts.st_size, facts.st_ino
            if seen != self._seen:
                self._until.update((id_, int(until)) for id_, until in LINE.findall(_text_of(self._file)))
                self._seen = seen

    def _forget(self) -> None:
        now_s = (self._clock.now() - EPOCH).total_seconds()
        for id_ in [id_ for id_, until in self._until.items() if until + KEPT_AFTER_S < now_s]:
            del self._until[id_]


def _text_of(file: Path) -> str:
    descriptor = os.open(file, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(descriptor, "rb") as opened:
        return opened.read(2 * MAX_BYTES).decode("ascii", "replace")
