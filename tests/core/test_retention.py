"""What of the past goes, and when."""

from __future__ import annotations

from datetime import timedelta

import pytest
from builders import NOON, at

from shiftboss.core.model import ClockMark
from shiftboss.core.retention import Batch, Cutoffs, Keep, cutoffs, sealed_among

HOUR_US = 3_600_000_000
DAY = timedelta(days=1)
ALL = Cutoffs(letters=at("09:00"), runs=at("10:00"), events=at("11:00"), audit=at("08:00"))


class TestCutoffs:
    """A4"""

    def test_they_are_as_old_as_each_kind_is_kept(self):
        found = cutoffs(Keep(runs_s=3600, letters_s=7200, audit_s=10_800), None, NOON)

        assert found == Cutoffs(letters=at("10:00"), runs=at("11:00"), events=at("11:00"), audit=at("09:00"))

    def test_without_a_word_runs_are_kept_for_14_days_letters_for_30_the_audit_for_a_year(self):
        found = cutoffs(Keep(), None, NOON)

        assert (found.runs, found.letters, found.audit) == (NOON - 14 * DAY, NOON - 30 * DAY, NOON - 365 * DAY)

    @pytest.mark.parametrize(("minutes_ago", "runs"), [(10, at("10:30")), (40, at("11:30"))])
    def test_a_clock_that_was_set_forward_meanwhile_makes_nothing_older(self, minutes_ago, runs):
        """O4: an hour forward; what was written before that has a stamp that looks an hour older than it is."""
        age_us = round(NOON.timestamp()) * 1_000_000 - HOUR_US
        mark = ClockMark(boot="b", offset_us=0, set_us=HOUR_US, steps=((age_us - minutes_ago * 60_000_000, 0),))

        assert cutoffs(Keep(runs_s=1800), mark, NOON).runs == runs


class TestBatch:
    """A4: one bound for all kinds together, letters first."""

    def test_each_kind_in_turn_gets_the_room_that_those_before_it_have_left(self):
        batch, asked = Batch(ALL, limit=10), []
        for (kind, before, room), gone in zip(batch, (3, 0, 6, 1), strict=True):
            asked.append((str(kind), before, room))
            batch.went(gone)

        assert asked == [
            ("letters", at("09:00"), 10),
            ("runs", at("10:00"), 7),
            ("events", at("11:00"), 7),
            ("audit", at("08:00"), 1),
        ]
        assert batch.gone == 10

    def test_nothing_more_is_asked_for_once_it_is_full(self):
        batch = Batch(ALL, limit=3)
        kinds = []
        for kind, _, room in batch:
            kinds.append(str(kind))
            batch.went(room)

        assert (kinds, batch.gone) == (["letters"], 3)

    def test_of_what_has_no_cut_off_nothing_goes(self):
        only = Cutoffs(letters=NOON, runs=NOON, events=NOON)

        assert [str(kind) for kind, _, _ in Batch(only, limit=1)] == ["letters", "runs", "events"]


OLDEST = [(4, 40), (5, 50), (6, 60), (7, 70), (8, 55)]  # the clock was set back before the last one


class TestAudit:
    """A8: whole seals, and the last of them stays."""

    @pytest.mark.parametrize(
        ("seals", "before_us", "gone"),
        [
            ([3, 5, 7], 65, [4, 5]),  # 6 is old enough, and sealed together with 7
            ([3, 5, 7], 71, [4, 5, 6, 7]),
            ([3, 4], 100, [4]),
            ([3], 100, []),  # nothing of them is sealed yet
            ([9], 100, []),
            ([], 100, [4, 5, 6, 7, 8]),
            ([], 56, [4, 5]),  # 8 is old enough, and stands behind one that is not
            ([3, 5, 7], 40, []),
        ],
    )
    def test_what_goes_is_old_enough_and_sealed_to_its_end(self, seals, before_us, gone):
        assert sealed_among(OLDEST, seals, before_us=before_us) == gone
