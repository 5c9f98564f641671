"""`shiftboss trigger NAME --from FILE`: a trigger for each line of JSON, committed in batches, safe to repeat.

Rules of this file
- Lines are read as they come, and no more of them than a batch holds: a file may be larger than memory.
- Each trigger has a key: the line's own `"$key"`, or the name of the import with the number of the line.  So whoever
  repeats an import stores nothing twice.
- A refused line ends the import.  Nothing of its batch is stored, everything before it is, and what is said names the
  line and how to go on.
"""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import IO, Any, NamedTuple

import click
import msgspec

from shiftboss.app.orchestrator import Orchestrator
from shiftboss.cli import dump, formatting, messages
from shiftboss.core.value import Value
from shiftboss.errors import CallerError, DuplicateKey, OperatorError, TriggersRefused

BATCH_LINES = 5_000  # about 0.1 s in which nobody else writes to the store
BATCH_BYTES = 4 * 1024 * 1024
MAX_LINE_BYTES = 16 * 1024 * 1024  # a line without an end must not fill memory; payloads have limits of their own
MAX_SAID = 10  # refused lines, and blank ones, in words
NOTE_LINES = 100_000  # where there is no terminal: some seconds
KEY = "$key"
QUOTED_KEY = b'"$key"'

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Batch(NamedTuple):
    """The lines that are committed together."""

    numbers: list[int]
    payloads: list[msgspec.Raw]
    keys: list[str]

    @property
    def lines(self) -> str:
        return f"{self.numbers[0]:,} to {self.numbers[-1]:,}"


class Stored(Value, frozen=True, omit_defaults=False):
    """A committed batch: its first and last line, and the ids of its runs in the order of the lines."""

    first_line: int
    last_line: int
    runs: list[int]


class RefusedLine(Value, frozen=True, omit_defaults=False):
    """A line that was refused, and why."""

    line: int
    type: str
    detail: str


class LinesRefused(TriggersRefused):
    """The same of a batch of lines; which ones has been said already."""

    def __init__(self, refused: TriggersRefused, batch: Batch) -> None:
        super().__init__(refused.count, refused.refused)
        number = len(refused.refused)
        were = "line was" if number == 1 else "lines were"
        self.args = (f"{number:,} {were} refused; nothing of lines {batch.lines} is stored",)


class Lines:
    """The lines of a file or of stdin, counted from 1; blank ones are left out and remembered."""

    def __init__(self, source: IO[bytes], name: str) -> None:
        self._source = source
        self._name = name
        self.blank: list[int] = []
        self.blank_count = 0
        self.read_bytes = 0

    def batches(self) -> Iterator[Batch]:
        """Raises UsageError for a line that is no trigger."""
        batch, size, number = Batch([], [], []), 0, 0
        while line := self._source.readline(MAX_LINE_BYTES + 1):
            number += 1
            self.read_bytes += len(line)
            if len(line) > MAX_LINE_BYTES:
                raise click.UsageError(f"line {number:,} has more than {MAX_LINE_BYTES:,} bytes.")
            text = line.strip()
            if not text:
                self.blank_count += 1
                self.blank += [number] if len(self.blank) < MAX_SAID else ()
                continue
            payload, key = _without_key(text, number) if QUOTED_KEY in text else (text, None)
            batch.numbers.append(number)
            batch.payloads.append(msgspec.Raw(payload))
            batch.keys.append(key or f"{self._name}:{number}")
            size += len(payload)
            if len(batch.numbers) == BATCH_LINES or size >= BATCH_BYTES:
                yield batch
                batch, size = Batch([], [], []), 0
        if batch.numbers:
            yield batch


def _without_key(text: bytes, number: int) -> tuple[bytes, str | None]:
    """The payload, and the key that the line carries.  What is no JSON is left to the check of payloads."""
    try:
        members = _members.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return text, None
    given = members.pop(KEY, None)
    if given is None:
        return text, None
    try:
        key = msgspec.json.decode(given, type=str)
    except msgspec.ValidationError:
        raise click.UsageError(f'line {number:,}: "$key" is not a string; give a string, or leave it out.') from None
    return msgspec.json.encode(members), key


