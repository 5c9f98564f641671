"""What an attempt is given, and what it says on its way into the store: how often, in which order, and for whom."""

from __future__ import annotations

from typing import Any

import pytest
from worlds import Kept, World

from shiftboss.context import Announcement, Context
from shiftboss.core.model import MAX_LINES, Error, Failed, Interrupted, LogLine, Outcome, Succeeded, TimedOut
from shiftboss.core.value import replace
from shiftboss.core.worker import Definition
from shiftboss.engine.mutation import Mutation, cancel
from shiftboss.engine.running import RunningAttempts
from shiftboss.ports.executor import Launch, StopReason

JOB = Definition(name="job", executor="hand")
TIMED_OUT = TimedOut(Error(type="TimeoutError"))


class ByHand:
    """An executor whose bodies are the test itself."""

    kind, slots = "hand", 10

    def __init__(self):
        self.launches: list[Launch] = []
        self.contexts: list[Context] = []
        self.stopped: list[tuple[int, int, StopReason]] = []
        self.left: dict[tuple[int, int], tuple[Outcome, float]] = {}

    def unended(self):
        return self.left

    def start(self, launches):
        self.launches += launches

    def stop(self, run_id, fence, reason):
        self.stopped.append((run_id, fence, reason))

    def flush(self):
        for context in self.contexts:
            context.flush()


class Node:
    """A world, and what runs on it; a tick is what the engine does once a second."""

    def __init__(self, job: Definition = JOB, **options: Any):
        self.world = World(job)
        self.clock = self.world.clock
        self.hand = ByHand()
        self.put: list[Mutation] = []
        self.running = RunningAttempts(
            self.world.node.id,
            self.clock,
            bodies={"job": "the body"},
            executors={"hand": self.hand},
            kinds={"job": "hand"},
            put=self.put.append,
            **{"code_version": "", **options},
        )

    def launch(self, **fields: Any) -> tuple[Launch, Context]:
        mutation, _ = self.world.trigger("job", **fields)
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


# ── what an attempt is given ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("timeout_s", "left_s"), [(60.0, 5.0), (3.0, 3.0), (None, 5.0)])
def test_an_attempt_has_its_timeout_or_what_is_left_until_the_deadline_of_its_run(timeout_s, left_s):
    """T1: the shorter one."""
    launch, _ = Node(Definition(name="job", executor="hand", timeout_s=timeout_s, deadline_s=5.0)).launch()

    assert launch.timeout_s == left_s


@pytest.mark.parametrize("timeout_s", [60.0, None])
def test_without_a_deadline_it_has_its_timeout(timeout_s):
    """T1"""
    assert Node(Definition(name="job", executor="hand", timeout_s=timeout_s)).launch()[0].timeout_s == timeout_s


def test_it_is_given_its_body_the_secrets_of_its_node_and_the_last_success_of_its_worker():
    traced: list[Launch] = []
    node = Node(secrets=("hunter2-hunter2",), traced=traced.append)
    first, _ = node.launch()
    assert (first.body, first.secrets, first.last_success_at) == ("the body", ("hunter2-hunter2",), None)
    first.report(Succeeded(), 0.1)
    node.commit()
    second, _ = node.launch()

    assert second.last_success_at == node.clock.now()
    assert traced == [first, second]


class Entries:
    """Implements `ports.EntryLog`: what a node notes where others can read it after its end."""

    def __init__(self) -> None:
        self.noted: list[tuple[int, int]] = []

    def note(self, run_id, fence):
        self.noted.append((run_id, fence))

    def forget(self, run_id, fence):
        self.noted.remove((run_id, fence))


def test_that_a_function_was_entered_is_noted_until_its_end_is_committed():
    """C8: whoever rescues the run knows then whether it was present."""
    node = Node(entries=(entries := Entries()))
    launch, _ = node.launch()
    key = launch.run.id, launch.run.claim.fence
    assert entries.noted == []
    launch.entered()
    assert entries.noted == [key]
    launch.report(Succeeded(), 0.1)
    reports = [mutation.report for mutation in node.put]
    assert entries.noted == [key]
    node.running.acknowledge(reports)

    assert entries.noted == []


def test_a_start_that_was_refused_is_reported_once_as_not_begun(node):
    """C3, C7: its function was not entered, so nothing is lost with it."""
    mutation, _ = node.world.trigger("job")
    starts = node.world.turn(mutation).starts
    node.running.refuse(starts)
    node.running.refuse(starts)

    assert [mutation.report.outcome for mutation in node.put] == [
        Interrupted(reason="the lease expired before the start", began=False)
    ]
    assert node.hand.launches == []


# ── its report ───────────────────────────────────────────────────────────────────────────────────────────────────


class Span:
    traceparent = "00-1-2-01"

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []

    def end(self, outcome):
        self.outcomes.append(outcome)


def test_a_report_names_its_claim_the_code_and_the_trace():
    """C5"""
    node = Node(code_version="v7")
    launch, _ = node.launch()
    launch.span = span = Span()
    launch.report(Succeeded(), 0.25)
    (report,) = (mutation.report for mutation in node.put)

    assert (report.run, report.node, report.fence) == (launch.run.id, "one", launch.run.claim.fence)
    assert (report.outcome, report.duration_s, report.code_version) == (Succeeded(), 0.25, "v7")
    assert (report.traceparent, span.outcomes) == ("00-1-2-01", [Succeeded()])


def test_of_what_stays_behind_the_span_ends_too():
    node = Node(code_version="v7")
    launch, _ = node.launch()
    launch.span = span = Span()
    (report,) = node.running.abandoned()

    assert span.outcomes == [report.outcome] == [Interrupted(reason="its process ended")]
    assert (report.duration_s, report.code_version) == (0.0, "v7")


