"""The database's clock on this machine: within the bounds of each exchange, and the same on all nodes."""

from __future__ import annotations

from datetime import timedelta

import pytest
from store_values import NOON, a_run, store_runs

from postgres_server import Place
from shiftboss.clock import SystemClock
from shiftboss.core.value import EPOCH
from shiftboss.stores.postgres.clock import DatabaseClock
from shiftboss.stores.postgres.store import PostgresStore

NOON_S = (NOON - EPOCH).total_seconds()


class LocalClock:
    """This machine's, a day behind and told how much time has passed."""

    boot = "here"

    def __init__(self) -> None:
        self.elapsed = 100.0

    def now(self):
        return NOON - timedelta(days=1)

    def monotonic_s(self) -> float:
        return self.elapsed

    def elapsed_s(self) -> float:
        return self.elapsed

    lease_s = elapsed_s


@pytest.fixture
def clock() -> DatabaseClock:
    return DatabaseClock(LocalClock())


def test_before_the_server_was_asked_it_is_this_machines(clock: DatabaseClock):
    assert clock.now() == NOON - timedelta(days=1)


@pytest.mark.parametrize(
    ("asked_s", "answered_s", "expected_s"),
    [
        (100.0, 100.0, 0.0),  # no time between: exactly the server's
        (90.0, 100.0, 0.0),  # the server's instant is the answer's at the latest …
        (100.0, 110.0, -10.0),  # … and the question's at the earliest; from behind, the nearer bound is taken
    ],
)
def test_an_exchange_bounds_it(clock: DatabaseClock, asked_s: float, answered_s: float, expected_s: float):
    clock.correct(NOON_S, asked_s=asked_s, answered_s=answered_s)

    assert clock.now() == NOON + timedelta(seconds=expected_s)


def test_within_the_bounds_it_stays_as_it_is(clock: DatabaseClock):
    clock.correct(NOON_S, asked_s=100.0, answered_s=100.0)
    clock.correct(NOON_S + 0.5, asked_s=99.0, answered_s=101.0)

    assert clock.now() == NOON


def test_it_follows_the_server_when_that_is_set_back(clock: DatabaseClock):
    clock.correct(NOON_S, asked_s=100.0, answered_s=100.0)
    clock.correct(NOON_S - 3600, asked_s=100.0, answered_s=100.0)

    assert clock.now() == NOON - timedelta(hours=1)
    assert clock.lease_s() == NOON_S - 3600


def test_between_exchanges_time_passes_suspension_counted():
    local = LocalClock()
    clock = DatabaseClock(local)
    clock.correct(NOON_S, asked_s=100.0, answered_s=100.0)
    local.elapsed += 30.0

    assert (clock.now(), clock.elapsed_s(), clock.monotonic_s()) == (NOON + timedelta(seconds=30), 130.0, 130.0)


def test_a_store_on_the_systems_clock_lives_by_the_servers(place: Place):
    one, two = (PostgresStore(place.url, clock=SystemClock()) for _ in range(2))
    one.open(create=True)
    two.open(create=False)
    store_runs(one.session(), a_run(1))
    (server_s,) = place.execute("SELECT extract(epoch FROM clock_timestamp())::float8")[0]

    assert one.clock.lease_s() == pytest.approx(server_s, abs=60)
    assert one.clock.boot == two.clock.boot != ""
    one.close()
    two.close()


def test_a_given_clock_wins_entirely(place: Place):
    local = LocalClock()
    store = PostgresStore(place.url, clock=local)
    store.open(create=True)

    assert store.clock is local
    store.close()
