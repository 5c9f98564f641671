"""Which store does a command mean, and the two ways into it: to read, and to operate.

Rules of this file
- --store, else SHIFTBOSS_STORE, else the settings, else the app's store, else ./shiftboss.db: the library's own order.
- No app is imported that nobody named: a command runs no code just because it lies in the current folder.  If such an
  app may have another store than ./shiftboss.db, the message says how to name it.
- Neither way creates a store, unless it is told to.
"""

from __future__ import annotations

import contextlib
import getpass
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

from shiftboss.app.actor import acting_as, current_actor
from shiftboss.app.orchestrator import DEFAULT_STORE, Orchestrator
from shiftboss.app.views import Views
from shiftboss.cli import messages
from shiftboss.cli.app_file import App, find_app, likely_app, load_app
from shiftboss.clock import Clock, SystemClock
from shiftboss.errors import ConfigurationError, OperatorError, StoreMissing
from shiftboss.ports.codec import Codec
from shiftboss.ports.store import Store
from shiftboss.stores.encryption import encoded
from shiftboss.stores.urls import open_store

DEFAULT_FILE = DEFAULT_STORE.removeprefix("sqlite:///")


def given_app(app: str | None) -> App:
    """The app that was named, else the one in this folder.  Raises ConfigurationError."""
    if app is not None:
        return load_app(app)
    return find_app()


def store_url(store: str | None, app: str | None) -> str:
    """The address of the store.  Raises ConfigurationError."""
    if store is not None:
        return _readable(store)
    if app is not None:
        return _readable(load_app(app).boss.store_url)
    return DEFAULT_STORE


def _readable(url: str) -> str:
    if url.partition("?")[0] in ("memory:", "memory://"):
        raise ConfigurationError(f"the store {url} is in the memory of its own process; no other process can open it")
    return url


@contextmanager
def _saying_of_an_app(store: str | None, app: str | None) -> Iterator[None]:
    """If the store is missing, the message points to an app in this folder that may have another one."""
    try:
        yield
    except StoreMissing as error:
        file = likely_app() if store is None and app is None else None
        if file is None:
            raise
        raise StoreMissing(f"{error}; if {file} has a store of its own, name the app: --app {file}") from error


@contextmanager
def reading(store: str | None, app: str | None) -> Iterator[Views]:
    """Views of the store.  Raises StoreMissing and whatever else the store raises."""
    boss = load_app(app).boss if app is not None else None
    codec, secrets = (boss.codec, boss.secrets) if boss is not None else (None, ())
    with contextlib.ExitStack() as stack:
        with _saying_of_an_app(store, app):
            opened_store, clock = stack.enter_context(opened(store_url(store, app), codec))
        yield stack.enter_context(contextlib.closing(Views(opened_store, clock, secrets=secrets)))


@contextmanager
def opened(url: str, codec: Codec | None = None) -> Iterator[tuple[Store, Clock]]:
    """The store itself, for more than questions."""
    opened_store = encoded(open_store(url, SystemClock()), codec)
    opened_store.open(create=False)
    try:
        yield opened_store, opened_store.clock
    finally:
        opened_store.close()


@contextmanager
def asking(boss: Orchestrator) -> Iterator[Views]:
    """Views of the store of an orchestrator that is open."""
    views = boss.new_views()
    try:
        yield views
    finally:
        views.close()


@contextmanager
def operating(
    store: str | None, app: str | None, *, create: bool = False, wait_s: float = 0.0
) -> Iterator[Orchestrator]:
    """A client of the store: it triggers and operates, and runs nothing.  The app's declarations check payloads.

    A missing store is made (*create*), or waited for.
    """
    os.environ.setdefault("SHIFTBOSS_USER", user())
    boss = Orchestrator()
    if app is not None:
        boss = load_app(app).boss
    # The command itself reports what the store says; without a handler Python would print it a second time.
    logging.getLogger("shiftboss.engine").addHandler(logging.NullHandler())
    boss.store_override = store_url(store, app) if store is not None or app is None else _readable(boss.store_url)
    with _saying_of_an_app(store, app):
        boss.sync.open(create=create, wait=wait_s)
    try:
        with acting_as(current_actor()):  # in a person's name: then even a trigger is audited (A1)
            yield boss
    finally:
        boss.sync.close()


def recorded(store: str | None, app: str | None, action: str, *, about: str | None = None, after: str = "") -> None:
    """Record in the audit what is about to be done; if the store does not take it, print a warning."""
    try:
        with operating(store, app) as boss:
            boss.sync.record(action, about=about, after=after)
    except StoreMissing:
        raise
    except OperatorError as error:
        messages.warn(f"this is missing from the audit log ({action}): {error}")


def user() -> str:
    """A1: the user who types, as an operator would name them."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a uid without a name, as in containers
        return f"uid {os.getuid()}" if hasattr(os, "getuid") else "somebody"