def test_what_has_ended_does_not_stay_behind(node):
    """G4: each run is counted once."""
    launch, _ = node.launch()
    launch.report(Succeeded(), 0.1)

    assert node.running.abandoned() == []


def test_a_report_ends_an_attempt_only_if_it_is_of_the_very_claim(node):
    """C5: a report of an older one leaves the newer one running."""
    launch, _ = node.launch()
    launch.report(Succeeded(), 0.1)
    (report,) = (mutation.report for mutation in node.put)
    older = replace(report, fence=report.fence - 1)

    assert node.running.acknowledge([older]) == []
    assert (len(node.running), launch.run.id in node.running) == (1, True)
    assert node.running.acknowledge([report]) == [report]
    assert (len(node.running), launch.run.id in node.running) == (0, False)
    assert node.running.acknowledge([report]) == []


def test_what_a_function_raised_is_told_once_when_its_end_is_committed(node):
    """A6"""
    launch, _ = node.launch()
    launch.raised = raised = (ValueError, ValueError("boom"), None)
    launch.report(Failed(Error(type="ValueError", message="boom")), 0.1)
    assert node.running.take_raised() == {}
    node.running.acknowledge([mutation.report for mutation in node.put])

    assert node.running.take_raised() == {launch.run.id: raised}
    assert node.running.take_raised() == {}


def test_an_exception_with_a_secret_in_it_is_told_to_nobody():
    """A12: it refers to frames with the secret in them."""
    node = Node(secrets=("hunter2-hunter2",))
    launch, _ = node.launch()
    launch.raised = (ValueError, ValueError("hunter2-hunter2"), None)
    launch.report(Failed(Error(type="ValueError", message="hunter2-hunter2")), 0.1)
    node.running.acknowledge([mutation.report for mutation in node.put])

    assert node.running.take_raised() == {}


# ── secrets that a function names ────────────────────────────────────────────────────────────────────────────────


def test_what_is_named_as_a_secret_is_masked_in_what_was_said_and_not_yet_written(node):
    """A12"""
    launch, ctx = node.launch()
    ctx.progress(1, 2, "at swordfish")
    ctx.flush()
    ctx.keep_line("INFO", "with swordfish")
    ctx.mask("swordfish")
    ctx.keep_line("INFO", "still with swordfish")
    node.tick()

    assert "swordfish" not in node.stored(launch).progress.message
    assert node.stored(launch).progress.message.startswith("at ")
    assert [line.text.split()[:1] for line in node.lines(launch)] == [["with"], ["still"]]
    assert not any("swordfish" in line.text for line in node.lines(launch))


def test_a_secret_may_be_named_after_a_heartbeat_without_a_word(node):
    """A12, H2"""
    launch, ctx = node.launch()
    ctx.heartbeat()
    ctx.flush()
    ctx.mask("swordfish")
    node.tick()

    assert node.stored(launch).progress is None


def test_of_a_payload_the_places_are_remembered_where_it_stands(node):
    """A12: never the secret itself."""
    launch, ctx = node.launch(payload=b'{"a":"swordfish","b":"open"}', digest="x")
    ctx.mask("swordfish")
    node.commit()

    assert [place[0] for place in node.stored(launch).masked] == [0]
    ctx.mask("nothing of it")
    assert node.put == []


def test_of_an_attempt_that_is_forgotten_nothing_can_be_masked_any_more(node):
    launch, ctx = node.launch()
    launch.report(Succeeded(), 0.1)
    node.running.acknowledge([mutation.report for mutation in node.put])
    node.put.clear()
    ctx.mask("swordfish")

    assert node.put == []


# ── bodies that outlive their attempt ────────────────────────────────────────────────────────────────────────────


def test_a_body_that_goes_on_after_its_timeout_is_noted_at_once(node):
    """B6: its slot stays taken."""
    launch, _ = node.launch()
    launch.signal("zombie", None)
    node.commit()

    (run,) = node.world.cycle.snapshot.running.values()
    assert run.claim.zombie_since == node.clock.now()


# ── claims that are gone, and claims that nothing here runs ──────────────────────────────────────────────────────


def test_a_claim_of_ours_that_nothing_here_runs_is_handed_back_once(node):
    """H5: it was committed, and the reply to its commit was lost."""
    mutation, answer = node.world.trigger("job")
    (start,) = node.world.turn(mutation).starts
    node.running.look(node.world.cycle.snapshot, starting=[start])
    assert node.put == [], "it is about to be started"
    for _ in range(2):
        node.running.look(node.world.cycle.snapshot)
    (report,) = (mutation.report for mutation in node.put)

    assert (report.run, report.fence) == (answer.value.id, start.run.claim.fence)
    assert (report.outcome.began, node.hand.launches) == (False, [])


def test_what_runs_here_by_its_claim_is_left_alone(node):
    """C5"""
    node.launch()
    node.running.look(node.world.cycle.snapshot)

    assert (node.hand.stopped, node.put) == ([], [])
    assert len(node.running) == 1


def test_who_lost_its_claim_is_told_and_who_is_cancelled_is_told_that(node):
    """C5, T4: once each."""
    lost, _ = node.launch()
    cancelled, _ = node.launch()
    node.world.turn(cancel(cancelled.run.id, by="ann", reason="", answer=Kept()))
    snapshot = node.world.cycle.snapshot
    taken = replace(snapshot.running[lost.run.id], claim=replace(lost.run.claim, node="two", fence=99))
    snapshot.put_claim(taken)
    for _ in range(2):
        node.running.look(snapshot)

    assert node.hand.stopped == [
        (lost.run.id, lost.run.claim.fence, StopReason.LEASE),
        (cancelled.run.id, cancelled.run.claim.fence, StopReason.CANCEL),
    ]
