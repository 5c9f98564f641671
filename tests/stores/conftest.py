from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for store_values.py, in every import mode of pytest

from store_values import FrozenClock

from postgres_server import Place
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
