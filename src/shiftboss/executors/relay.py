"""Log records of children, as records of this process: its handlers, levels and filters decide about them.

Rules of this file
- A record made inside a body carries worker, run and attempt.  That it is kept with its attempt is said apart.
"""

from __future__ import annotations

import logging

from shiftboss.context import Context
from shiftboss.executors.wire import Line
from shiftboss.logs import get_logger

log = get_logger("shiftboss.executors")


def log_again(line: Line, context: Context | None) -> None:
    """Handle a child's record here."""
    logger = logging.getLogger(line.name)
    if not logger.isEnabledFor(line.level):
        return
    text = line.text if line.traceback is None else f"{line.text}\n{line.traceback}"
    record = logger.makeRecord(line.name, line.level, line.file, line.line, text, (), None, line.function, None)
    vars(record).update(line.extra)
    record.created = line.created_s
    inside = context if line.in_body else None
    if inside is not None:
        record.worker, record.run, record.attempt = inside.worker, inside.run_id, inside.attempt
    try:
        logger.handle(record)
    except Exception:
        log.exception("a log record of a child could not be handled")
