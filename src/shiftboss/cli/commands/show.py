"""`shiftboss show`: all about one worker or one run."""

from __future__ import annotations

import click

from shiftboss.cli import dump, store_access
from shiftboss.cli.command import SettingsCommand, examples, json_option, store_option
from shiftboss.cli.exits import Exit
from shiftboss.cli.naming import find, worker_or_run


@click.command(
    cls=SettingsCommand,
    epilog=examples("shiftboss show send-mail", "shiftboss show 1042          a run, with payload and attempts"),
)
@click.argument("name", metavar="NAME|RUN", type=worker_or_run)
@json_option
@store_option
def show(name: str, as_json: bool, store: str | None, app: str | None) -> int:
    """Show everything about one worker or one run.

    A worker: its description, settings, relations, health with reasons, next run times and last runs.  A run: its
    attempts, error, payload and result, the run that caused it and the runs that it caused.
    """
    from shiftboss.app.pages import page_of_run as read_run
    from shiftboss.app.pages import page_of_worker as read_worker
    from shiftboss.cli import show_run, show_worker

    with store_access.reading(store, app) as views:
        named = find(views, name)
        if named.run is not None:
            run = read_run(views, named.run)
            dump.one(run) if as_json else show_run.show(run)
        else:
            worker = read_worker(views, named.worker)
            dump.one(worker) if as_json else show_worker.show(worker)
    return Exit.DONE
