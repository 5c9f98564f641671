"""The table of statuses."""

from __future__ import annotations

import pytest
from builders import a_run

from shiftboss.core.lifecycle import MOVES, diagram, move
from shiftboss.core.model import Status
from shiftboss.errors import IllegalMove

ALLOWED = {
    ("pending", "running"),
    ("pending", "cancelled"),
    ("pending", "skipped"),
    ("pending", "dead"),
    ("running", "pending"),
    ("running", "succeeded"),
    ("running", "dead"),
    ("running", "cancelled"),
}


class TestMoves:
    """S: these and no others."""

    @pytest.mark.parametrize("start", list(Status))
    @pytest.mark.parametrize("end", list(Status))
    def test_a_move_is_made_or_refused(self, start, end):
        run = a_run(status=start, id=7)

        if (start.value, end.value) in ALLOWED:
            moved = move(run, end, missed=3)
            assert (moved.status, moved.missed, moved.id) == (end, 3, 7)
        else:
            with pytest.raises(IllegalMove, match=f"run 7 of 'a' cannot go from {start} to {end}"):
                move(run, end)

    def test_final_statuses_never_change(self):
        finals = [status for status in Status if status.is_final]

        assert finals == [Status.SUCCEEDED, Status.DEAD, Status.CANCELLED, Status.SKIPPED]
        assert all(MOVES[status] == frozenset() for status in finals)

    def test_every_status_is_in_the_table(self):
        assert set(MOVES) == set(Status)

    def test_it_can_be_drawn(self):
        lines = diagram().splitlines()

        assert lines[:3] == ["stateDiagram-v2", "    [*] --> pending", "    pending --> running"]
        assert "    running --> pending" in lines
        assert lines[-1] == "    skipped --> [*]"
        assert len(lines) == 2 + 8 + 4
