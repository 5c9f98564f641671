"""`shiftboss demo`: the worked example, on this machine's own telemetry."""

from __future__ import annotations

import importlib

import click

from shiftboss.cli.command import Command, debug_option, examples
from shiftboss.cli.parameters import SECONDS
from shiftboss.errors import ConfigurationError


@click.command(cls=Command, epilog=examples("shiftboss demo", "shiftboss demo --for 30s --no-live"))
@click.option("--for", "for_s", type=SECONDS, help="Stop after that long.")
@click.option("-s", "--store", metavar="URL", help="Keep it there.  [default: a store of its own]")
@click.option("--http", metavar="HOST:PORT", help="The dashboard.  [default: 127.0.0.1:8420, or any free port]")
@click.option("--live/--no-live", default=None, help="A live page, or plain lines.  [default: live on a terminal]")
@debug_option
def demo(for_s: float | None, store: str | None, http: str | None, live: bool | None) -> int:
    """Run the worked example on this machine's own telemetry.

    Workers that observe this machine, with a live page.  It never touches ./shiftboss.db, whatever SHIFTBOSS_STORE
    says.
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
