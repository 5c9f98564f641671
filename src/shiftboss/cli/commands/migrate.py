"""`shiftboss migrate`: make the store, bring its schema up to date, or move all of it into another."""

from __future__ import annotations

import sys
from contextlib import closing

import click

from shiftboss.app.audit_key import hand_over
from shiftboss.app.store_migration import Moved, Stage, move
from shiftboss.cli import dump, messages, store_access, table
from shiftboss.cli.command import SettingsCommand, examples, json_option, store_option
from shiftboss.cli.exits import Exit
from shiftboss.clock import SystemClock
from shiftboss.errors import ConfigurationError
from shiftboss.ports.store import Store
from shiftboss.stores.urls import open_store

LINE_RUNS = 10_000  # some ten seconds
COLUMNS = (table.Column("MOVED"), table.Column("COUNT", right=True), table.Column("SHA-256"))


@click.command(
    cls=SettingsCommand,
    epilog=examples(
        "shiftboss migrate --store sqlite:////srv/shop/jobs.db",
        "shiftboss migrate --from sqlite:///shiftboss.db --to sqlite:////srv/shop/jobs.db",
        "shiftboss migrate --from sqlite:///shiftboss.db --to postgresql://shop@db.example.org/shop",
    ),
)
@click.option("--from", "source", metavar="URL", help="Move everything out of this store …")
@click.option("--to", "target", metavar="URL", help="… into this one, which must be new.")
@json_option
@store_option
def migrate(as_json: bool, source: str | None, target: str | None, store: str | None, app: str | None) -> int:
    """Create a store, upgrade its schema, or move it elsewhere.

    An app creates and upgrades its store when it starts; use this command to make that a separate step of a deploy.

    --from and --to copy a whole store into another one: workers and their states, pending runs, dead letters, history
    and logs.  Stop the nodes first.  The source stays unchanged, and the copy is compared with it by counts and
    digests.  The audit key, which lies beside the source, is copied too.
    """
    if source is not None or target is not None:
        if source is None or target is None or store is not None:
            raise click.UsageError("a move takes --from URL and --to URL, without --store and --app")
        return _move(source, target, as_json=as_json)
    target_store = open_store(store_access.store_url(store, app), SystemClock())
    before, after = target_store.schema()
    target_store.open(create=True)
    target_store.close()
    if as_json:
        dump.one({"store": target_store.url, "from": before, "to": after})
    elif before is None:
        messages.note(f"created {target_store.url} with schema {after}")
    elif before == after:
        messages.note(f"{target_store.url} already has the newest schema, {after}")
    else:
        messages.note(f"{target_store.url}: schema upgraded from {before} to {after}")
    return Exit.DONE


def _move(source: str, target: str, *, as_json: bool) -> int:
    old, new = open_store(source, SystemClock()), open_store(target, SystemClock())
    old.open(create=False)
    with closing(old):
        new.open(create=True)
        with closing(new):
            try:
                moved = move(old, new, on_progress=_show)
            finally:
                messages.overwrite()
            _hand_over_the_key(old, new)
    if as_json:
        dump.one(moved)
    else:
        table.show(COLUMNS, _rows(moved))
        messages.note(
            f"{moved.target} now has everything of {moved.source}, which is unchanged; start nodes only on the new "
            "store"
        )
    return Exit.DONE


def _hand_over_the_key(old: Store, new: Store) -> None:
    """Carry over the audit's key, so that it verifies the copied audit and continues it (A8)."""
    try:
        key = hand_over(old, new)
    except (OSError, ConfigurationError) as error:
        messages.warn(f"the audit key was not copied: {error}; see docs/how-to/audit.md")
        return
    if key.given_by:
        messages.note(f"the audit key comes from {key.given_by}: give it to the nodes of the new store too")
    elif key.target is not None:
        messages.note(f"the audit key was copied to {key.target}; back it up separately from the store")
        if getattr(new, "path", None) is None:
            messages.note(
                f"it is for this user on this machine; copy {key.source} to every other machine with nodes, readable "
                "only for their user (mode 0600), and name it there in SHIFTBOSS_AUDIT_KEY_FILE"
            )
    else:
        messages.note(
            "there is no audit key on this machine: nodes will create a new one, and verifying the rows sealed so "
            "far needs the old one"
        )


def _rows(moved: Moved) -> list[list[str | table.Cell]]:
    return [[part, f"{copied.count:,}", copied.digest[:16]] for part, copied in moved.parts.items()]


def _show(stage: Stage, runs: int) -> None:
    """A growing number on a terminal; elsewhere a line now and then."""
    if messages.is_terminal(sys.stderr):
        messages.overwrite(f"{runs:,} runs {stage}")
    elif runs and runs % LINE_RUNS == 0:
        messages.note(f"{runs:,} runs {stage}")
