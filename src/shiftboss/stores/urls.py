"""Which store does an address mean?

Rules of this file
- An ambiguous address is refused, with the forms that are accepted: nobody would do the work in a store made in the
  wrong place.  An address that looks like a server's never becomes the name of a file.
- No message repeats a password, however the address is misspelt (`core/address.py`).
- A driver is imported when it is needed, never before.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from urllib.parse import parse_qsl

from shiftboss.clock import Clock, SystemClock
from shiftboss.core.address import is_of_server, shown
from shiftboss.errors import ConfigurationError, did_you_mean
from shiftboss.ports.store import Store

DEFAULT_URL = "sqlite:///shiftboss.db"
MEMORY = "memory:"
SQLITE = "sqlite:///"
POSTGRES = ("postgresql://", "postgres://")
ACCEPTED = (
    "use sqlite:///relative/path.db, sqlite:////absolute/path.db, postgresql://user@host/database, memory: for tests, "
    "or the path of a file (with a slash or a suffix, like ./shiftboss.db; ./ or / also before one with @ or = in it)"
)


def open_store(url: str = DEFAULT_URL, clock: Clock | None = None, *, durability: str | None = None) -> Store:
    """The store at *url*, not yet opened.  `durability` is "power" (default) or "process" (W1), for SQLite only.

    It can also be given in the address: sqlite:///jobs.db?durability=process.  Raises ConfigurationError.
    """
    clock = clock or SystemClock()
    url = url.strip()
    address, _, query = url.partition("?")
    if address.startswith(POSTGRES):
        store = _postgres(url, clock)
        _takes_no(durability, "what a commit survives on PostgreSQL is the server's synchronous_commit")
        return store
    if address in (MEMORY, "memory://"):
        _options(query, url, known=())
        _takes_no(durability, "a memory store survives nothing")
        from shiftboss.stores.memory.store import MemoryStore

        return MemoryStore(clock=clock)
    path = _path(address, url)
    chosen = _durability(durability, _options(query, url, known=("durability",)), url)
    from shiftboss.stores.sqlite.store import SqliteStore

    return SqliteStore(path, clock=clock, durability=chosen)


def file_of(url: str) -> str | None:
    """The file of a SQLite store; None for other stores.  Raises ConfigurationError."""
    address = url.strip().partition("?")[0]
    return None if address.startswith(POSTGRES) or address in (MEMORY, "memory://") else _path(address, url)


def elsewhere(url: str) -> str:
    """The same address for a process with another working directory.  Raises ConfigurationError."""
    path, query = file_of(url), url.strip().partition("?")[1:]
    return url if path is None else f"{SQLITE}{os.path.abspath(path)}{''.join(query)}"


def _takes_no(durability: str | None, fact: str) -> None:
    if durability is not None:
        raise ConfigurationError(f"durability={durability!r} is an option of SQLite; {fact}: leave durability= out")


def _postgres(url: str, clock: Clock) -> Store:
    try:
        from shiftboss.stores.postgres.store import PostgresStore
    except ImportError as error:
        raise ConfigurationError(
            f"a store on PostgreSQL needs its driver ({error}): pip install 'shiftboss[postgres]'"
        ) from error
    return PostgresStore(url, clock=clock)


def _path(address: str, url: str) -> str:
    """The path in an address of SQLite."""
    if address.startswith(SQLITE):
        path = address[len(SQLITE) :]
        if path != MEMORY and is_of_server(path):
            raise _no_file(url)
        if path in ("", "/") or path.endswith("/"):
            raise ConfigurationError(f"store {shown(url)!r} names no file; {ACCEPTED}")
        if ":memory:" in path:
            raise ConfigurationError(f"store {shown(url)!r}: a memory store is written {MEMORY!r}; {ACCEPTED}")
        return path
    if address.startswith("sqlite:"):
        raise ConfigurationError(f"store {shown(url)!r} has too few slashes; {ACCEPTED}")
    if address.startswith(("postgresql:", "postgresql+", "postgres:")):
        raise ConfigurationError(f"this PostgreSQL address lacks its slashes, or names a driver; {ACCEPTED}")
    if is_of_server(url):  # with the options, one of which may be a password
        raise _no_file(url)
    if not _looks_like_a_path(address):
        raise ConfigurationError(f"store {shown(url)!r} is not understood; {ACCEPTED}")
    return address


def _no_file(url: str) -> ConfigurationError:
    return ConfigurationError(
        f"store {shown(url)!r} is not understood: it looks like the address of a server, not a file; {ACCEPTED}"
    )


def _looks_like_a_path(address: str) -> bool:
    name = address.replace("\\", "/").rpartition("/")[2]
    has_suffix = "." in name.strip(".")
    return bool(name) and ":" not in name and (name != address or has_suffix)


def _durability(given: str | None, options: dict[str, str], url: str) -> str:
    """What the address and the caller say, which must not contradict each other."""
    in_url = options.get("durability", given)
    if given is not None and in_url != given:
        raise ConfigurationError(
            f"store {shown(url)!r} says durability={in_url}, but the orchestrator says {given!r}; leave one out"
        )
    chosen = "power" if in_url is None else in_url
    if chosen not in ("power", "process"):
        raise ConfigurationError(
            f"durability={chosen!r} is unknown; use 'power' (every commit survives a loss of power) or 'process' "
            "(faster, survives only the death of the process)"
        )
    return chosen


def _options(query: str, url: str, *, known: Collection[str]) -> dict[str, str]:
    """Each option once, by its exact name."""
    options: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in known:
            hint = did_you_mean(name.lower(), known) if known else "such a store takes none"
            raise ConfigurationError(f"store {shown(url)!r}: option {name!r} is unknown; {hint}")
        if name in options:
            raise ConfigurationError(f"store {shown(url)!r}: option {name!r} is given twice; leave one out")
        options[name] = value
    return options
