"""What a running attempt says about itself."""

from __future__ import annotations

import pytest
from builders import NOON, a_run, a_snapshot, after, at

from shiftboss.core.model import Progress, Status
from shiftboss.core.note import Note, note
from shiftboss.core.snapshot import NOTHING

RUNNING = Status.RUNNING


def said(world, now=NOON, **fields):
    change, _ = note(world, now, note=Note(**({"run": 1, "node": "n1", "fence": 1} | fields)))
    world.apply(change)
    return change


class TestNotes:
    """C5, H2: kept while the claim is its sender's."""

    def test_progress_is_kept_and_is_a_heartbeat(self):
        world = a_snapshot(a_run(status=RUNNING))
        said(world, after(5), progress=Progress(done=3, total=10, message="page 3"))

        run = world.running[1]
        assert run.progress == Progress(done=3, total=10, message="page 3", at=after(5))
        assert run.heartbeat_at == after(5)

    def test_a_heartbeat_keeps_the_progress(self):
        world = a_snapshot(a_run(status=RUNNING, progress=Progress(done=3)))
        said(world, after(9))

        assert (world.running[1].progress, world.running[1].heartbeat_at) == (Progress(done=3), after(9))

    @pytest.mark.parametrize("stale", [{"fence": 2}, {"node": "n2"}, {"run": 9}])
    def test_a_stale_one_changes_nothing(self, stale):
        assert said(a_snapshot(a_run(status=RUNNING)), **stale) is NOTHING

    def test_a_zombie_is_marked_once(self):
        """B6"""
        world = a_snapshot(a_run(status=RUNNING))
        said(world, at("12:01"), zombie=True)
        assert said(world, at("12:02"), zombie=True) is NOTHING

        assert world.running[1].claim.zombie_since == at("12:01")
        assert world.running[1].status is RUNNING