def import_lines(
    boss: Orchestrator, worker: str, file: str, *, name: str | None, options: Mapping[str, Any], as_json: bool
) -> int:
    """How many triggers were stored or known already.  Raises UsageError, and what `trigger_many` raises."""
    import_name = name or (f"stdin-{uuid.uuid4().hex[:8]}" if file == "-" else Path(file).name)
    again = f"--import {import_name}" if file == "-" and name is None else ""
    count = last = 0
    with _opened(file) as (source, size):
        lines = Lines(source, import_name)
        try:
            for batch in lines.batches():
                runs = boss.sync.trigger_many(worker, batch.payloads, keys=batch.keys, **options)
                count += len(runs)
                last = batch.numbers[-1]
                if as_json:
                    dump.line(Stored(batch.numbers[0], last, [run.id for run in runs]))
                _show(count, added=len(runs), read_bytes=lines.read_bytes, size=size)
        except TriggersRefused as refused:
            messages.overwrite()
            _tell_refused(refused, batch, as_json=as_json)
            _tell_how_to_go_on(last, again)
            raise LinesRefused(refused, batch) from None
        except (CallerError, OperatorError, click.UsageError, KeyboardInterrupt):
            messages.overwrite()
            _tell_how_to_go_on(last, again)
            raise
        finally:
            messages.overwrite()
    if lines.blank_count:
        more = "" if lines.blank_count <= MAX_SAID else f" and {lines.blank_count - MAX_SAID:,} more"
        messages.note(f"blank lines were skipped: {', '.join(f'{each:,}' for each in lines.blank)}{more}")
    return count


@contextmanager
def _opened(file: str) -> Iterator[tuple[IO[bytes], int | None]]:
    """The file, and its size if it has one.  Raises UsageError."""
    if file == "-":
        yield sys.stdin.buffer, None
        return
    try:
        source = Path(file).open("rb")  # noqa: SIM115  # closed below; what is raised in between is not about opening it
    except OSError as error:
        raise click.UsageError(f"{file} cannot be read: {error.strerror or error}.") from error
    with source:
        yield source, os.fstat(source.fileno()).st_size or None


def _show(count: int, *, added: int, read_bytes: int, size: int | None) -> None:
    """A bar on a terminal; elsewhere a line now and then."""
    share = None if size is None else min(1.0, read_bytes / size)
    drawn = "" if share is None else f"{formatting.bar(share)} {share * 100:3.0f} %  "
    if messages.is_terminal(sys.stderr):
        messages.overwrite(f"{drawn}{count:,} triggered")
    elif count // NOTE_LINES > (count - added) // NOTE_LINES:
        messages.note(f"{count:,} triggered")


def _tell_refused(refused: TriggersRefused, batch: Batch, *, as_json: bool) -> None:
    """Every refused line: as JSON all of them, in words the first ones."""
    if as_json:
        for each in refused.refused:
            dump.line(RefusedLine(batch.numbers[each.place], type(each.error).__name__, str(each.error)))
    alike = [(text, list(those)) for text, those in groupby(refused.refused, lambda each: str(each.error))]
    for text, those in alike[:MAX_SAID]:
        last = f" to {batch.numbers[those[-1].place]:,}" if len(those) > 1 else ""
        messages.note(f"line{'s' if last else ''} {batch.numbers[those[0].place]:,}{last}: {text}")
    if len(alike) > MAX_SAID:
        messages.note(f"and {sum(len(those) for _, those in alike[MAX_SAID:]):,} more lines")
    if any(isinstance(each.error, DuplicateKey) for each in refused.refused):
        messages.note("if these keys belong to another import, give this one a name of its own: --import NAME")


def _tell_how_to_go_on(last: int, again: str) -> None:
    """*again*: what has to be given besides, so that the same lines get the same keys."""
    how = f"repeat the command with {again} and the same lines" if again else "repeat the same command"
    stored = f"lines 1 to {last:,} are stored" if last else "nothing is stored"
    messages.note(f"{stored}; to go on, {how}: no line is stored twice")
