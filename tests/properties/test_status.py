"""What is kept of a status from one question to the next is what a question without memory would answer, in systems
made up at random."""

from __future__ import annotations

import contextlib

import pytest
import systems

from shiftboss.app.views import Views
from shiftboss.core.value import replace
from shiftboss.ports.faces import WorkerFilter

FIRST = 71_000
FEW = WorkerFilter(limit=2)


class Compared:
    """Asks views that remember and views that do not, whenever something happens in the system."""

    def __init__(self) -> None:
        self.asked = 0
        self.rows_that_are_kept = 0
        self.warm: Views | None = None

    def __call__(self, played: systems.Play) -> None:
        if self.warm is None:
            self.warm = Views(played.sim.store, played.sim.clock)
        warm = self.warm
        with contextlib.closing(Views(played.sim.store, played.sim.clock)) as cold:
            for wanted in (WorkerFilter(), FEW):
                before = set(map(id, warm._rows._rows.values()))
                status, fresh = warm.status(wanted), cold.status(wanted)
                self.rows_that_are_kept += sum(id(row) in before for row in status.workers)
                assert steady(status) == steady(fresh)
                assert warm.health(wanted) == cold.health(wanted)
            assert steady(warm.live_status()[0]) == steady(cold.live_status()[0])
        self.asked += 1


def steady(status):
    nodes = tuple(replace(node, lease_left_s=0.0, lag_s=0.0, memory_bytes=0) for node in status.nodes)
    return replace(status, nodes=nodes)


@pytest.mark.parametrize("seed", range(FIRST, FIRST + 12))
def test_warm_and_cold_views_say_the_same_in_systems_made_up_at_random(seed, monkeypatch):
    compared = Compared()
    happen = systems._happen

    def happen_and_compare(played: systems.Play) -> None:
        happen(played)
        compared(played)

    monkeypatch.setattr(systems, "_happen", happen_and_compare)

    systems.play(seed)

    assert compared.asked > 0
    assert compared.rows_that_are_kept > 0
