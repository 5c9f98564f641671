"""`shiftboss run`: run the workers of an app in this process."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import click

from shiftboss.app.serve import exit_code, serve
from shiftboss.cli import messages, run_output, serving, stop_conditions, store_access
from shiftboss.cli.command import SettingsCommand, debug_option, examples
from shiftboss.cli.parameters import SECONDS
from shiftboss.errors import ConfigurationError

if TYPE_CHECKING:
    from shiftboss.app.orchestrator import Orchestrator
    from shiftboss.engine.engine import Engine


@click.command(
    cls=SettingsCommand,
    epilog=examples(
        "shiftboss run app.py",
        "shiftboss run shop.jobs:boss --only 'mail-*' -j 8",
        "shiftboss run app.py --burst              run what is due, then stop",
        "shiftboss run app.py --http 8420          with the dashboard on this machine",
    ),
)
@click.argument("app", metavar="[APP]", required=False, envvar="SHIFTBOSS_APP")
@click.option("--only", multiple=True, metavar="GLOB", help="Run only these workers in this process.  Repeatable.")
@click.option("--except", "except_", multiple=True, metavar="GLOB", help="Run all workers but these.  Repeatable.")
@click.option(
    "-j", "--jobs", type=click.IntRange(min=1), metavar="N", help="Slots of this process.  [default: the app's]"
)
@click.option("--shutdown-timeout", type=SECONDS, help="Time for a graceful stop.  [default: the app's, else 25s]")
@click.option("--burst", is_flag=True, help="Stop as soon as nothing is due or running.")
@click.option("--for", "for_s", type=SECONDS, metavar="DURATION", help="Stop after this time.")
@click.option("--http", metavar="HOST:PORT", help="Serve the dashboard and the API there: 127.0.0.1:8420.")
@serving.http_options
@click.option("--log-format", type=click.Choice(["text", "json"]), help="[default: text]")
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), help="[default: info]")
@click.option(
    "-s",
    "--store",
    metavar="URL",
    envvar="SHIFTBOSS_STORE",
    help="The store: sqlite:///jobs.db or a path.  [default: the app's store, else ./shiftboss.db]",
)
@debug_option
def run(
    app: str | None,
    only: tuple[str, ...],
    except_: tuple[str, ...],
    jobs: int | None,
    shutdown_timeout: float | None,
    burst: bool,
    for_s: float | None,
    http: str | None,
    access_file: str | None,
    trusted_proxies: tuple[str, ...],
    user_header: str | None,
    log_format: str | None,
    log_level: str | None,
    store: str | None,
) -> int:
    """Run the workers of an app in this process.

    APP is module:attr, file.py or file.py:attr; else [tool.shiftboss] app; else the one Orchestrator in app.py, main.py
    or workers.py in this folder.  Any number of processes can use one store.

    SIGTERM, Ctrl-C or closing the terminal drains the process; a second one cancels the running runs, a third exits at
    once.  SIGQUIT prints all stacks.  Exits with 0 when every run has ended or was handed back, 1 when a function could
    not be stopped, 75 when the store could not be reached, and 129, 130 or 143 when it was forced to exit.
    """
    given = store_access.given_app(app)
    boss = given.boss
    if store is not None:
        boss.store_override = store
    if jobs is not None:
        boss.max_concurrency = jobs
    if shutdown_timeout is not None:
        boss.shutdown_timeout_s = shutdown_timeout
    _choose(boss, only, except_)
    run_output.say_what_happens(boss, log_format=log_format, log_level=log_level)
    if messages.is_terminal(sys.stderr):
        run_output.banner(given)
    elif app is None:
        messages.note(f"using {given.name}")
    served = serving.page(boss, http, access_file=access_file, trusted_proxies=trusted_proxies, user_header=user_header)
    with served as page, stop_conditions.conditions(boss, for_s=for_s, burst=burst) as until:

        def show_it(engine: Engine) -> None:
            until(engine)
            page.open()

        report = serve(boss, until=show_it)
    messages.let_go(sys.stdout)  # what functions have printed is no output of the command
    return exit_code(report, [report.signal] if report.signal is not None else [])


def _choose(boss: Orchestrator, only: Iterable[str], except_: Iterable[str]) -> None:
    """Which workers run here.  Raises ConfigurationError if none does, or if a pattern fits none."""
    only, except_ = list(only), list(except_)
    for glob in (*only, *except_):
        if not any(fnmatchcase(name, glob) for name in boss.definitions):
            known = ", ".join(boss.definitions) or "none"
            raise ConfigurationError(f"no worker matches {glob!r}; known: {known}")

    def chosen(name: str) -> bool:
        return (not only or _fits(name, only)) and not _fits(name, except_)

    if not any(chosen(name) for name in boss.definitions):
        raise ConfigurationError(
            "--only and --except leave no worker to run" if boss.definitions else "the app has no workers"
        )
    boss.only = chosen


def _fits(name: str, globs: Iterable[str]) -> bool:
    return any(fnmatchcase(name, glob) for glob in globs)
