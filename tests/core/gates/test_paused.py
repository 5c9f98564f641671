"""K7: a paused worker starts nothing until its pause is over."""

from __future__ import annotations

from builders import NOON, a_run, a_snapshot, a_worker, after, at, gates, starts

from shiftboss.core.holds import IsPaused
from shiftboss.core.model import Pause
from shiftboss.core.value import replace

EXAMPLES = [  # a hold; its scope, its subject, whether it ends by itself; its sentence
    (IsPaused(by="ada", reason="moving"), ("worker", "ada", False), "paused by ada: moving"),
    (IsPaused(by="ada"), ("worker", "ada", False), "paused by ada"),
    (IsPaused(), ("worker", "", False), "paused"),
]


IN_A_MINUTE = after(60)


def a_world(*runs, until=IN_A_MINUTE, **fields):
    pause = Pause(by="ada", reason="moving", since=at("11:00"), until=until)
    return a_snapshot(*runs, workers=[replace(a_worker(**fields), paused=pause)])


class TestPaused:
    def test_nothing_starts_and_the_hold_says_until_when(self):
        world = a_world(a_run())

        held = IsPaused(by="ada", reason="moving", since=at("11:00"), until=after(60))
        assert world.decide().holds == {1: (held,)}
        assert world.decide().look_at == {"a": after(60)}

    def test_it_is_over_at_its_time_without_anybody(self):
        world = a_world(a_run())

        assert starts(world.decide(after(59.999))) == []
        assert starts(world.decide(after(60))) == [1]

    def test_without_an_end_it_lasts(self):
        assert gates(a_world(a_run(), until=None).decide(after(10**9)), 1) == ["paused"]

    def test_a_forced_run_waits_as_well(self):
        assert gates(a_world(a_run(forced=True), disabled="ada").decide(), 1) == ["paused"]

    def test_both_hold_a_worker_that_is_disabled_too(self):
        assert gates(a_world(a_run(), disabled="ada").decide(), 1) == ["disabled", "paused"]

    def test_its_downstream_waits_for_what_is_not_done(self):
        """D2, D6"""
        pause = Pause(by="ada", reason="", since=NOON)
        upstream = replace(a_worker("a"), paused=pause)
        world = a_snapshot(a_run("a"), a_run("b"), workers=[upstream, a_worker("b", depends_on=["a"])])

        assert gates(world.decide(), 2) == ["depends_on"]
