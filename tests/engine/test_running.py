"""What bodies say on their way into the store: how often, in which order, and for whom."""

from __future__ import annotations

import pytest
from worlds import World

from shiftboss.context import Announcement, Context
from shiftboss.core.model import MAX_LINES, Error, LogLine, Outcome, Succeeded, TimedOut
from shiftboss.core.worker import Definition
from shiftboss.engine.mutation import Mutation
from shiftboss.engine.running import RunningAttempts
from shiftboss.ports.executor import Launch

JOB = Definition(name="job", executor="hand")
TIMED_OUT = TimedOut(Error(type="TimeoutError"))


class ByHand:
    """An executor whose bodies are the test itself."""

    kind, slots = "hand", 10

    def __init__(self):
        self.launches: list[Launch] = []
        self.contexts: list[Context] = []
        self.left: dict[tuple[int, int], tuple[Outcome, float]] = {}

    def unended(self):
        return self.left

    def start(self, launches):
        self.launches += launches

    def stop(self, run_id, fence, reason):
        pass

    def flush(self):
        for context in self.contexts:
            context.flush()


class Node:
    """A world, and what runs on it; a tick is what the engine does once a second."""

    def __init__(self):
        self.world = World(JOB)
        self.clock = self.world.clock
        self.hand = ByHand()
        self.put: list[Mutation] = []
        self.running = RunningAttempts(
            self.world.node.id,
            self.clock,
            bodies={"job": None},
            executors={"hand": self.hand},
            kinds={"job": "hand"},
            put=self.put.append,
            code_version="",
        )

    def launch(self) -> tuple[Launch, Context]:
        mutation, _ = self.world.trigger("job")
        self.running.start(self.world.cycle.snapshot, self.world.turn(mutation).starts)
        launch = self.hand.launches[-1]
        context = Context(launch, self.clock, Announcement())
        self.hand.contexts.append(context)
        return launch, context

    def commit(self) -> int:
        """A cycle; how many mutations it took."""
        mutations, self.put[:] = list(self.put), []
        self.world.turn(*mutations)
        return len(mutations)

    def tick(self) -> int:
        self.hand.flush()
        self.running.flush()
        return self.commit()

    def stored(self, launch):
        with self.world.session.read() as reader:
            (run,) = reader.runs([launch.run.id])
            return run

    def lines(self, launch):
        with self.world.session.read() as reader:
            return reader.lines(launch.run.id)


@pytest.fixture
def node():
    return Node()


def test_progress_that_is_said_ten_thousand_times_in_ten_seconds_is_stored_ten_times(node):
    launch, ctx = node.launch()
    writes = []

    for done in range(1, 10_001):
        node.clock.advance(0.001)
        ctx.progress(done, 10_000)
        assert node.put == [], "between two ticks nothing is put"
        if done % 1000 == 0:
            writes.append(node.tick())

    assert writes == [1] * 10
    assert node.stored(launch).progress.done == 10_000


def test_a_tick_and_a_word_in_the_same_moment_are_one_write(node):
    launch, ctx = node.launch()
    ctx.progress(1)
    node.tick()
    node.clock.advance(1)
    ctx.progress(2)
    ctx.progress(3)
    ctx.heartbeat()

    assert node.tick() == 1
    assert node.tick() == 0
    assert node.stored(launch).progress.done == 3


def test_a_heartbeat_alone_keeps_the_progress_and_moves_its_instant(node):
    launch, ctx = node.launch()
    ctx.progress(1)
    node.tick()
    node.clock.advance(5)
    ctx.heartbeat()

    assert node.tick() == 1
    run = node.stored(launch)
    assert (run.progress.done, run.heartbeat_at) == (1, node.clock.now())
    assert run.progress.at < run.heartbeat_at


def test_the_last_progress_of_a_run_is_kept_with_it(node):
    launch, ctx = node.launch()
    ctx.progress(1, 3, "first")
    ctx.progress(3, 3, "last")
    ctx.flush()
    launch.report(Succeeded(), 0.1)
    node.commit()

    run = node.stored(launch)
    assert run.status.is_final
    assert (run.progress.done, run.progress.message) == (3, "last")


def test_lines_go_before_the_report_of_their_attempt_and_later_ones_nowhere(node):
    launch, ctx = node.launch()
    ctx.keep_line("INFO", "in time")
    launch.report(Succeeded(), 0.1)
    ctx.keep_line("INFO", "too late")
    node.tick()

    assert [line.text for line in node.lines(launch)] == ["in time"]


def test_of_five_thousand_lines_the_last_thousand_are_stored_with_their_numbers(node):
    launch, ctx = node.launch()
    for number in range(5000):
        ctx.keep_line("INFO", f"line {number + 1}")
    node.tick()
    for number in range(300):
        ctx.keep_line("INFO", f"more {number + 1}")
    node.tick()

    lines = node.lines(launch)
    assert len(lines) == MAX_LINES
    assert (lines[0].number, lines[0].text) == (4301, "line 4301")
    assert (lines[-1].number, lines[-1].text) == (5300, "more 300")


def test_what_an_attempt_that_was_given_up_still_says_costs_the_next_one_no_line(node):
    """C5: a thread may go on after its claim is gone, on the very node that has the run again."""
    launch, ctx = node.launch()
    claim = launch.run.claim
    stale = LogLine(launch.run.id, claim.fence - 1, 1, 1, node.clock.now(), "INFO", "of the one before")
    node.running._signal(launch.run.id, claim.fence - 1, "log", stale)
    ctx.keep_line("INFO", "of this one")
    node.tick()

    assert [line.text for line in node.lines(launch)] == ["of this one"]


def test_a_body_that_stays_behind_is_reported_as_what_its_executor_makes_of_it_if_the_process_ends():
    """B6, G2: at the end of the process as a report; if that lives on, as a note for whoever rescues the run."""
    node = Node()
    launch, _ = node.launch()
    claim = launch.run.claim
    node.hand.left[launch.run.id, claim.fence] = TIMED_OUT, 7.0

    (report,) = node.running.abandoned()
    for each in node.running.last_mutations([report], owns_process=False):
        node.put.append(each)
    node.commit()
    (run,) = node.world.cycle.snapshot.running.values()

    assert (report.outcome, report.duration_s) == (TIMED_OUT, 7.0)
    assert run.claim.zombie_since is not None
    assert [mutation.report for mutation in node.running.last_mutations([report], owns_process=True)] == [report]


def test_nothing_is_noted_of_a_body_that_stays_behind_and_has_not_timed_out():
    """R2"""
    node = Node()
    node.launch()

    assert node.running.last_mutations(node.running.abandoned(), owns_process=False) == []
