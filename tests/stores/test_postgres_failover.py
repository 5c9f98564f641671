"""A real standby: refused while it follows, and after its promotion the store goes on in the next epoch."""

from __future__ import annotations

import pytest
from store_values import NOON, FrozenClock, a_run, fetch, store_runs

from postgres_server import RELAXED, a_cluster
from shiftboss.core.lives import UNKNOWN_IDS
from shiftboss.core.snapshot import Change
from shiftboss.errors import StoreReadOnly, StoreUnavailable
from shiftboss.stores.postgres.store import PostgresStore
from shiftboss.stores.sql import codec

TRIES = 10_000  # each waits for something by itself: this many have failed


def test_a_fleet_follows_a_failover_and_gives_no_number_twice():
    with a_cluster(*RELAXED) as primary, a_cluster(*RELAXED, following=primary) as standby:
        both = f"postgresql://postgres@127.0.0.1:{primary.port},127.0.0.1:{standby.port}/postgres"
        store = PostgresStore(both, clock=FrozenClock())
        store.open(create=True)
        session = store.session()
        store_runs(session, a_run(1))
        while standby.execute("SELECT to_regclass('shiftboss.run')") == [(None,)] or not standby.execute(
            "SELECT id FROM shiftboss.run WHERE id = 1"
        ):
            continue  # it is being replicated
        alone = PostgresStore(standby.url, clock=FrozenClock())
        with pytest.raises(StoreReadOnly, match="standby"):
            alone.open(create=True)
        alone.close()
        primary.stop()
        with pytest.raises(StoreUnavailable):
            store_runs(session, a_run(2))
        standby.promote()
        for _ in range(TRIES):
            try:
                with session.begin() as tx:
                    number, run_id = tx.number, next(tx.ids())
                    tx.write(Change(runs=(a_run(run_id),)), new={run_id})
            except StoreUnavailable:
                continue
            break

        assert number > codec.micros(NOON)
        assert run_id > UNKNOWN_IDS
        assert [run.id for run in fetch(session, 1, run_id)] == [1, run_id]
        store.close()
