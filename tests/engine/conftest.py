"""For the tests of the engine."""

from __future__ import annotations

import pytest

from shiftboss.engine import contact
from shiftboss.testing.clock import VirtualClock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> VirtualClock:
    """For everything: also the silence of a store is measured by it, which otherwise real time does."""
    clock = VirtualClock("2026-03-01")
    monkeypatch.setattr(contact, "_clock", clock)
    return clock
