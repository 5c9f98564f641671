from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for store_values.py, in every import mode of pytest

from store_values import FrozenClock

from postgres_server import Place
from shiftboss.ports import Session, Store
from shiftboss.stores.memory.store import MemoryStore
from shiftboss.stores.postgres.store import PostgresStore
from shiftboss.stores.sqlite.store import SqliteStore


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def sqlite(tmp_path: Path, clock: FrozenClock) -> Iterator[SqliteStore]:
    store = SqliteStore(tmp_path / "boss.db", clock=clock)
    store.open(create=True)
    yield store
    store.close()


@pytest.fixture
def postgres(place: Place, clock: FrozenClock) -> Iterator[PostgresStore]:
    store = PostgresStore(place.url, clock=clock)
    store.open(create=True)
    yield store
    store.close()


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def store(request: pytest.FixtureRequest, clock: FrozenClock) -> Iterator[Store]:
    """Each store that there is, open and empty."""
    if request.param != "memory":
        yield request.getfixturevalue(request.param)
        return
    memory = MemoryStore(clock=clock)
    memory.open(create=True)
    yield memory
    memory.close()


@pytest.fixture
def session(store: Store) -> Session:
    return store.session()


@pytest.fixture
def neighbour(store: Store) -> Session:
    """Another node's session on the same store."""
    return store.session()
