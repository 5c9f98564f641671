"""Handles log records of children as records of this process: its handlers, levels and filters apply.

Rules of this file
- A record that was made inside a function carries worker, run and attempt.  The line that is kept with the attempt
  comes in a message of its own.
"""

from __future__ import annotations

import logging

from shiftboss.context import Context, current, kept_already
from shiftboss.executors.wire import RelayedRecord
from shiftboss.logs import as_block, get_logger

log = get_logger("shiftboss.executors")


def log_again(line: RelayedRecord, context: Context | None) -> None:
    """Handle a child's record here."""
    # Our own lines are escaped here; all others are left to the host's loggers and handlers.
    logger = get_logger(line.name) if line.name.startswith("shiftboss.") else logging.getLogger(line.name)
    if not logger.isEnabledFor(line.level):
        return
    record = logger.makeRecord(line.name, line.level, line.file, line.line, line.text, (), None, line.function, None)
    vars(record).update(line.extra)
    record.created = line.created_s
    if line.traceback is not None:
        record.exc_text = as_block(line.traceback)
    inside = context if line.in_body else None
    if inside is not None:
        record.worker, record.run, record.attempt = inside.worker, inside.run_id, inside.attempt
    outer = current.set(inside)
    try:
        with kept_already():
            logger.handle(record)
    except Exception:
        log.exception("a log record of a child process could not be handled")
    finally:
        current.reset(outer)
