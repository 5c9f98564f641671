"""What does a node hold back while it is short of something?"""

from __future__ import annotations

import pytest

from shiftboss.core.model import Shed
from shiftboss.core.shed import Pressures, Shedding, shed

NOTHING, LOW, NORMAL = Shed.NOTHING, Shed.LOW, Shed.NORMAL
CALM = Pressures()
LATE, FULL, SLOW = Pressures(loop_lag_s=0.25), Pressures(memory_share=0.91), Pressures(store_s=1.5)
SHORT_OF_LOOP = "event loop time (the event loop was late by 0.25 s, the limit is 0.10 s)"
SHORT_OF_MEMORY = "memory (91% is in use, the limit is 90%)"
SHORT_OF_STORE = "store speed (a transaction took 1.50 s, the limit is 0.50 s)"


def after(*pressures: Pressures) -> Shedding:
    """What a node holds back that has measured these, one a second."""
    shedding = Shedding()
    for measured in pressures:
        shedding = shed(shedding, measured)
    return shedding


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
        assert after(calm) == Shedding()
        assert after(low).level is LOW
        assert after(low, low).level is LOW
        assert after(low, normal).level is NORMAL

    @pytest.mark.parametrize(
        ("entered", "kept", "left"),
        [
            (LATE, Pressures(loop_lag_s=0.06), Pressures(loop_lag_s=0.04)),
            (FULL, Pressures(memory_share=0.86), Pressures(memory_share=0.84)),
            (SLOW, Pressures(store_s=0.3), Pressures(store_s=0.1)),
        ],
    )
    def test_a_level_is_left_below_a_lower_one(self, entered, kept, left):
        assert after(kept).level is NOTHING
        assert after(entered, kept).level is LOW
        assert after(entered, left) == Shedding()

    @pytest.mark.parametrize(
        ("worst", "kept", "left"),
        [
            (Pressures(loop_lag_s=0.6), Pressures(loop_lag_s=0.3), Pressures(loop_lag_s=0.2)),
            (Pressures(memory_share=0.96), Pressures(memory_share=0.93), Pressures(memory_share=0.91)),
            (Pressures(store_s=3.0), Pressures(store_s=1.2), Pressures(store_s=0.9)),
        ],
    )
    def test_normal_runs_come_back_before_low_ones(self, worst, kept, left):
        assert after(worst, worst, kept).level is NORMAL
        assert after(worst, worst, left).level is LOW

    def test_it_goes_one_step_at_a_time(self):
        worst = Pressures(loop_lag_s=9.0)

        assert after(worst).level is LOW
        assert after(worst, worst).level is NORMAL
        assert after(worst, worst, worst).level is NORMAL
        assert after(worst, worst, CALM).level is LOW
        assert after(worst, worst, CALM, CALM) == Shedding()

    def test_a_value_that_swings_about_a_threshold_changes_nothing(self):
        shedding, seen = Shedding(), []
        for lag_s in [0.11, 0.09, 0.11, 0.09, 0.11, 0.09]:
            shedding = shed(shedding, Pressures(loop_lag_s=lag_s))
            seen.append((shedding.level, shedding.reason))

        assert seen == [(LOW, "short of event loop time (the event loop was late by 0.11 s, the limit is 0.10 s)")] * 6

    def test_what_never_reached_its_limit_keeps_nothing_up(self):
        """Memory at 86 % would keep a level that it had entered; a slow turn has entered this one."""
        busy = Pressures(memory_share=0.86)

        assert after(Pressures(store_s=1.5, memory_share=0.86), busy) == Shedding()


class TestReasons:
    """H4: they say which of the three is short, with the measured value and the limit."""

    @pytest.mark.parametrize(
        ("pressures", "reason"), [(LATE, SHORT_OF_LOOP), (FULL, SHORT_OF_MEMORY), (SLOW, SHORT_OF_STORE)]
    )
    def test_it_is_named_with_its_value_and_its_limit(self, pressures, reason):
        assert after(pressures).reason == f"short of {reason}"

    def test_the_limit_is_the_one_that_was_reached(self):
        worst = Pressures(memory_share=0.96)

        assert after(worst, worst).reason == "short of memory (96% is in use, the limit is 95%)"

    def test_all_that_is_short_is_named_the_worst_first(self):
        everything = Pressures(loop_lag_s=0.25, memory_share=0.91, store_s=1.5)

        assert after(everything).reason == f"short of {SHORT_OF_STORE} and {SHORT_OF_LOOP} and {SHORT_OF_MEMORY}"

    def test_what_is_over_is_named_no_longer_and_what_begins_is_named_at_once(self):
        assert after(SLOW, LATE).reason == f"short of {SHORT_OF_LOOP}"
        assert after(SLOW, Pressures(store_s=1.5, loop_lag_s=0.25)).reason == (
            f"short of {SHORT_OF_STORE} and {SHORT_OF_LOOP}"
        )

    def test_on_the_way_back_it_names_what_was_short_and_not_what_is_merely_highest(self):
        worst = Pressures(store_s=2.5)
        back = after(worst, worst, Pressures(memory_share=0.7))

        assert back.level is LOW
        assert back.reason == "was short of store speed (a transaction took 2.50 s, the limit is 2.00 s)"
