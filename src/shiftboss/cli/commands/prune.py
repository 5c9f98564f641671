"""`shiftboss prune`: delete finished runs that are old enough (A4)."""

from __future__ import annotations

import click

from shiftboss.cli import formatting, messages, store_access, times
from shiftboss.cli.command import SettingsCommand, examples, store_option, yes_option
from shiftboss.cli.exits import Exit
from shiftboss.cli.parameters import SECONDS
from shiftboss.core.retention import BATCH, Keep, cutoffs
from shiftboss.core.value import replace


@click.command(cls=SettingsCommand, epilog=examples("shiftboss prune --older-than 30d --yes"))
@click.option(
    "--older-than", type=SECONDS, default="14d", show_default=True, help="Delete runs and events older than this."
)
@click.option(
    "--letters-older-than",
    type=SECONDS,
    default="30d",
    show_default=True,
    help="Delete closed dead letters older than this.",
)
@yes_option
@store_option
def prune(older_than: float, letters_older_than: float, yes: bool, store: str | None, app: str | None) -> int:
    """Delete old finished runs.

    Also old events and closed dead letters; the audit log stays.  It deletes in small batches, so nodes can keep
    working.  Open dead letters stay, and so does everything that an unfinished run refers to.
    """
    with store_access.opened(store_access.store_url(store, app)) as (opened, clock):
        keep = Keep(runs_s=older_than, letters_s=letters_older_than)
        session = opened.session()
        total = 0
        try:
            with session.read() as reader:
                before = replace(cutoffs(keep, reader.clock_mark(), clock.now()), audit=None)
            messages.confirm(
                f"Delete everything that ended before {times.stamp(before.runs)} from {opened.url}?", yes=yes
            )
            bounds = (
                f"runs and events before {times.stamp(before.runs)}, dead letters closed before "
                f"{times.stamp(before.letters)}"
            )
            store_access.recorded(store, app, "prune", after=bounds)
            while gone := session.prune(before, limit=BATCH):
                total += gone
                messages.overwrite(f"{total:,} deleted")
        finally:
            session.close()
            messages.overwrite()
    messages.note(f"{formatting.plural(total, 'row')} deleted")
    return Exit.DONE
