"""What bodies log, by whatever logger, is kept with their attempts: without a handler on a logger of the host's.

A handler of ours on the root logger would turn `basicConfig` into nothing, silence Python's last resort, and be gone
after a `dictConfig`.  A record factory sees each record that its logger's level lets through, whatever handlers there
are, and survives both.

Rules of this file
- A record is handed on as the host's own factory made it.
- There is one for the process while an orchestrator runs in it; the last to stop takes it away, unless somebody has put
  one in front of it since: then it does nothing.
- What the context's own logger says is kept by that logger (`context.py`) and not again.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from shiftboss.context import current, is_kept, text_of

_lock = threading.Lock()  # protects the two below
_users = 0
_installed: _Factory | None = None


@contextmanager
def kept() -> Iterator[None]:
    """While this lasts, lines of bodies are kept."""
    global _users, _installed
    with _lock:
        _users += 1
        if _installed is None:
            _installed = _Factory(logging.getLogRecordFactory())
            logging.setLogRecordFactory(_installed)
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if not _users and _installed is not None:
                _installed.is_active = False
                if logging.getLogRecordFactory() is _installed:
                    logging.setLogRecordFactory(_installed.former)
                _installed = None


class _Factory:
    def __init__(self, former: Callable[..., logging.LogRecord]) -> None:
        self.former = former
        self.is_active = True

    def __call__(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record = self.former(*args, **kwargs)
        context = current.get()
        is_new = self.is_active and not is_kept.get() and record.name is not None  # makeLogRecord names none
        if context is not None and is_new:
            context.keep_line(record.levelname, text_of(record))
        return record
