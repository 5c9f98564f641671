"""A store of each kind, open and empty."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from damage import OtherProcess
from store_values import FrozenClock

from conformance.candidates import CANDIDATES, Candidate, Ground
from shiftboss.ports.store import Session, Store


@pytest.fixture(params=CANDIDATES, ids=str)
def candidate(request: pytest.FixtureRequest) -> Candidate:
    return request.param


@pytest.fixture
def ground(tmp_path: Path, request: pytest.FixtureRequest) -> Ground:
    return Ground(tmp_path, request.getfixturevalue)


@pytest.fixture
def store(candidate: Candidate, ground: Ground, clock: FrozenClock) -> Iterator[Store]:
    with candidate.make(ground, clock) as store:
        yield store


@pytest.fixture
def session(store: Store) -> Session:
    return store.session()


@pytest.fixture
def neighbour(store: Store) -> Session:
    """Another node's session on the same store."""
    return store.session()


@pytest.fixture(scope="session")
def other_process() -> Iterator[OtherProcess]:
    process = OtherProcess()
    yield process
    process.close()
