"""`shiftboss dev`: run an app with its dashboard, and start it again whenever its code is saved."""

from __future__ import annotations

from importlib.util import find_spec

import click

from shiftboss.cli.command import Command, debug_option, examples
from shiftboss.cli.parameters import SECONDS
from shiftboss.errors import ConfigurationError


@click.command(
    cls=Command,
    epilog=examples(
        "shiftboss dev app.py",
        "shiftboss dev shop.jobs:boss --http 9000",
        "shiftboss dev app.py --shutdown-timeout 10s    bodies that need longer to end well",
    ),
)
@click.argument("app", metavar="[APP]", required=False, envvar="SHIFTBOSS_APP")
@click.option("--http", metavar="HOST:PORT", help="The dashboard.  [default: 127.0.0.1:8420, or any free port]")
@click.option(
    "--shutdown-timeout", type=SECONDS, default=3.0, help="For the end of the old code at each save.  [default: 3s]"
)
@click.option(
    "-s",
    "--store",
    metavar="URL",
    envvar="SHIFTBOSS_STORE",
    help="The store: sqlite:///jobs.db or a path.  [default: that of the app, else ./shiftboss.db]",
)
@debug_option
def dev(app: str | None, http: str | None, shutdown_timeout: float, store: str | None) -> int:
    """Run an app with its dashboard, and start it again whenever its code is saved.

    A process of its own runs the app.  When a *.py file below the app's folder changes it is told to end, within
    --shutdown-timeout: what runs is waited for, what is cut short is handed back and starts again in the new one.  An
    app that cannot be imported says why, and the next save tries again.  The port stays the same.

    Ctrl-C ends it as it ends `run`: once drains, twice cancels.
    """
    for needed in ("watchfiles", "starlette", "uvicorn"):
        if find_spec(needed) is None:
            raise ConfigurationError(f"dev needs {needed}, which is not installed; run: pip install 'shiftboss[dev]'")
    from shiftboss.cli.reloading import reload_on_save  # with the server

    return reload_on_save(app, http=http, store=store, shutdown_timeout_s=shutdown_timeout)
