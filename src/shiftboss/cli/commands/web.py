"""`shiftboss web`: the dashboard and the HTTP API of a store, running nothing."""

from __future__ import annotations

import threading

import click

from shiftboss.app.first_node import WAIT_S
from shiftboss.app.signals import heard
from shiftboss.cli import place, serving, talk
from shiftboss.cli.command import Command, create_option, examples, store_option
from shiftboss.cli.exits import Exit


@click.command(
    cls=Command,
    epilog=examples(
        "shiftboss web                              http://127.0.0.1:8420/",
        "SHIFTBOSS_AUTH_TOKEN=… shiftboss web --http 0.0.0.0:8420 -s jobs.db",
    ),
)
@click.option(
    "--http",
    metavar="HOST:PORT",
    default="127.0.0.1:8420",
    show_default=True,
    help="Where to listen; port 0: any free.",
)
@create_option
@store_option
def web(http: str, create: bool, store: str | None, app: str | None) -> int:
    """Serve the dashboard and the HTTP API of a store; runs no worker.

    On this machine alone nothing is asked for.  Another address needs SHIFTBOSS_AUTH_TOKEN, or
    SHIFTBOSS_AUTH_TOKEN_FILE with the token in it; with it everybody shows the token, also on this machine.

    A store that is not there yet is waited for, up to 10 s.  With --app payloads are checked as they are entered.
    SIGTERM or Ctrl-C ends it.
    """
    ended = threading.Event()
    with (
        place.operating(store, app, create=create, wait_s=WAIT_S) as boss,
        serving.page(boss, http) as open_page,
        heard(lambda _: ended.set()),
    ):
        open_page()
        ended.wait()
    talk.note("stopped")
    return Exit.DONE
