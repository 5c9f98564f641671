"""Everything that the command says, but for tables (`table.py`): notes, errors, questions on stderr; lines on stdout.

Rules of this file
- Colour on a terminal only, and neither under NO_COLOR nor on TERM=dumb.
- Nothing is written by others, and nothing here that was not escaped (`core/printable.py`): one call of `say` or `note`
  is one line, wherever it goes, and the lines of a `block` are indented.
- JSON is written as it is, for programs; on a terminal what is not to be seen in it is escaped as JSON does.
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
    """Whether somebody looks at it who can see more than plain lines."""
    try:
        return stream.isatty() and os.environ.get("TERM") != "dumb"
    except ValueError:  # closed
        return False


def is_read_by_people() -> bool:
    """Whether stdout goes to a terminal, also to a plain one."""
    return sys.stdout.isatty()


def has_colour(stream: TextIO) -> bool:
    return is_terminal(stream) and not os.environ.get("NO_COLOR")


def can_say(symbol: str, stream: TextIO) -> bool:
    """Whether the stream's encoding has the symbol."""
    # A live display puts something of its own in the place of stdout, without an encoding.
    encoding = getattr(stream, "encoding", None) or getattr(sys.__stdout__, "encoding", None) or "ascii"
    try:
        symbol.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def styled(text: str, stream: TextIO, **style: Any) -> str:
    return click.style(text, **style) if has_colour(stream) else text


def let_go(stream: TextIO) -> None:
    """What waits in *stream* and can reach nobody is dropped: for that alone Python would end with 120."""
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
    """What a program reads that is no JSON, of our own words: a script for a shell, a diagram."""
    print("\n".join(map(one_line, text.split("\n"))))


def json(text: str) -> None:
    """A JSON value, possibly over several lines."""
    sys.stdout.write(f"{printable.json_text(text) if is_read_by_people() else text}\n")


# ── on stderr ────────────────────────────────────────────────────────────────────────────────────────────────────


def note(text: object = "", *, title: str = "") -> None:
    """Something worth knowing that is no data; *title* before it in bold."""
    head = styled(one_line(title), sys.stderr, bold=True) if title else ""
    print(f"{head}{one_line(text)}", file=sys.stderr, flush=True)


def block(text: str) -> None:
    """Several lines that belong together: a traceback."""
    print(printable.block(text), file=sys.stderr, flush=True)


def traceback_of(error: BaseException) -> None:
    block("".join(traceback.format_exception(error)))


def hint(text: str) -> None:
    """What one might want to type next; for people, so only where one looks."""
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
    """The line that moves while something goes on; empty to clear it.  Only where one looks."""
    if is_terminal(sys.stderr):
        columns = shutil.get_terminal_size().columns - 1  # a wrapped line would stay for ever
        sys.stderr.write(f"\r\x1b[2K{one_line(text)[:columns]}")
        sys.stderr.flush()


def confirm(question: str, *, yes: bool) -> None:
    """Ask before something that cannot be undone.  Raises UsageError off a terminal without --yes, or Declined."""
    if yes:
        return
    if not (is_terminal(sys.stdin) and is_terminal(sys.stderr)):
        raise click.UsageError(f"this needs --yes where there is no terminal to ask on: {question}")
    if not click.confirm(one_line(question), default=False, err=True):
        raise Declined
