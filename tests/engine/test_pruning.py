"""When a node deletes old history (A4)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shiftboss.core.model import ClockMark
from shiftboss.core.retention import BATCH, KEEP, cutoffs
from shiftboss.engine.retention import Retention
from shiftboss.stores.memory.reads import MemoryReader
from shiftboss.stores.memory.store import MemoryStore
from shiftboss.testing.clock import VirtualClock


class Session:
    """Has so many rows that are old enough, and notes what it is asked to delete."""

    def __init__(self, clock: VirtualClock, *, old: int) -> None:
        self._session = MemoryStore(clock=clock).session()
        self.old = old
        self.asked: list[tuple[object, int]] = []

    def read(self):
        return self._session.read()

    def prune(self, before, *, limit):
        self.asked.append((before, limit))
        gone = min(limit, self.old)
        self.old -= gone
        return gone


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock("2026-03-01")


def test_it_begins_a_minute_after_the_start_and_looks_once_a_minute(clock):
    """A4"""
    session = Session(clock, old=0)
    retention = Retention(session, clock, KEEP)
    assert retention.due_in_s == 60.0

    clock.advance(59.9)
    retention.prune_if_due()
    assert session.asked == []
    assert retention.due_in_s == pytest.approx(0.1)

    clock.advance(0.1)
    retention.prune_if_due()
    assert session.asked == [(cutoffs(KEEP, None, clock.now()), BATCH)]
    assert retention.due_in_s == 60.0

    retention.prune_if_due()
    assert len(session.asked) == 1


def test_what_is_late_is_due_at_once(clock):
    retention = Retention(Session(clock, old=0), clock, KEEP)
    clock.advance(90)

    assert retention.due_in_s == 0.0


@pytest.mark.parametrize(("old", "then_s"), [(BATCH - 1, 60.0), (BATCH, 1.0), (BATCH + 1, 1.0)])
def test_after_a_full_batch_it_goes_on_a_second_later(clock, old, then_s):
    """A4: in small batches, and something else has its turn in between."""
    retention = Retention(Session(clock, old=old), clock, KEEP)
    clock.advance(60)
    retention.prune_if_due()

    assert retention.due_in_s == then_s


def test_age_is_elapsed_time_where_the_clock_was_set(clock, monkeypatch):
    """O4, A4: the store remembers an hour by which the clock was set forward today."""
    now_us = round(clock.now().timestamp()) * 1_000_000
    mark = ClockMark("virtual", 0, 3_600_000_000, ((now_us - 7_200_000_000, 0),))
    monkeypatch.setattr(MemoryReader, "clock_mark", lambda reader: mark)
    session = Session(clock, old=0)
    retention = Retention(session, clock, KEEP)
    clock.advance(60)
    retention.prune_if_due()

    ((before, _),) = session.asked
    assert before.runs == clock.now() - timedelta(days=14, hours=1)
