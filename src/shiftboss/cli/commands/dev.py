"""`shiftboss dev`: run an app with its dashboard, and start it again whenever its code is saved."""

from __future__ import annotations

from importlib.util import find_spec

import click

from shiftboss.cli.command import SettingsCommand, debug_option, examples
from shiftboss.cli.parameters import SECONDS
from shiftboss.errors import ConfigurationError


@click.command(
    cls=SettingsCommand,
    epilog=examples(
        "shiftboss dev app.py",
        "shiftboss dev shop.jobs:boss --http 9000",
        "shiftboss dev app.py --shutdown-timeout 10s    functions that need longer to stop",
    ),
)
@click.argument("app", metavar="[APP]", required=False, envvar="SHIFTBOSS_APP")
@click.option(
    "--http", metavar="HOST:PORT", help="Serve the dashboard there.  [default: 127.0.0.1:8420, or any free port]"
)
@click.option(
    "--shutdown-timeout", type=SECONDS, default=3.0, help="Time for the old process to end at each save.  [default: 3s]"
)
@click.option(
    "-s",
    "--store",
    metavar="URL",
    envvar="SHIFTBOSS_STORE",
    help="The store: sqlite:///jobs.db or a path.  [default: the app's store, else ./shiftboss.db]",
)
@debug_option
def dev(app: str | None, http: str | None, shutdown_timeout: float, store: str | None) -> int:
    """Run an app with its dashboard, and restart it whenever its code changes.

    A separate process runs the app.  When a *.py file below the app's folder changes, that process stops: it waits for
    running runs up to --shutdown-timeout, and runs that it interrupts start again in the new process.  If the app
    cannot be imported, the command says why and tries again at the next save.  The port stays the same.

    Ctrl-C stops it like `run`: once drains, twice cancels.
    """
    for needed in ("watchfiles", "starlette", "uvicorn"):
        if find_spec(needed) is None:
            raise ConfigurationError(f"dev needs {needed}, which is not installed; run: pip install 'shiftboss[dev]'")
    from shiftboss.cli.reloading import reload_on_save  # with the server

    return reload_on_save(app, http=http, store=store, shutdown_timeout_s=shutdown_timeout)
