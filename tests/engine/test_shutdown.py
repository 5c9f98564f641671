"""The phases of a shutdown, and what its report says of each run (G1 to G4)."""

from __future__ import annotations

import pytest
from builders import NOON

from shiftboss.core.events import AttemptEnded, RunEnded, StaleReport
from shiftboss.core.model import Cause, Error, Failed, Interrupted, Report, Status, Succeeded
from shiftboss.engine.shutdown import Phase, Shutdown, ShutdownReport

CUT, DONE, FAILED = Interrupted(), Succeeded(), Failed(error=Error(type="E", message="m"))


def asked(*instants: float, timeout_s: float = 25.0) -> Shutdown:
    shutdown = Shutdown()
    for at_s in instants:
        shutdown.request(at_s, timeout_s=timeout_s)
    return shutdown


class TestPhases:
    """G1, G3: every phase has its instant, and the last writes come before the end."""

    @pytest.mark.parametrize(
        ("now_s", "phase"),
        [
            (0.0, Phase.DRAIN),
            (19.9, Phase.DRAIN),
            (20.0, Phase.CANCEL),
            (22.9, Phase.CANCEL),
            (23.0, Phase.KILL),
            (24.0, Phase.OVER),
        ],
    )
    def test_of_25_seconds(self, now_s, phase):
        assert asked(0.0).phase(now_s) is phase

    def test_of_one_second_they_shrink(self):
        shutdown = asked(0.0, timeout_s=1.0)

        assert [shutdown.phase(at_s) for at_s in (0.4, 0.5, 0.75, 0.875)] == [
            Phase.DRAIN,
            Phase.CANCEL,
            Phase.KILL,
            Phase.OVER,
        ]
        assert shutdown.left_s(0.875) == pytest.approx(0.125)

    def test_a_second_request_ends_it_within_5_s_and_a_third_within_2(self):
        assert (asked(0.0, 3.0).phase(3.0), asked(0.0, 3.0).ends_at_s) == (Phase.CANCEL, 8.0)
        assert (asked(0.0, 3.0, 4.0).phase(4.0), asked(0.0, 3.0, 4.0).ends_at_s) == (Phase.KILL, 6.0)

    def test_a_later_request_never_makes_it_longer(self):
        assert asked(0.0, 24.5).ends_at_s == 25.0

    def test_the_next_phase_comes_at_its_instant_and_after_the_last_none_does(self):
        shutdown = asked(0.0)

        assert [shutdown.next_s(at_s) for at_s in (0.0, 20.0, 22.5, 23.5)] == [20.0, 3.0, 0.5, 0.5]
        assert shutdown.next_s(24.0) == float("inf")
        assert Shutdown().next_s(5.0) == float("inf")
        assert Shutdown().left_s(5.0) == float("inf")
        assert Shutdown().phase(1e9) is Phase.RUNNING

    def test_the_call_that_is_under_way_is_cut_within_a_second(self):
        """It keeps the bodies from being told."""
        assert asked(0.0).current_call_s(2.0, timeout_s=25.0) == 1.0
        assert asked(0.0).current_call_s(23.6, timeout_s=25.0) == pytest.approx(0.4)
        assert asked(0.0, timeout_s=2.0).current_call_s(0.0, timeout_s=2.0) == 0.5


class TestCalls:
    """G3: how long a call of the store may last."""

    def test_until_the_next_phase(self):
        assert asked(0.0).call_s(2.0, timeout_s=25.0) == 18.0

    def test_a_little_longer_where_that_is_near(self):
        """A healthy commit must not be cut because a phase begins."""
        assert asked(0.0).call_s(19.9, timeout_s=25.0) == 1.0
        assert asked(0.0, timeout_s=2.0).call_s(0.95, timeout_s=2.0) == 0.5, "a quarter of a short time"

    def test_never_beyond_the_end(self):
        assert asked(0.0).call_s(23.6, timeout_s=25.0) == pytest.approx(0.4)
        assert asked(0.0).call_s(24.2, timeout_s=25.0) == pytest.approx(0.3)  # the last writes, and time to close
        assert asked(0.0).call_s(26.0, timeout_s=25.0) == 0.0
        assert asked(0.0, timeout_s=2.0).call_s(1.8, timeout_s=2.0) == pytest.approx(0.075)


def counted(outcome, fate) -> ShutdownReport:
    report = ShutdownReport()
    report.count(Report(1, "n1", 1, outcome, 0.1), fate)
    return report


class TestReport:
    """G4: each run once, and only what is known."""

    def test_what_became_of_it_counts(self):
        again = AttemptEnded(at=NOON, run=1, cause=Cause.INTERRUPTED)
        dead = RunEnded(at=NOON, run=1, status=Status.DEAD, cause=Cause.LOST)
        ended = RunEnded(at=NOON, run=1)
        retried = AttemptEnded(at=NOON, run=1, cause=Cause.ERROR)
        stale = StaleReport(at=NOON, run=1)

        assert counted(CUT, again) == ShutdownReport(interrupted=1)
        assert counted(CUT, dead) == ShutdownReport(given_up=1)
        assert counted(CUT, stale) == ShutdownReport(interrupted=1)
        assert counted(DONE, ended) == ShutdownReport(drained=1)
        assert counted(FAILED, retried) == ShutdownReport(drained=1)
        assert counted(DONE, stale) == ShutdownReport(unreported=1)

    def test_a_quiet_end(self):
        assert str(ShutdownReport(drained=4, interrupted=1, waiting=17, duration_s=3.2)) == (
            "stopped in 3.2 s: drained 4, interrupted 1 (requeued), pending 17, lost 0"
        )

    @pytest.mark.parametrize(
        ("handed_back", "ended", "then"),
        [
            (True, 0, "their runs are due again"),
            (True, 3, "their runs have ended"),
            (True, 1, "due again 2, ended 1"),
            (False, 0, "their runs are rescued when this process has ended"),
        ],
    )
    def test_a_body_that_cannot_be_stopped(self, handed_back, ended, then):
        report = ShutdownReport(stuck=3, handed_back=handed_back, stuck_ended=ended, duration_s=25.0)

        assert str(report).endswith(f"pending 0, lost 0, stuck 3 (their functions are still running; {then})")
        assert report.exit_code == 1

    def test_without_the_store_it_claims_nothing_about_it(self):
        report = ShutdownReport(drained=1, unreported=2, store_reached=False, duration_s=25.0)

        assert str(report) == (
            "stopped in 25.0 s: drained 1, interrupted 0 (requeued), unreported 2 (ended but not stored; their runs "
            "are rescued), pending unknown (the store was out of reach)"
        )
        assert report.exit_code == 75

    def test_what_was_given_up_is_no_good_end(self):
        report = ShutdownReport(given_up=1)

        assert "given up 1 (at_most_once: dead letters)" in str(report)
        assert report.exit_code == 1
