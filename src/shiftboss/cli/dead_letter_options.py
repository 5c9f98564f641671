"""Choosing dead letters by id or by filter, and doing something to many of them.

Rules of this file
- Many go to the store together, because it commits them in groups; a refusal is reported, and the others go on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import TypeVar

import click

from shiftboss.app.dead_letters import DeadLetterSelection
from shiftboss.cli import dump, formatting, messages
from shiftboss.cli.command import F
from shiftboss.cli.exits import Exit, exit_of
from shiftboss.cli.naming import run_id, worker_name
from shiftboss.cli.parameters import SINCE
from shiftboss.core.model import DeadLetter
from shiftboss.errors import CallerError

AT_ONCE = 64  # callers that wait for one commit together

T = TypeVar("T")


def filter_options(fn: F) -> F:
    """--worker, --error, --since."""
    worker = click.option("--worker", type=worker_name, help="Only of this worker.")
    error = click.option("--error", metavar="TYPE", help="Only with this error type, such as ReadTimeout.")
    since = click.option("--since", type=SINCE, help="Only those that failed since then: 2h, 2027-03-28T18:00.")
    return worker(error(since(fn)))


def choice_options(fn: F) -> F:
    """Ids, or a filter, or --all."""
    ids = click.argument("ids", nargs=-1, metavar="[RUN]...")
    everything = click.option("--all", "everything", is_flag=True, help="All open dead letters.")
    return ids(filter_options(everything(fn)))


def choice(
    ids: tuple[str, ...], worker: str | None, error: str | None, since: datetime | None, everything: bool
) -> DeadLetterSelection:
    """What the options select.  Raises UsageError if they select nothing, or in two ways."""
    has_filter = worker is not None or error is not None or since is not None
    if sum((bool(ids), has_filter, everything)) != 1:
        raise click.UsageError("name the dead letters: give their ids, or --worker, --error, --since, or --all.")
    return DeadLetterSelection(tuple(run_id(text) for text in dict.fromkeys(ids)), worker, error, since, everything)


def in_words(letters: Sequence[DeadLetter]) -> str:
    """ "11 dead letters of sync-orders (ReadTimeout)"."""
    workers = sorted({letter.worker for letter in letters})
    errors = sorted({letter.error_type.rpartition(".")[2] for letter in letters if letter.error_type})
    of = workers[0] if len(workers) == 1 else formatting.plural(len(workers), "worker")
    kinds = f" ({', '.join(errors[:3])}{', …' if len(errors) > 3 else ''})" if errors else ""
    return f"{formatting.plural(len(letters), 'dead letter')} of {of}{kinds}"


def do_all(
    letters: Sequence[DeadLetter], act: Callable[[int, DeadLetter], T], done: Callable[[DeadLetter, T], None]
) -> Exit:
    """Call *act* for each letter, many at a time, and *done* in order.  Returns the first refusal's code, else 0."""
    code = Exit.DONE
    with ThreadPoolExecutor(AT_ONCE) as pool:
        futures = [pool.submit(act, number, letter) for number, letter in enumerate(letters)]
        try:
            for number, (letter, future) in enumerate(zip(letters, futures, strict=True), 1):
                try:
                    done(letter, future.result())
                except CallerError as error:
                    messages.error(str(error))
                    code = code or exit_of(error)
                _show(number, len(letters))
        finally:
            pool.shutdown(cancel_futures=True)
            _show(0, 0)
    return code


def would(verb: str, letters: Sequence[DeadLetter], *, as_json: bool) -> Exit:
    """Print which letters *verb* would act on."""
    if as_json:
        dump.lines(letters)
        return Exit.DONE
    for letter in letters:
        messages.say(f"{letter.run} {letter.worker} {letter.error_type or letter.cause.value}")
    messages.note(f"would {verb} {in_words(letters)}" if letters else f"nothing to {verb}")
    return Exit.DONE


def _show(number: int, total: int) -> None:
    """A progress bar, if somebody looks and there is something to see."""
    if total and total < AT_ONCE:
        return
    messages.overwrite(f"{formatting.bar(number / total)} {number:,}/{total:,}" if total else "")
