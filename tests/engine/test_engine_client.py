"""An engine without a node: it applies what callers ask for, and starts nothing."""

from __future__ import annotations

import pytest
from by_hand import ByHand, Store, a_job

from shiftboss.core.events import StoreRestored, WorkerDeclared
from shiftboss.core.model import Status
from shiftboss.errors import ConfigurationError, StoreUnavailable


@pytest.fixture
def node(clock) -> ByHand:
    return ByHand(a_job(), clock=clock).enter()


@pytest.fixture
def client(node, clock) -> ByHand:
    return ByHand(store=node.store, clock=clock, client=True, name="client").enter()


def test_its_trigger_is_stored_and_left_to_the_nodes(node, client):
    answer = client.trigger()
    client.step()
    assert (client.stored(answer.value.id).status, client.hand.launches) == (Status.PENDING, {})
    node.step()
    assert list(node.hand.launches) == [answer.value.id]


def test_it_has_no_row_and_no_lease(client):
    client.step(after_s=12)

    assert client.row is None
    assert client.engine.knows_workers


def test_it_asks_every_five_seconds_whether_the_store_takes_writes(client):
    """H3: it begins a write and rolls it back."""
    client.step(after_s=4)
    assert client.store.asked == []
    client.step(after_s=1)
    assert client.store.asked == ["lock within 2"]
    client.step(after_s=1)
    assert client.store.asked == ["lock within 2"]
    assert client.store.waits[-1] == 4.0


def test_what_waits_to_be_written_is_a_write_of_its_own(client):
    client.clock.advance(5)
    client.trigger()
    client.step()

    assert client.store.asked == []


def test_after_a_failure_it_writes_before_it_believes_the_store(client):
    """H3: an answer alone is not enough."""
    client.store.is_away = True
    client.step(after_s=5)
    assert client.engine.trouble == "the store is away"
    client.store.is_away = False
    client.step()

    assert client.store.asked == ["lock within 2", "write"]
    assert client.engine.trouble is None


def test_while_the_store_takes_no_writes_its_turn_is_put_off(client, monkeypatch):
    """H3, H5: although it can be read."""
    monkeypatch.setattr(client.engine._cycle, "turn", None)

    def away(within_s):
        raise StoreUnavailable("the store takes no writes")

    client.engine._session.try_lock = away
    client.step(after_s=5)

    assert client.engine.trouble == "the store takes no writes"
    assert client.wake.waits == [0.05]


def test_what_came_while_it_found_the_store_away_has_its_own_time(client):
    client.store.is_away = True

    def arrives(within_s):
        client.answer = client.trigger()
        raise StoreUnavailable("the store is away")

    client.engine._session.try_lock = arrives
    client.clock.advance(5)
    client.store.is_away = False
    client.step()

    assert client.answer.value is not None, "the store took it, so it was not refused for the failure before"


def test_while_it_stops_it_need_not_know_any_more(client):
    client.engine.stop()
    client.step(after_s=6)

    assert client.store.asked == []


def test_told_to_make_the_store_it_declares_what_nobody_has_declared(clock):
    """M7"""
    store = Store(clock)
    first = ByHand(a_job("job", timeout_s=5.0), store=store, clock=clock, client=True, declares_new=True).enter()
    second = ByHand(
        a_job("job", timeout_s=7.0), a_job("new"), store=store, clock=clock, client=True, declares_new=True
    ).enter()

    assert {name: state.definition.timeout_s for name, state in store.tables.workers.items()} == {
        "job": 5.0,
        "new": 60.0,
    }
    assert [event.worker for event in first.said(WorkerDeclared)] == ["job"]
    assert [event.worker for event in second.said(WorkerDeclared)] == ["new"]


def test_else_it_declares_nothing(clock):
    """M7"""
    store = Store(clock)
    ByHand(a_job(), store=store, clock=clock, client=True).enter()

    assert store.tables.workers == {}


# ── a store that was put back ────────────────────────────────────────────────────────────────────────────────────


def test_a_node_declares_again_in_a_store_that_was_put_back(clock):
    """C9, M7: what was declared after the backup is gone."""
    store = Store(clock)
    empty = store.keep()
    node = ByHand(a_job(), store=store, clock=clock).enter()
    lost = node.running()
    store.put_back(empty)
    node.step(3)

    assert set(store.tables.workers) == {"job"}
    assert (node.row.id, node.engine._lease.is_trusted) == ("one", True)
    assert len(node.said(StoreRestored)) == 1
    assert [run_id for run_id, _ in node.hand.told] == [lost]


def test_its_lease_is_not_trusted_until_it_is_renewed_there(clock):
    """C3, C9"""
    store = Store(clock)
    empty = store.keep()
    node = ByHand(a_job(), store=store, clock=clock).enter()
    store.put_back(empty)
    trusted = []
    lost = node.engine._lease.lost
    node.engine._lease.lost = lambda: (trusted.append(False), lost())
    node.step(3)

    assert trusted
    assert node.engine._lease.is_trusted


def test_a_client_declares_again_what_it_has_declared(clock):
    """M7"""
    store = Store(clock)
    empty = store.keep()
    client = ByHand(a_job(), store=store, clock=clock, client=True, declares_new=True).enter()
    store.put_back(empty)
    client.step(3)

    assert set(store.tables.workers) == {"job"}
    assert len(client.said(StoreRestored)) == 1


def test_what_a_client_cannot_declare_there_is_said_and_it_goes_on(clock, monkeypatch, caplog):
    store = Store(clock)
    empty = store.keep()
    client = ByHand(a_job(), store=store, clock=clock, client=True, declares_new=True).enter()

    def refused():
        raise ConfigurationError("job and mail wait for each other")

    monkeypatch.setattr(client.engine._loop._presence, "_declare_new", refused)
    store.put_back(empty)
    client.step(3)

    assert "refuses this client's declarations: job and mail wait for each other" in caplog.text
    assert len(client.said(StoreRestored)) == 1
