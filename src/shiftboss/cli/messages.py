"""Everything that the command prints except tables (`table.py`): notes, errors, questions on stderr; lines on stdout.

Rules of this file
- Colour only on a terminal, and not under NO_COLOR or with TERM=dumb.
- Everything is printed here, and everything is escaped first (`core/printable.py`): one call of `say` or `note` is one
  line, wherever it goes, and the lines of a `block` are indented.
- JSON is written as it is, for programs; on a terminal its invisible characters are escaped as JSON does.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import traceback
from typing import Any, TextIO

import click

from shiftboss.cli.exits import Declined
from shiftboss.core import printable
from shiftboss.core.printable import one_line


def is_terminal(stream: TextIO) -> bool:
    """Whether it is a terminal that can show more than plain lines."""
    try:
        return stream.isatty() and os.environ.get("TERM") != "dumb"
    except ValueError:  # it is closed
        return False


def is_read_by_people() -> bool:
    """Whether stdout goes to a terminal, even a plain one."""
    return sys.stdout.isatty()


def has_colour(stream: TextIO) -> bool:
    return is_terminal(stream) and not os.environ.get("NO_COLOR")


def can_say(symbol: str, stream: TextIO) -> bool:
    """Whether the stream's encoding has the symbol."""
    # A live display replaces stdout by an object without an encoding.
    encoding = getattr(stream, "encoding", None) or getattr(sys.__stdout__, "encoding", None) or "ascii"
    try:
        symbol.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def styled(text: str, stream: TextIO, **style: Any) -> str:
    return click.style(text, **style) if has_colour(stream) else text


def let_go(stream: TextIO) -> None:
    """Drop what waits in *stream* and can reach nobody; otherwise Python would end with exit code 120."""
    try:
        stream.flush()
    except (OSError, ValueError):
        to_nowhere(stream)


def to_nowhere(stream: TextIO) -> None:
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


# ── on stdout ────────────────────────────────────────────────────────────────────────────────────────────────────


def say(text: object = "") -> None:
    """A line of data, for people and for `grep`."""
    print(one_line(text), flush=True)


def program(text: str) -> None:
    """Text for a program that is no JSON, worded by shiftboss alone: a script for a shell, a diagram."""
    print("\n".join(map(one_line, text.split("\n"))))


def json(text: str) -> None:
    """A JSON value, possibly over several lines."""
    sys.stdout.write(f"{printable.json_text(text) if is_read_by_people() else text}\n")


# ── on stderr ────────────────────────────────────────────────────────────────────────────────────────────────────


def note(text: object = "", *, title: str = "") -> None:
    """A remark that is no data; *title* before it in bold."""
    head = styled(one_line(title), sys.stderr, bold=True) if title else ""
    print(f"{head}{one_line(text)}", file=sys.stderr, flush=True)


def block(text: str) -> None:
    """Several lines that belong together, such as a traceback."""
    print(printable.block(text), file=sys.stderr, flush=True)


def traceback_of(error: BaseException) -> None:
    block("".join(traceback.format_exception(error)))


def hint(text: str) -> None:
    """What a person might want to type next; only on a terminal."""
    if is_terminal(sys.stderr):
        print(styled(one_line(text), sys.stderr, dim=True), file=sys.stderr, flush=True)


def error(text: object) -> None:
    """One red line."""
    word = styled("error:", sys.stderr, fg="red", bold=True)
    print(f"{word} {styled(one_line(text), sys.stderr, fg='red')}", file=sys.stderr, flush=True)


def warn(text: object) -> None:
    word = styled("warning:", sys.stderr, fg="yellow", bold=True)
    print(f"{word} {one_line(text)}", file=sys.stderr, flush=True)


def overwrite(text: str = "") -> None:
    """A line that changes while something goes on; empty text clears it.  Only on a terminal."""
    if is_terminal(sys.stderr):
        columns = shutil.get_terminal_size().columns - 1  # a wrapped line would never be overwritten
        sys.stderr.write(f"\r\x1b[2K{one_line(text)[:columns]}")
        sys.stderr.flush()


def confirm(question: str, *, yes: bool) -> None:
    """Ask before something that cannot be undone.  Raises Declined, or UsageError off a terminal without --yes."""
    if yes:
        return
    if not (is_terminal(sys.stdin) and is_terminal(sys.stderr)):
        raise click.UsageError(f"without a terminal this needs --yes: {question}")
    if not click.confirm(one_line(question), default=False, err=True):
        raise Declined
