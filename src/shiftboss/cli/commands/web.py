"""`shiftboss web`: the dashboard and the HTTP API of a store, running nothing."""

from __future__ import annotations

import threading

import click

from shiftboss.app.first_node import WAIT_S
from shiftboss.app.signals import heard
from shiftboss.cli import messages, serving, store_access
from shiftboss.cli.command import SettingsCommand, create_option, examples, store_option
from shiftboss.cli.exits import Exit


@click.command(
    cls=SettingsCommand,
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
    help="Where to listen; port 0 means any free port.",
)
@serving.http_options
@create_option
@store_option
def web(
    http: str,
    access_file: str | None,
    trusted_proxies: tuple[str, ...],
    user_header: str | None,
    create: bool,
    store: str | None,
    app: str | None,
) -> int:
    """Serve the dashboard and the HTTP API of a store, without running workers.

    In a terminal it prints a login link for a browser.  Scripts send the token that the server creates at its first
    start and keeps beside the store (shop.db.token; `shiftboss token show`).  If other machines can reach the address,
    you must give a credential: SHIFTBOSS_AUTH_TOKEN, SHIFTBOSS_AUTH_TOKEN_FILE with it in a file, or named tokens
    (`shiftboss token new ada --role admin`).  Behind a proxy give --trusted-proxy.

    If the store does not exist yet, the command waits for it up to 10 s.  With --app payloads are checked as they are
    entered.  SIGTERM or Ctrl-C stops it.
    """
    ended = threading.Event()
    with (
        store_access.operating(store, app, create=create, wait_s=WAIT_S) as boss,
        serving.page(
            boss, http, access_file=access_file, trusted_proxies=trusted_proxies, user_header=user_header
        ) as page,
        heard(lambda _: ended.set()),
    ):
        page.open()
        ended.wait()
    messages.note("stopped")
    return Exit.DONE
