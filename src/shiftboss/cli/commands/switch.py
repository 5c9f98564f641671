"""`shiftboss enable`, `disable`, `forget`: what a person decides about a worker."""

from __future__ import annotations

import click

from shiftboss.cli import formatting, messages, store_access
from shiftboss.cli.command import Command, examples, store_option, yes_option
from shiftboss.cli.exits import Exit
from shiftboss.cli.naming import worker_name


@click.command(cls=Command, epilog=examples("shiftboss enable charge-cards"))
@click.argument("names", nargs=-1, required=True, metavar="NAME...", type=worker_name)
@store_option
def enable(names: tuple[str, ...], store: str | None, app: str | None) -> int:
    """Let workers start again; resets failures and breaker.

    Instants of a schedule that passed meanwhile are
    recorded as skipped.
    """
    with store_access.operating(store, app) as boss:
        for name in names:
            state = boss.sync.enable(name)
            messages.note(f"{state.name} is enabled")
    return Exit.DONE


@click.command(cls=Command, epilog=examples("shiftboss disable charge-cards --reason 'gateway is being moved'"))
@click.argument("names", nargs=-1, required=True, metavar="NAME...", type=worker_name)
@click.option("--reason", default="", help="Shown wherever the worker is, and kept for the audit.")
@store_option
def disable(names: tuple[str, ...], reason: str, store: str | None, app: str | None) -> int:
    """Start nothing new of workers; what runs goes on.

    What waits stays, new triggers are refused.  It holds in the whole fleet and over restarts,
    until somebody enables them.
    """
    with store_access.operating(store, app) as boss:
        for name in names:
            state = boss.sync.disable(name, reason=reason)
            why = state.disabled.reason if state.disabled is not None else ""
            messages.note(f"{state.name} is disabled{': ' if why else ''}{why}")
    return Exit.DONE


@click.command(cls=Command, epilog=examples("shiftboss forget old-import --yes"))
@click.argument("name", type=worker_name)
@yes_option
@store_option
def forget(name: str, yes: bool, store: str | None, app: str | None) -> int:
    """Remove a worker that no live node declares any more.

    Its waiting runs are cancelled; its history and its dead letters stay.
    """
    with store_access.operating(store, app) as boss:
        pending = {worker.name: worker.pending for worker in boss.sync.status().workers}
        if name in pending:  # else there is nothing to ask about
            messages.confirm(
                f"Forget worker {name!r} and cancel {formatting.plural(pending[name], 'waiting run')}?", yes=yes
            )
        boss.sync.forget(name)
    messages.note(f"{name} is forgotten")
    return Exit.DONE
