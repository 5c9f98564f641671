"""`shiftboss demo`: the worked example, on this machine's own telemetry."""

from __future__ import annotations

import importlib

import click

from shiftboss.cli.command import SettingsCommand, debug_option, examples
from shiftboss.cli.parameters import SECONDS
from shiftboss.errors import ConfigurationError


@click.command(cls=SettingsCommand, epilog=examples("shiftboss demo", "shiftboss demo --for 30s --no-live"))
@click.option("--for", "for_s", type=SECONDS, help="Stop after this time.")
@click.option("-s", "--store", metavar="URL", help="Use this store.  [default: a store of its own]")
@click.option(
    "--http", metavar="HOST:PORT", help="Serve the dashboard there.  [default: 127.0.0.1:8420, or any free port]"
)
@click.option("--live/--no-live", default=None, help="Show a live page, or plain lines.  [default: live in a terminal]")
@debug_option
def demo(for_s: float | None, store: str | None, http: str | None, live: bool | None) -> int:
    """Run the worked example on this machine's own telemetry.

    Its workers observe this machine and show a live page.  It never uses ./shiftboss.db, whatever SHIFTBOSS_STORE says.
    """
    for needed in ("psutil", "rich"):
        try:
            importlib.import_module(needed)
        except ImportError:
            raise ConfigurationError(
                f"the demo needs {needed}, which is not installed; run: pip install 'shiftboss[demo]'"
            ) from None
    from shiftboss.cli.demo_page import run_demo

    return run_demo(for_s=for_s, store=store, http=http, live=live)
