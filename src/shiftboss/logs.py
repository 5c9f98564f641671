"""shiftboss's loggers: no host configuration silences them by accident, and no text in a record can forge another one.

Rules of this file
- `dictConfig` and `fileConfig` disable every existing logger that they do not name, unless they are told not to
  (`disable_existing_loggers`): failures would no longer be logged.  shiftboss's loggers stay enabled.
- Whatever else a host sets applies as for any logger: levels, filters, handlers, and `disabled`.
- A record's message is one line, whatever a payload, an error or a function put into it: the message and its arguments
  are escaped (`core/printable.py`) when the record is made, so that any formatter of the host writes them escaped.  A
  traceback, and a `Block` after the arguments, keep their lines, indented.
- `as_given` returns the unescaped message: in JSON a line break is no danger.
"""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Mapping
from typing import Any, TypeVar

from shiftboss.core import printable
from shiftboss.core.printable import one_line

Named = TypeVar("Named", bound=logging.Logger)

PLAIN = frozenset((int, float, bool, type(None)))

_formatter = logging.Formatter()


class Block(str):
    """A text of several lines, given after the arguments of a record: it is printed below the message, indented."""

    __slots__ = ()


class _Shown(str):
    """An escaped text, with the value that it was made from."""

    __slots__ = ("given",)
    given: object

    def __repr__(self) -> str:
        return one_line(repr(self.given))  # for %r


def get_logger(name: str) -> logging.Logger:
    """The logger of that name, as one of shiftboss's."""
    logger = logging.getLogger(name)
    if not isinstance(logger, _Ours):
        logger.__class__ = _ours(type(logger))  # type: ignore[arg-type]  # a class is hashable
    return logger


# ── what a record says ───────────────────────────────────────────────────────────────────────────────────────────


def message_of(record: logging.LogRecord) -> str:
    """The message of a record of any logger, on one line."""
    return one_line(record.getMessage())


def blocks_of(record: logging.LogRecord) -> list[str]:
    """What is printed below the message: the traceback, the stack; indented."""
    if record.exc_info and not record.exc_text:
        record.exc_text = _traceback(record)
    return [
        each if isinstance(each, _Shown) else as_block(each) for each in (record.exc_text, record.stack_info) if each
    ]


def as_given(record: logging.LogRecord) -> str:
    """The message of a record of any logger, before anything in it was escaped."""
    template = str(given(record.msg))
    match record.args:
        case Mapping() as named if named:
            return template % {name: given(each) for name, each in named.items()}
        case tuple() as arguments if arguments:
            return template % tuple(map(given, arguments))
        case _:
            return template


def as_block(text: str) -> str:
    """*text* as it may be put into the `exc_text` or `stack_info` of a record."""
    return _shown_as(printable.block(text), text)


class _Ours:
    """Ignores the disabling by `logging.config`, and escapes the messages of its records."""

    @property
    def disabled(self) -> bool:
        return bool(vars(self).get("disabled", False))

    @disabled.setter
    def disabled(self, value: bool) -> None:
        if not value or sys._getframe(1).f_globals.get("__name__") != "logging.config":
            vars(self)["disabled"] = value

    def makeRecord(self, *args: Any, **kwargs: Any) -> logging.LogRecord:  # `logging` gives it this name
        # After the factory: body_lines.py keeps the lines of functions unescaped.
        record: logging.LogRecord = super().makeRecord(*args, **kwargs)  # type: ignore[misc]  # that of a Logger
        _escape(record)
        return record


@functools.cache
def _ours(kind: type[Named]) -> type[Named]:
    """A subclass of *kind*, so that a host's own class (`logging.setLoggerClass`) stays in use."""
    return type(kind.__name__, (_Ours, kind), {"__module__": kind.__module__})


def _escape(record: logging.LogRecord) -> None:
    arguments = record.args
    record.msg = _shown(record.msg)
    if isinstance(arguments, tuple):
        if arguments and type(arguments[-1]) is Block:
            record.stack_info = as_block(arguments[-1])
            arguments = arguments[:-1]
        record.args = tuple(map(_shown, arguments))
    elif arguments is not None:
        record.args = {name: _shown(each) for name, each in arguments.items()}
    if record.exc_info and not record.exc_text:
        record.exc_text = _traceback(record)  # `logging.Formatter` uses it if it is set
    if record.stack_info and not isinstance(record.stack_info, _Shown):
        record.stack_info = as_block(record.stack_info)


def _traceback(record: logging.LogRecord) -> str | None:
    try:
        return as_block(_formatter.formatException(record.exc_info))  # type: ignore[arg-type]  # asked by the caller
    except Exception:  # noqa: BLE001  # exceptions are the user's: a log line must not end a function
        return None


def _shown(value: Any) -> Any:
    """*value* itself if nothing has to be escaped: a number stays one for `%d`."""
    kind = type(value)
    if kind in PLAIN or (kind is str and value.isascii() and value.isprintable()):  # nearly all values
        return value
    try:
        text = str(value)
        shown = one_line(text)
    except Exception:  # noqa: BLE001  # as above; the handlers say so
        return value
    return value if shown == text else _shown_as(shown, value)


def _shown_as(text: str, given: object) -> _Shown:
    shown = _Shown(text)
    shown.given = given
    return shown


def given(value: Any) -> Any:
    """The value from which an escaped text was made; anything else as it is."""
    return value.given if isinstance(value, _Shown) else value
