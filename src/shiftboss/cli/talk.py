"""What is said beside the data: notes, errors, questions.  All of it on stderr.

Rules of this file
- Colour on a terminal only, and neither under NO_COLOR nor on TERM=dumb.
- Texts of users (messages of errors, reasons, payloads) are cleaned before they reach a terminal.
"""

from __future__ import annotations

import os
import re
import sys
from typing import Any, TextIO

import click

from shiftboss.cli.exits import Declined

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def is_terminal(stream: TextIO) -> bool:
    """Whether somebody looks at it who can see more than plain lines."""
    try:
        return stream.isatty() and os.environ.get("TERM") != "dumb"
    except ValueError:  # closed
        return False


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


def one_line(text: object) -> str:
    """*text* without line breaks, escape sequences and other characters that move a cursor."""
    return CONTROL.sub("", " ".join(str(text).split()))


def clean(text: str) -> str:
    """*text* line by line, without what moves a cursor."""
    return "\n".join(CONTROL.sub("", line.expandtabs(4)).rstrip() for line in text.splitlines())


def styled(text: str, stream: TextIO, **style: Any) -> str:
    return click.style(text, **style) if has_colour(stream) else text


def note(text: str) -> None:
    """Something worth knowing that is no data."""
    print(text, file=sys.stderr, flush=True)


def hint(text: str) -> None:
    """What one might want to type next; for people, so only where one looks."""
    if is_terminal(sys.stderr):
        print(styled(text, sys.stderr, dim=True), file=sys.stderr, flush=True)


def error(text: str) -> None:
    """One red line."""
    word = styled("error:", sys.stderr, fg="red", bold=True)
    print(f"{word} {styled(text, sys.stderr, fg='red')}", file=sys.stderr, flush=True)


def warn(text: str) -> None:
    word = styled("warning:", sys.stderr, fg="yellow", bold=True)
    print(f"{word} {text}", file=sys.stderr, flush=True)


def confirm(question: str, *, yes: bool) -> None:
    """Ask before something that cannot be undone.  Raises UsageError off a terminal without --yes, or Declined."""
    if yes:
        return
    if not (is_terminal(sys.stdin) and is_terminal(sys.stderr)):
        raise click.UsageError(f"this needs --yes where there is no terminal to ask on: {question}")
    if not click.confirm(question, default=False, err=True):
        raise Declined
