"""What does a node hold back while it is short of something?"""

from __future__ import annotations

import pytest

from shiftboss.core.model import Shed
from shiftboss.core.shed import Pressures, shed_level

NOTHING, LOW, NORMAL = Shed.NOTHING, Shed.LOW, Shed.NORMAL


class TestLevels:
    """H4: first low, then normal, with hysteresis."""

    @pytest.mark.parametrize(
        ("calm", "low", "normal"),
        [
            (Pressures(loop_lag_s=0.09), Pressures(loop_lag_s=0.1), Pressures(loop_lag_s=0.5)),
            (Pressures(memory_share=0.89), Pressures(memory_share=0.90), Pressures(memory_share=0.95)),
            (Pressures(store_s=0.4), Pressures(store_s=0.5), Pressures(store_s=2.0)),
        ],
    )
    def test_each_pressure_enters_at_its_threshold(self, calm, low, normal):
        assert shed_level(NOTHING, calm) == (NOTHING, "")
        assert shed_level(NOTHING, low)[0] is LOW
        assert shed_level(LOW, low)[0] is LOW
        assert shed_level(LOW, normal)[0] is NORMAL

    @pytest.mark.parametrize(
        ("kept", "left"),
        [
            (Pressures(loop_lag_s=0.06), Pressures(loop_lag_s=0.04)),
            (Pressures(memory_share=0.86), Pressures(memory_share=0.84)),
            (Pressures(store_s=0.3), Pressures(store_s=0.1)),
        ],
    )
    def test_a_level_is_left_below_a_lower_one(self, kept, left):
        assert shed_level(NOTHING, kept)[0] is NOTHING
        assert shed_level(LOW, kept)[0] is LOW
        assert shed_level(LOW, left) == (NOTHING, "")

    @pytest.mark.parametrize(
        ("kept", "left"),
        [
            (Pressures(loop_lag_s=0.3), Pressures(loop_lag_s=0.2)),
            (Pressures(memory_share=0.93), Pressures(memory_share=0.91)),
            (Pressures(store_s=1.2), Pressures(store_s=0.9)),
        ],
    )
    def test_normal_runs_come_back_before_low_ones(self, kept, left):
        assert shed_level(NORMAL, kept)[0] is NORMAL
        assert shed_level(NORMAL, left)[0] is LOW

    def test_it_goes_one_step_at_a_time(self):
        worst, best = Pressures(loop_lag_s=9.0), Pressures()

        assert shed_level(NOTHING, worst)[0] is LOW
        assert shed_level(LOW, worst)[0] is NORMAL
        assert shed_level(NORMAL, worst)[0] is NORMAL
        assert shed_level(NORMAL, best)[0] is LOW
        assert shed_level(LOW, best)[0] is NOTHING

    def test_the_worst_pressure_is_the_reason(self):
        pressures = Pressures(loop_lag_s=0.12, memory_share=0.96, store_s=0.6)

        assert shed_level(NOTHING, pressures) == (LOW, "96% of the memory is in use")
        assert shed_level(NOTHING, Pressures(loop_lag_s=0.25)) == (LOW, "the event loop is late by 0.25 s")
        assert shed_level(NOTHING, Pressures(store_s=1.5)) == (LOW, "a turn with the store took 1.50 s")

    def test_a_value_that_swings_about_a_threshold_changes_nothing(self):
        level, seen = NOTHING, []
        for lag_s in [0.11, 0.09, 0.11, 0.09, 0.11, 0.09]:
            level, _ = shed_level(level, Pressures(loop_lag_s=lag_s))
            seen.append(level)

        assert seen == [LOW] * 6
