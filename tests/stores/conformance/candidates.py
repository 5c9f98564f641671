"""The stores on which the contract is tested, and how a test gets an empty one.  This is the only place to add a store.

Rules of this file
- No test of this package names a store.  A field of `Candidate` says where stores may differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from damage import EVERYWHERE, IN_A_FILE, in_postgres

from postgres_server import a_place
from shiftboss.clock import Clock
from shiftboss.ports.store import Store
from shiftboss.stores.memory.store import MemoryStore
from shiftboss.stores.postgres.store import PostgresStore
from shiftboss.stores.sqlite.store import SqliteStore

Sql = Callable[..., list[Any]]


class Ground(NamedTuple):
    """What a store may use."""

    folder: Path  # of this store alone, and empty
    fixture: Callable[[str], Any]  # any fixture with the scope of the session, by its name


@dataclass(frozen=True)
class Candidate:
    """A store that promises to keep the contract."""

    name: str
    make: Callable[[Ground, Clock], AbstractContextManager[Store]]
    """An empty store, open until the end."""

    rows: Callable[[Ground, Store], Sql] | None = None
    """Runs statements on the rows of a store behind its back; None if it has no rows that could be damaged."""

    damages: tuple[str, ...] = ()
    """The damage (damage.py) that its database does not refuse."""

    writes_beside_views: bool = True
    """Whether others can write while a view is open; if not, they wait until it is closed."""

    def __str__(self) -> str:
        return self.name


@contextmanager
def opened(store: Store) -> Iterator[Store]:
    store.open(create=True)
    try:
        yield store
    finally:
        store.close()


def in_memory(ground: Ground, clock: Clock) -> AbstractContextManager[Store]:
    return opened(MemoryStore(clock=clock))


def in_a_file(ground: Ground, clock: Clock) -> AbstractContextManager[Store]:
    """Durability is no part of the contract, and makes its tests slow."""
    return opened(SqliteStore(ground.folder / "boss.db", clock=clock, durability="process"))


@contextmanager
def on_a_server(ground: Ground, clock: Clock) -> Iterator[Store]:
    with a_place(ground.fixture("cluster")) as place, opened(PostgresStore(place.url, clock=clock)) as store:
        yield store


def rows_of_a_file(ground: Ground, store: Store) -> Sql:
    return partial(ground.fixture("other_process"), ground.folder / "boss.db")


def rows_on_a_server(ground: Ground, store: Store) -> Sql:
    schema = store.url.rpartition("?schema=")[2]
    return partial(in_postgres, ground.fixture("cluster").url, schema)


CANDIDATES = (
    Candidate("memory", in_memory, writes_beside_views=False),
    Candidate("sqlite", in_a_file, rows=rows_of_a_file, damages=IN_A_FILE),
    Candidate("postgres", on_a_server, rows=rows_on_a_server, damages=EVERYWHERE),
)
WITH_ROWS = tuple(each for each in CANDIDATES if each.rows is not None)
