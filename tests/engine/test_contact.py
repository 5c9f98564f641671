"""What a process knows of its store without asking it (H3, H5)."""

from __future__ import annotations

import pytest

from shiftboss.core.health import DOES_NOT_ANSWER, StoreTrouble
from shiftboss.engine import contact as contact_module
from shiftboss.engine.contact import SLOW_S, WRITE_EVERY_S, Contact
from shiftboss.errors import StoreFull, StoreUnavailable
from shiftboss.stores.memory.store import MemoryStore
from shiftboss.testing.clock import VirtualClock


@pytest.fixture
def clock(monkeypatch) -> VirtualClock:
    """Of the rules, and here of the silence as well."""
    clock = VirtualClock("2026-03-01")
    monkeypatch.setattr(contact_module, "_clock", clock)
    return clock


@pytest.fixture
def store(clock) -> MemoryStore:
    return MemoryStore(clock=clock)


@pytest.fixture
def contact(store, clock) -> Contact:
    return Contact(store, clock)


def test_a_store_that_was_just_opened_is_well(contact):
    assert (contact.trouble, contact.has_failed, contact.age_s, contact.write_in_s) == (None, False, 0.0, 5.0)


def test_something_is_written_every_five_seconds(contact, clock):
    """H3: so a store that takes no writes is known of within ten."""
    assert WRITE_EVERY_S == 5.0
    clock.advance(3)
    assert contact.write_in_s == 2.0
    clock.advance(3)
    assert contact.write_in_s == 0.0
    contact.wrote()
    assert contact.write_in_s == 5.0


def test_its_age_is_that_of_the_last_answer(contact, clock):
    clock.advance(4)
    assert contact.age_s == 4.0
    contact.asks()
    clock.advance(1)
    contact.answered()
    assert contact.age_s == 0.0


def test_a_turn_that_lasts_longer_than_three_seconds_is_trouble_until_it_is_over(contact, clock):
    """H3"""
    assert SLOW_S == 3.0
    clock.advance(100)
    contact.asks()
    clock.advance(3.0)
    assert contact.trouble is None
    clock.advance(0.1)
    assert contact.trouble == StoreTrouble("a transaction has taken longer than 3 s", fact=DOES_NOT_ANSWER)
    assert not contact.has_failed
    contact.answered()
    assert contact.trouble is None


def test_trouble_begins_with_a_failure_and_ends_with_a_turn_that_wrote(contact, clock):
    """H5, H3: an answer alone proves nothing."""
    began_at = clock.now()
    contact.asks()
    contact.failed(StoreUnavailable("it is away"))
    assert contact.has_failed
    assert (contact.trouble.text, contact.trouble.since) == ("it is away", began_at)
    assert contact.write_in_s == 0.0

    contact.answered()
    assert contact.has_failed, "it has answered, and nothing was written"
    contact.wrote()
    assert contact.has_failed, "the turn is not over"
    contact.answered()
    assert (contact.has_failed, contact.trouble) == (False, None)


def test_a_turn_that_failed_does_not_last(contact, clock):
    contact.asks()
    contact.failed(StoreUnavailable("it is away"))
    contact.wrote()
    contact.answered()
    clock.advance(60)

    assert contact.trouble is None


def test_trouble_that_changes_keeps_its_beginning(contact, clock):
    began_at = clock.now()
    contact.failed(StoreUnavailable("it is away"))
    clock.advance(10)
    contact.failed(StoreFull("the disk is full"))

    assert (contact.trouble.text, contact.trouble.since) == ("the disk is full", began_at)


def test_a_mistake_of_ours_is_told_in_its_own_words(contact):
    contact.failed(StoreUnavailable("the engine failed: x"), fact="is not used")

    assert contact.trouble.fact == "is not used"


def test_what_the_store_says_of_itself_is_trouble_since_it_was_first_said(contact, store, clock):
    """W3"""
    store.trouble = "the disk is nearly full"
    first_at = clock.now()
    assert (contact.trouble.text, contact.trouble.since) == ("the disk is nearly full", first_at)
    clock.advance(10)
    store.trouble = "the disk is full"
    assert (contact.trouble.text, contact.trouble.since) == ("the disk is full", first_at)

    store.trouble = None
    assert contact.trouble is None
    clock.advance(10)
    store.trouble = "the disk is full"
    assert contact.trouble.since == clock.now()


def test_its_beginning_and_its_end_are_logged_once_each(contact, store, clock, caplog):
    """H5"""
    contact.tell()
    contact.asks()
    clock.advance(4)
    contact.tell()
    contact.tell()
    contact.answered()
    contact.tell()
    contact.tell()
    store.trouble = "the disk is full"
    contact.tell()
    contact.tell()
    store.trouble = None
    contact.tell()

    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("ERROR", f"{SLOW}; no new runs start until it works again"),
        ("WARNING", "the store answers again; runs start again"),
        ("ERROR", f"{FULL}; no new runs start until it works again"),
        ("WARNING", "the store accepts new work again; runs start again"),
    ]


SLOW = StoreTrouble("a transaction has taken longer than 3 s", fact=DOES_NOT_ANSWER)
FULL = StoreTrouble("the disk is full")


def test_another_trouble_is_logged_as_well_and_the_same_in_other_words_is_not(contact, caplog):
    """H5"""
    contact.failed(StoreUnavailable("it is away"))
    contact.tell()
    contact.failed(StoreUnavailable("it is still away"))
    contact.tell()
    contact.failed(StoreFull("the disk is full"))
    contact.tell()

    assert len(caplog.records) == 2
