"""W8: a row that cannot be read holds what has to do with it.  Who that is: tests/core/test_unreadable.py."""

from __future__ import annotations

from builders import (
    a_run,
    a_snapshot,
    a_worker,
    gates,
    unreadable,
)

from shiftboss.core.holds import (
    IsUnreadable,
)

EXAMPLES = [  # a hold; its scope, its subject, whether it ends by itself; its sentence
    (
        IsUnreadable(table="run", id="7", worker="a", reason="torn"),
        ("component", "a", False),
        "run 7 of a cannot be read (torn); see: shiftboss doctor; then: shiftboss doctor --set-aside",
    ),
]


def test_a_worker_whose_row_cannot_be_read_starts_nothing():
    """W8"""
    world = a_snapshot(a_run(), workers=[unreadable(a_worker(), "worker", "a")])

    assert gates(world.decide(), 1) == ["unreadable"]
