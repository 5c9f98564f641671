"""A launch waits for a body on its node that lost its claim: until that has ended, or has had its grace (B7)."""

from __future__ import annotations

import pytest
from worlds import World

from shiftboss.core.model import Interrupted, Run, Succeeded
from shiftboss.core.value import replace
from shiftboss.core.worker import Definition
from shiftboss.engine.cycle import Launchable
from shiftboss.engine.mutation import Mutation
from shiftboss.engine.running import KILLED_WITHIN_S, RunningAttempts
from shiftboss.ports.executor import Launch, StopReason

GRACE_S = 3.0
JOB = Definition(name="job", executor="hand", cancel_grace_s=GRACE_S, concurrency=1)
PAIR = Definition(name="pair", executor="hand", cancel_grace_s=GRACE_S, concurrency=None)
WALL = Definition(name="wall", executor="hand", blocks=("job",))


class ByHand:
    """An executor that does as it is told, and ends nothing by itself."""

    kind, slots = "hand", 10

    def __init__(self):
        self.said: list[tuple[str, int, int]] = []
        self.launches: dict[tuple[int, int], Launch] = {}

    def start(self, launches):
        for launch in launches:
            key = launch.run.id, launch.run.claim.fence
            self.launches[key] = launch
            self.said.append(("start", *key))

    def stop(self, run_id, fence, reason):
        self.said.append((str(reason), run_id, fence))


class Node:
    def __init__(self, job: Definition = JOB):
        self.world = World(job, PAIR, WALL)
        self.clock = self.world.clock
        self.hand = ByHand()
        self.put: list[Mutation] = []
        names = [each.name for each in (JOB, PAIR, WALL)]
        self.running = RunningAttempts(
            self.world.node.id,
            self.clock,
            bodies=dict.fromkeys(names),
            executors={"hand": self.hand},
            kinds=dict.fromkeys(names, "hand"),
            put=self.put.append,
            code_version="",
        )

    @property
    def snapshot(self):
        return self.world.cycle.snapshot

    def claimed(self, worker: str) -> Launchable:
        mutation, _ = self.world.trigger(worker)
        (start,) = self.world.turn(mutation).starts
        return start

    def again(self, start: Launchable, *, by: int = 1) -> Launchable:
        """The same run, claimed once more after its store was set back."""
        claim = start.run.claim
        return Launchable(replace(start.run, claim=replace(claim, fence=claim.fence + by)), start.grant)

    def start(self, *starts: Launchable) -> None:
        for start in starts:
            self.snapshot.put_claim(start.run)
        self.running.look(self.snapshot, starting=starts)
        self.running.start(self.snapshot, starts)

    def lose(self, run: Run) -> None:
        self.snapshot.drop_claim(run.id)

    def reports(self) -> list[tuple[int, int, object]]:
        taken, self.put[:] = [mutation.report for mutation in self.put if mutation.report is not None], []
        self.running.acknowledge(taken)
        return [(report.run, report.fence, report.outcome) for report in taken]


@pytest.fixture
def node():
    return Node()


def key(start: Launchable) -> tuple[int, int]:
    return start.run.id, start.run.claim.fence


def test_the_body_of_an_older_claim_is_told_and_its_successor_starts_when_it_has_ended(node):
    first = node.claimed("job")
    node.start(first)
    second = node.again(first)
    node.start(second)
    node.running.release(node.snapshot)

    assert node.hand.said == [("start", *key(first)), ("lease", *key(first))]

    node.hand.launches[key(first)].report(Interrupted("lease"), 1.0)
    node.running.release(node.snapshot)

    assert node.hand.said[2:] == [("start", *key(second))]
    assert [report[:2] for report in node.reports()] == [key(first)]
    assert len(node.running) == 1


def test_a_body_that_goes_on_after_its_grace_is_not_waited_for_any_longer(node):
    first = node.claimed("job")
    node.start(first)
    second = node.again(first)
    node.start(second)

    assert KILLED_WITHIN_S == 2.0
    assert node.running.release_in_s == pytest.approx(5.0)

    node.clock.advance(GRACE_S + KILLED_WITHIN_S)
    node.running.release(node.snapshot)

    assert node.hand.said[-1] == ("start", *key(second))
    assert node.running.release_in_s == float("inf")
    assert len(node.running) == 2  # both are waited for at the end of the node


def test_a_body_whose_report_is_on_its_way_is_waited_for_by_nobody(node):
    first = node.claimed("job")
    node.start(first)
    node.hand.launches[key(first)].report(Succeeded(), 1.0)
    second = node.again(first)
    node.start(second)

    assert node.hand.said[-1] == ("start", *key(second))


def test_of_a_run_that_is_claimed_twice_before_it_is_started_only_the_later_claim_is(node):
    first = node.claimed("job")
    second = node.again(first)
    node.start(second)
    node.put.clear()
    both = Node()
    both.snapshot.put_claim(second.run)
    both.running.start(both.snapshot, [first, second])

    assert both.hand.said == [("start", *key(second))]
    assert [report[:2] for report in both.reports()] == [key(first)]


def test_a_third_claim_takes_the_place_of_the_second_that_waited(node):
    first = node.claimed("job")
    second, third = node.again(first), node.again(first, by=2)
    node.start(first)
    node.start(second)
    node.start(third)
    node.hand.launches[key(first)].report(Interrupted("lease"), 1.0)
    node.running.release(node.snapshot)

    assert [said for said in node.hand.said if said[0] == "start"] == [("start", *key(first)), ("start", *key(third))]
    assert sorted(report[:2] for report in node.reports()) == sorted([key(second), key(first)])


