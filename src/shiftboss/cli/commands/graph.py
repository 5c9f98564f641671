"""`shiftboss graph`: which worker waits for which, and which ones exclude each other."""

from __future__ import annotations

import click

from shiftboss.cli import dump, messages, store_access
from shiftboss.cli.app_file import load_app
from shiftboss.cli.command import SettingsCommand, examples, json_option, store_option
from shiftboss.cli.exits import Exit


@click.command(
    cls=SettingsCommand,
    epilog=examples(
        "shiftboss graph                                  what the store knows",
        "shiftboss graph app.py --format mermaid > jobs.mmd",
    ),
)
@click.argument("target", metavar="[APP]", required=False)
@click.option("--format", "form", type=click.Choice(["text", "mermaid"]), default="text", show_default=True)
@json_option
@store_option
def graph(target: str | None, form: str, as_json: bool, store: str | None, app: str | None) -> int:
    """Show dependencies, exclusions and shared resources.

    Of the named APP, else of the workers in the store.
    """
    from shiftboss.cli import drawing

    if target is not None:
        boss = load_app(target).boss
        drawn = drawing.Drawing(boss.definitions, resources=boss.resources)
    else:
        with store_access.reading(store, app) as views:
            snapshot = views.snapshot()
        definitions = {name: state.definition for name, state in snapshot.workers.items()}
        drawn = drawing.Drawing(definitions, resources=snapshot.resources, breakers=snapshot.breakers)
    if as_json:
        dump.one(drawn.edges())
    elif form == "mermaid":
        messages.program(drawn.mermaid())
    else:
        drawn.show()
    return Exit.DONE
