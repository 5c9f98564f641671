"""For all tests."""

from __future__ import annotations

import signal

from postgres_server import cluster, place

__all__ = ["cluster", "place"]  # fixtures, for every folder


def pytest_configure() -> None:
    """A shell starts what it puts into the background with SIGINT and SIGQUIT ignored, and children inherit that.

    The command is about signals; with a handler here, the processes that tests start have the usual dispositions.
    """
    for number in (signal.SIGINT, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number is signal.SIGINT else _quit)


def _quit(number: int, frame: object) -> None:
    raise KeyboardInterrupt