def test_what_excludes_a_body_that_lost_its_claim_waits_for_it_and_nobody_else_does(node):
    """C1, B1: the run is another one; what is limited to one at a time, or blocked, is not begun beside it."""
    first = node.claimed("job")
    node.start(first)
    node.lose(first.run)
    other, pair = node.claimed("job"), node.claimed("pair")
    node.start(other, pair)

    assert node.hand.said == [("start", *key(first)), ("lease", *key(first)), ("start", *key(pair))]

    node.hand.launches[key(first)].report(Interrupted("lease"), 1.0)
    node.running.release(node.snapshot)

    assert node.hand.said[-1] == ("start", *key(other))


def test_a_blocked_worker_waits_for_the_body_of_its_blocker(node):
    """B1"""
    first = node.claimed("job")
    node.start(first)
    node.lose(first.run)
    wall = node.claimed("wall")
    node.start(wall)

    assert node.hand.said[-1] == ("lease", *key(first))


@pytest.mark.parametrize("how", ["told", "given back", "lost"])
def test_what_waits_is_handed_back_unentered_when_the_node_stops_or_loses_its_lease(node, how):
    first = node.claimed("job")
    node.start(first)
    second = node.again(first)
    node.start(second)
    if how == "told":
        node.running.stop_all(StopReason.SHUTDOWN)
    elif how == "given back":
        node.running.give_back_held("the node was told to stop before the start")
    else:
        node.lose(second.run)
        node.running.look(node.snapshot)
    node.hand.launches[key(first)].report(Interrupted("lease"), 1.0)
    node.running.release(node.snapshot)

    assert ("start", *key(second)) not in node.hand.said
    durations_s = {(each.report.run, each.report.fence): each.report.duration_s for each in node.put if each.report}
    (report,) = [report for report in node.reports() if report[:2] == key(second)]
    assert durations_s[key(second)] == 0.0
    assert isinstance(report[2], Interrupted)
    assert not report[2].began
    assert len(node.running) == 0


def test_a_cancelled_run_that_waits_never_begins(node):
    first = node.claimed("job")
    node.start(first)
    second = node.again(first)
    node.start(second)
    node.running._tell(node.running._launches[second.run.id], StopReason.CANCEL)

    assert [type(report[2]).__name__ for report in node.reports()] == ["Cancelled"]


def test_the_body_of_an_older_claim_is_told_by_the_start_of_the_newer_one(node):
    """C5: whether anybody has looked before or not."""
    first = node.claimed("job")
    node.start(first)
    node.running.start(node.snapshot, [node.again(first)])

    assert node.hand.said == [("start", *key(first)), ("lease", *key(first))]


def test_a_run_never_begins_beside_itself_however_many_of_its_worker_may_run(node):
    """C1"""
    first = node.claimed("pair")
    node.start(first)
    second = node.again(first)
    node.start(second)
    assert ("start", *key(second)) not in node.hand.said
    node.hand.launches[key(first)].report(Interrupted("lease"), 1.0)
    node.running.release(node.snapshot)

    assert node.hand.said[-1] == ("start", *key(second))


def test_how_long_it_waits_at_most_is_said_and_asked_for(node, caplog):
    """B7: the first of those that wait decides."""
    node.clock.advance(100)
    first, pair = node.claimed("job"), node.claimed("pair")
    node.start(first, pair)
    node.start(node.again(first))
    node.clock.advance(2)
    node.start(node.again(pair))

    assert [" 5 s" in message for message in caplog.messages] == [True, True]
    assert node.running.release_in_s == pytest.approx(3.0)
    node.clock.advance(10)
    assert node.running.release_in_s == 0.0


def test_what_it_has_waited_is_no_part_of_the_time_until_its_deadline():
    """T1: counted from its claim."""
    node = Node(replace(JOB, timeout_s=None, deadline_s=20.0))
    first = node.claimed("job")
    node.start(first)
    second = node.again(first)
    node.start(second)
    node.clock.advance(2)
    node.hand.launches[key(first)].report(Interrupted("lease"), 1.0)
    node.running.release(node.snapshot)

    assert node.hand.launches[key(second)].timeout_s == pytest.approx(18.0)


def test_what_is_given_back_says_why_and_that_it_took_no_time(node):
    first = node.claimed("job")
    node.start(first)
    node.start(node.again(first))
    node.running.give_back_held("the node was told to stop")
    (report,) = (mutation.report for mutation in node.put)

    assert (report.outcome, report.duration_s) == (Interrupted("the node was told to stop", began=False), 0.0)
    assert node.running.release_in_s == float("inf")


def test_of_an_attempt_whose_report_was_applied_nothing_is_kept(node):
    """A node lives for months."""
    first, refused = node.claimed("job"), node.claimed("pair")
    node.start(first)
    node.start(node.again(first))
    node.running.refuse([refused])
    node.running.give_back_held("")
    node.hand.launches[key(first)].report(Interrupted("lease"), 1.0)
    node.reports()

    kept = ("_launches", "_older", "_orphans", "_held", "_lines", "_notes", "_told", "_raised", "_unentered", "_ended")
    assert {name: getattr(node.running, name) for name in kept if getattr(node.running, name)} == {}
