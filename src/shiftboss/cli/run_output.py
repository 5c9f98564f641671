"""What `shiftboss run` prints: a banner on a terminal, and a line for every event, as text or JSON.

Rules of this file
- Everything goes to stderr.  Logging that the app has set up itself is left alone, unless an option asks for ours.
- Lines that a function logs carry its worker and run, and are masked like the lines that are kept with it (A12).
"""

from __future__ import annotations

import logging
import sys
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from shiftboss.app.node import package_version
from shiftboss.cli import formatting, messages
from shiftboss.context import RunFilter, masked_here
from shiftboss.core import address
from shiftboss.core.printable import one_line
from shiftboss.logs import as_given, blocks_of, given

if TYPE_CHECKING:
    from shiftboss.app.orchestrator import Orchestrator
    from shiftboss.cli.app_file import App

TAGS = ("worker", "run", "attempt", "node")
LEVEL_COLOURS = {"WARNING": "yellow", "ERROR": "red", "CRITICAL": "red"}
MAX_NAME = 24  # names are aligned up to here


def banner(app: App) -> None:
    """What is about to run, in two lines."""
    boss = app.boss
    chosen = {name: it for name, it in boss.definitions.items() if boss.only(name)}
    modes = Counter(it.mode.value for it in chosen.values())
    dot = f" {formatting.sign('·')} "
    counts = ", ".join(f"{number} {mode}" for mode, number in sorted(modes.items()))
    messages.note(f"{dot}{app.name}{dot}{address.shown(boss.store_url)}", title=f"shiftboss {package_version()}")
    left = len(boss.definitions) - len(chosen)
    parts = [f"{formatting.plural(len(chosen), 'worker')}: {counts}", formatting.plural(boss.max_concurrency, "slot")]
    if left:
        parts.append(f"{left} for other processes")
    messages.note(dot.join(parts))
    messages.hint("Ctrl-C drains, a second one cancels, a third exits at once")
    messages.note()


def say_what_happens(boss: Orchestrator, *, log_format: str | None, log_level: str | None) -> None:
    """Set up logging, unless the app has done so and no option asks for it."""
    root = logging.getLogger()
    if root.handlers and log_format is None and log_level is None:
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(RunFilter())
    if log_format == "json":
        handler.setFormatter(JsonLines())
    elif messages.is_terminal(sys.stderr):
        width = max((len(name) for name in boss.definitions), default=0)
        handler.setFormatter(TerminalLines(min(width, MAX_NAME)))
    else:
        handler.setFormatter(PlainLines())
    root.handlers[:] = [handler]
    root.setLevel((log_level or "info").upper())


class TextLines(logging.Formatter):
    """One line for each record of any logger; below it, indented, text that keeps its lines.

    A failure that is an event is one line: its traceback is kept with the run, for `shiftboss show`.
    """

    def format(self, record: logging.LogRecord) -> str:
        blocks = [] if record.name == "shiftboss.run" else map(masked_here, blocks_of(record))
        return "\n".join((self.line(record, one_line(masked_here(as_given(record)))), *blocks))

    def line(self, record: logging.LogRecord, text: str) -> str:
        raise NotImplementedError


class PlainLines(TextLines):
    """ "2027-03-28 14:00:02 INFO fetch-data run 12 started"."""

    def line(self, record: logging.LogRecord, text: str) -> str:
        when = datetime.fromtimestamp(record.created).astimezone()
        return f"{when:%Y-%m-%d %H:%M:%S} {record.levelname} {_tagged(record, text)}"


class TerminalLines(TextLines):
    """The time, the worker in its own column, the rest; coloured by level."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self._width = width

    def line(self, record: logging.LogRecord, text: str) -> str:
        when = datetime.fromtimestamp(record.created).astimezone()
        worker = getattr(record, "worker", "") or ""
        if _is_of_a_body(record):
            text = f"run {record.run}: {text}"  # type: ignore[attr-defined]  # put there by the filter
        elif worker:
            text = text.removeprefix(f"{worker} ")
        clock = messages.styled(f"{when:%H:%M:%S}", sys.stderr, dim=True)
        return f"{clock}  {worker:{self._width}}  {_coloured(record, text)}"


def _coloured(record: logging.LogRecord, text: str) -> str:
    colour = LEVEL_COLOURS.get(record.levelname)
    if colour:
        return messages.styled(text, sys.stderr, fg=colour)
    if record.name == "shiftboss.run" and " succeeded after " in text:
        return messages.styled(text, sys.stderr, fg="green")
    return text


class JsonLines(logging.Formatter):
    """One object on each line: at, level, logger, message, and worker, run, attempt, node if known."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": masked_here(as_given(record)),
        }
        line |= {tag: getattr(record, tag) for tag in TAGS if getattr(record, tag, None) not in (None, "")}
        if record.exc_info:
            line["exception"] = masked_here(self.formatException(record.exc_info))
        elif record.exc_text:  # the traceback of a child
            line["exception"] = masked_here(str(given(record.exc_text)))
        if record.stack_info:
            line["stack"] = masked_here(str(given(record.stack_info)))
        return msgspec.json.encode(line, enc_hook=str).decode()


def _tagged(record: logging.LogRecord, text: str) -> str:
    """Puts worker and run before a function's log line, and before each line that does not begin with its worker."""
    worker, run = getattr(record, "worker", ""), getattr(record, "run", None)
    says_it = text.startswith(f"{worker} ") or record.name.startswith("shiftboss.audit")
    if not worker or (says_it and not _is_of_a_body(record)):
        return text
    return f"{worker} run {run}: {text}" if run is not None else f"{worker}: {text}"


def _is_of_a_body(record: logging.LogRecord) -> bool:
    """Only what is logged inside a function carries the number of its attempt."""
    return getattr(record, "attempt", None) is not None
