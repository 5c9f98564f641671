"""The page beside the workers: `--http`, and what is said about it.

Rules of this file
- The port is taken before anything else is started: a wrong address fails at once, and nothing has happened.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from shiftboss.cli import place, talk
from shiftboss.errors import ConfigurationError

if TYPE_CHECKING:
    from shiftboss.app.orchestrator import Orchestrator


@contextlib.contextmanager
def page(boss: Orchestrator, http: str | None, *, or_free: bool = False) -> Iterator[Callable[[], str | None]]:
    """What to call once *boss* runs: it says where the page is; with None as the address there is none.

    *or_free*: where the port is taken, any other.  Raises ConfigurationError.
    """
    if http is None:
        yield lambda: None
        return
    try:
        from shiftboss.web.server import Server, address_of  # 150 ms of import, for who asks only
    except ImportError as error:
        raise ConfigurationError(f"{error}; --http needs an extra: pip install 'shiftboss[web]'") from error
    os.environ.setdefault("SHIFTBOSS_USER", place.user())
    server = Server(boss, address_of(http), or_free=or_free)
    talk.note(f"dashboard and API: {server.address.url}")

    def open_page() -> str:
        server.start()
        return server.address.url

    try:
        yield open_page
    finally:
        server.stop()
