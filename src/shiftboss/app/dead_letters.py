"""Choosing dead letters by id or by filter, and grouping them by what caused them.

Rules of this file
- An error type is given as it is stored, or by its class name alone: "ReadTimeout" finds httpx.ReadTimeout.
- Lists are read page by page: no query is larger than a page.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import NamedTuple

from shiftboss.app.views import Views
from shiftboss.core.model import DeadLetter
from shiftboss.core.value import Value
from shiftboss.errors import NotAllowed
from shiftboss.ports.faces import LetterFilter

PAGE = 1000


class DeadLetterSelection(NamedTuple):
    """Which dead letters are selected: by id, or by filter."""

    ids: tuple[int, ...] = ()
    worker: str | None = None
    error: str | None = None
    since: datetime | None = None
    everything: bool = False

    @property
    def is_bulk(self) -> bool:
        return len(self.ids) != 1


class DeadGroup(Value, frozen=True, omit_defaults=False):
    """The number of open dead letters that share a worker, a cause and an error type."""

    worker: str
    cause: str
    error_type: str
    count: int
    oldest_at: datetime
    newest_at: datetime
    newest_run: int


def selected(views: Views, wanted: DeadLetterSelection) -> list[DeadLetter]:
    """The oldest first.  Raises UnknownRun, and NotAllowed for an id that is no dead letter."""
    if not wanted.ids:
        return list(open_letters(views, wanted))[::-1]
    letters: dict[int, DeadLetter] = {}
    for start in range(0, len(wanted.ids), PAGE):
        ids = wanted.ids[start : start + PAGE]
        letters.update((each.run, each) for each in views.letters(LetterFilter(ids=ids, state=None, limit=PAGE)))
    for each in wanted.ids:
        if each not in letters:
            run = views.run(each)
            raise NotAllowed(f"run {each} of {run.worker!r} is not a dead letter (it is {run.status})")
    return [letters[each] for each in wanted.ids]


def open_letters(views: Views, wanted: DeadLetterSelection = DeadLetterSelection()) -> Iterator[DeadLetter]:  # noqa: B008  # immutable
    """The newest first, read page by page."""
    asked = LetterFilter(worker=wanted.worker, since=wanted.since, limit=PAGE)
    while page := views.letters(asked):
        yield from (letter for letter in page if fits(letter, wanted.error))
        if len(page) < PAGE:
            return
        asked = asked._replace(before=page[-1].run)


def fits(letter: DeadLetter, error: str | None) -> bool:
    """Whether the run died of *error*; None fits every letter."""
    return error is None or error in (letter.error_type, letter.error_type.rpartition(".")[2], letter.cause.value)


def grouped(letters: Iterable[DeadLetter]) -> list[DeadGroup]:
    """By worker, cause and error type; the largest group first."""
    groups: dict[tuple[str, str, str], list[DeadLetter]] = {}
    for letter in letters:
        groups.setdefault((letter.worker, letter.cause.value, letter.error_type), []).append(letter)
    made = [
        DeadGroup(
            worker=worker,
            cause=cause,
            error_type=error_type,
            count=len(members),
            oldest_at=min(letter.entered_at for letter in members),
            newest_at=max(letter.entered_at for letter in members),
            newest_run=max(letter.run for letter in members),
        )
        for (worker, cause, error_type), members in groups.items()
    ]
    return sorted(made, key=lambda group: (-group.count, group.worker, group.cause, group.error_type))
