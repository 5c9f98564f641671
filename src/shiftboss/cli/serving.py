"""The page beside the workers: `--http`, and what is printed about it.

Rules of this file
- The port is taken before anything else is started: a wrong address fails at once, before anything has happened.
- On a terminal the page's address is a link that logs in once.  Elsewhere a log would keep that link, so the address
  and the file with the token are printed instead.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import click

from shiftboss.cli import messages, store_access
from shiftboss.errors import ConfigurationError

if TYPE_CHECKING:
    from shiftboss.app.orchestrator import Orchestrator


def http_options(command: Callable[..., int]) -> Callable[..., int]:
    """The options for who may connect over HTTP, and behind which proxy."""
    for option in (
        click.option(
            "--user-header",
            metavar="NAME",
            envvar="SHIFTBOSS_USER_HEADER",
            help="Header in which a trusted proxy names the user, as X-Remote-User; roles are in the access file.",
        ),
        click.option(
            "--trusted-proxy",
            "trusted_proxies",
            multiple=True,
            metavar="ADDRESS",
            envvar="SHIFTBOSS_TRUSTED_PROXY",
            help="A proxy, or a network of them, whose X-Forwarded-… headers are trusted.  Repeatable.",
        ),
        click.option(
            "--access-file",
            metavar="FILE",
            envvar="SHIFTBOSS_ACCESS_FILE",
            help="Named tokens and users with their roles.  [default: beside the store, as jobs.db.access]",
        ),
    ):
        command = option(command)
    return command


class Page(NamedTuple):
    """A page that is served, once it was opened."""

    open: Callable[[], None]
    link: Callable[[], str | None]  # to the page, with a code that logs in; it is good for minutes


@contextlib.contextmanager
def page(
    boss: Orchestrator,
    http: str | None,
    *,
    or_free: bool = False,
    access_file: str | None = None,
    trusted_proxies: tuple[str, ...] = (),
    user_header: str | None = None,
) -> Iterator[Page]:
    """The page, to be opened once *boss* runs; if *http* is None there is no page.

    *or_free*: if the port is taken, use any other.  Raises ConfigurationError.
    """
    if http is None:
        yield Page(lambda: None, lambda: None)
        return
    try:
        from shiftboss.web.authenticators import Options  # 150 ms of import, only for those who serve a page
        from shiftboss.web.server import Server, address_of
    except ImportError as error:
        raise ConfigurationError(f"{error}; --http needs an extra: pip install 'shiftboss[web]'") from error
    os.environ.setdefault("SHIFTBOSS_USER", store_access.user())
    options = Options(access_file, trusted_proxies, user_header)
    server = Server(boss, address_of(http), or_free=or_free, options=options)
    try:
        if messages.is_terminal(sys.stderr):
            messages.note(f"dashboard and API: {server.login_link()}")
        else:
            token = f" (token: {server.token_file})" if server.token_file is not None else ""
            messages.note(f"dashboard and API: {server.address.url}{token}")
        yield Page(server.start, server.login_link)
    finally:
        server.stop()
