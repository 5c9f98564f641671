"""`shiftboss migrate`: make the store, or bring its schema up to date."""

from __future__ import annotations

from pathlib import Path

import click

from shiftboss.cli import dump, place, talk
from shiftboss.cli.command import Command, examples, json_option, store_option
from shiftboss.cli.exits import Exit
from shiftboss.clock import SystemClock
from shiftboss.stores.sqlite import SqliteStore
from shiftboss.stores.sqlite_file import Headings
from shiftboss.stores.sqlite_schema import latest
from shiftboss.stores.urls import open_store


@click.command(cls=Command, epilog=examples("shiftboss migrate --store sqlite:////srv/shop/jobs.db"))
@json_option
@store_option
def migrate(as_json: bool, store: str | None, app: str | None) -> int:
    """Make the store, or bring its schema up to date.

    An app does that itself when it starts; this is for those who want it as a step of its own in a deploy.
    """
    found = open_store(place.store_url(store, app), SystemClock())
    before = _version(found.path) if isinstance(found, SqliteStore) and found.path.exists() else None
    found.open(create=True)
    found.close()
    after = latest()
    if as_json:
        dump.one({"store": found.url, "from": before, "to": after})
    elif before is None:
        talk.note(f"made {found.url} with schema {after}")
    elif before == after:
        talk.note(f"{found.url} has schema {after}, the newest; nothing to do")
    else:
        talk.note(f"{found.url}: schema {before} became {after}")
    return Exit.DONE


def _version(path: Path) -> int | None:
    """What the file says, before anything touches it; None for a file that is no store (opening it says what it is)."""
    return Headings(path).version if path.stat().st_size else None
