"""Why does this run not start?"""

from __future__ import annotations

from builders import NOON, a_breaker, a_node, a_record, a_run, a_snapshot, a_worker, after, an_occurrence, at, gates

from shiftboss.core.explain import Explainer, Explanation, explain
from shiftboss.core.health import StoreTrouble
from shiftboss.core.holds import IsReserved, NotDue
from shiftboss.core.lane import Lane
from shiftboss.core.model import NodeMode, Shed, Status
from shiftboss.core.worker import OnFailure, Upstream

RUNNING = Status.RUNNING


def words(explanation):
    return [str(hold) for hold in explanation.holds]


class TestHolds:
    """A3: every hold, by the very functions that hold it: since when, by which run, and until when."""

    def test_all_of_them_are_named(self):
        workers = [
            a_worker("fetch"),
            a_worker("process", depends_on=["fetch"], blocks=("cleanup",)),
            a_worker("cleanup"),
        ]
        retry = a_run("fetch", occurs_at=at("11:58"), due_at=at("12:00:40"), attempt=2, created_at=at("11:58"))
        world = a_snapshot(a_run("process"), retry, a_run("cleanup", RUNNING, since=after(19)), workers=workers)

        found = world.why(world.pending("process")[0], after(31))

        assert words(found) == [
            "waiting for fetch (run #2 is waiting to retry after attempt 2)",
            "blocked by cleanup (run #3)",
        ]
        assert [(hold.gate, hold.since, hold.until) for hold in found.holds] == [
            ("depends_on", NOON, at("12:00:40")),
            ("blocks", after(19), None),
        ]
        assert found.earliest == at("12:00:40")

    def test_they_are_those_of_the_decision(self):
        workers = [a_worker("a", concurrency=1), a_worker("b", depends_on=["a"], blocks=("c",)), a_worker("c")]
        runs = [a_run("a", RUNNING), a_run("a"), a_run("b"), a_run("c")]
        world = a_snapshot(*runs, workers=workers, nodes=[a_node(slots=2)])

        decision = world.decide()

        for run in (2, 3):
            held = next(r for name in "abc" for r in world.pending(name) if r.id == run)
            assert world.why(held).holds == decision.holds[run]

    def test_a_reservation_is_one(self):
        """B4"""
        workers = [a_worker("a"), a_worker("b", blocks=("a",))]
        world = a_snapshot(a_run("a", RUNNING), a_run("b"), a_run("a", due_at=after(10)), workers=workers)

        assert world.why(world.pending("a")[0], after(30)).holds == (IsReserved(worker="b", run=2, since=after(10)),)

    def test_the_latest_end_of_all_holds_is_the_earliest_start(self):
        """A3"""
        run = a_run(due_at=at("12:10"), attempt=1)
        world = a_snapshot(run, workers=[a_worker(breaker="x")])
        world.breakers["x"] = a_breaker("x", until=at("12:30"))

        found = world.why(world.pending()[0])
        assert words(found) == ["waiting to retry after attempt 1", "breaker x is open"]
        assert found.earliest == at("12:30")

    def test_a_run_that_is_not_due(self):
        """M2"""
        world = a_snapshot(a_run(due_at=after(60), created_at=NOON))

        found = world.why(world.pending()[0])

        assert found.holds == (NotDue(since=NOON, until=after(60)),)
        assert found.earliest == after(60)

    def test_only_an_event_can_change_it(self):
        world = a_snapshot(a_run(), workers=[a_worker(disabled="ada")])

        assert world.why(world.pending()[0]).earliest is None


class TestNoHold:
    """A3: with no hold it runs, has ended or is about to start."""

    def test_it_is_about_to_start(self):
        world = a_snapshot(a_run())
        (run,) = world.pending()

        assert world.why(run) == Explanation(run)

    def test_another_run_of_its_worker_goes_first(self):
        world = a_snapshot(a_run("a"), a_run("a"), a_run("a"), workers=[a_worker("a", concurrency=1)])
        world.start()

        first, second = world.pending()
        assert (words(world.why(first)), world.why(first).behind) == (["concurrency limit of 1 reached (run #1)"], None)
        assert world.why(second).behind == 2

    def test_a_running_and_an_ended_run_have_none(self):
        world = a_snapshot(a_run(status=RUNNING), a_run(status=Status.DEAD))

        assert world.why(world.running[1]) == Explanation(world.running[1])
        assert world.why(world.fetched[2]).holds == ()

    def test_an_occurrence_that_will_be_skipped(self):
        """D5"""
        workers = [a_worker("a"), a_worker("b", depends_on=[Upstream("a", on_failure=OnFailure.SKIP)])]
        world = a_snapshot(an_occurrence("b"), workers=workers, records={"a": a_record(ok=False)})

        assert world.why(world.pending("b")[0]).holds == ()


class TestNodes:
    """A3, Q1: the node with the fewest holds speaks."""

    def test_no_live_node_knows_it(self):
        world = a_snapshot(a_run(), workers=[a_worker("a"), a_worker("b")], nodes=[a_node("n1", "b")])

        assert words(world.why(world.pending()[0])) == ["no live node runs this worker"]

    def test_its_only_node_has_lost_its_lease(self):
        world = a_snapshot(a_run())

        assert words(explain(world, NOON, run=world.pending()[0], live=())) == ["no live node runs this worker"]

    def test_a_client_runs_nothing(self):
        world = a_snapshot(a_run(), nodes=[a_node("n1", "a", mode=NodeMode.CLIENT)])

        assert words(world.why(world.pending()[0])) == ["no live node runs this worker"]

    def test_where_one_node_sheds_and_another_does_not_nothing_holds(self):
        """H4"""
        nodes = [a_node("n1", "a", shed=Shed.LOW, shed_reason="lag"), a_node("n2", "a")]
        world = a_snapshot(a_run(priority="low"), nodes=nodes)

        assert words(world.why(world.pending()[0])) == []

    def test_a_full_node_is_named(self):
        world = a_snapshot(a_run(status=RUNNING), a_run(), nodes=[a_node(slots=1)])

        assert words(world.why(world.pending()[0])) == ["all 1 slots of node host:n1 are in use"]
        assert gates(world.decide(), 2) == ["slots"]


class TestStore:
    """A3, W3: a store that takes no work holds whatever the gates say."""

    TROUBLE = StoreTrouble("its disk is full", since=NOON)

    def test_it_stands_first_and_no_instant_is_known(self):
        world = a_snapshot(a_run("a", due_at=after(60)), workers=[a_worker("a")])
        run = world.pending("a")[0]

        found = explain(world, NOON, run=run, live=world.nodes, trouble=self.TROUBLE)

        assert [(hold.gate, hold.since) for hold in found.holds] == [("store", NOON), ("not_due", run.created_at)]
        assert words(found)[0] == "the store takes no new work: its disk is full"
        assert found.earliest is None

    def test_a_run_that_runs_is_not_held(self):
        run = a_run("a", RUNNING)
        world = a_snapshot(run, workers=[a_worker("a")])

        assert explain(world, NOON, run=run, live=world.nodes, trouble=self.TROUBLE).holds == ()


class TestMany:
    """A3: what was found out about one run serves the others of the same view."""

    def crowd(self, count):
        """Workers that share a resource, each with two due runs; the node is full."""
        names = [f"w{number}" for number in range(count)]
        runs = [a_run(name, priority=priority) for name in names for priority in ("low", "high")]
        workers = [a_worker(name, uses={"r": 1}) for name in names]
        lender = a_worker("z", depends_on=[names[0]], uses={"r": 1})
        nodes = [a_node("n1", slots=1), a_node("n2", slots=1)]
        running = [a_run(names[0], RUNNING, node=node) for node in ("n1", "n2")]
        return a_snapshot(*runs, *running, workers=[*workers, lender], nodes=nodes, resources={"r": 1}), names

    def looks(self, count, monkeypatch):
        """How often a queue is looked at for the next run of each and why it does not start."""
        world, names = self.crowd(count)
        looked, heads = [], Lane.heads
        monkeypatch.setattr(Lane, "heads", lambda lane, number: looked.append(number) or heads(lane, number))
        explainer = Explainer(world, NOON, live=frozenset(world.nodes))
        found = [explainer.explain(explainer.next_run(name)) for name in names]
        monkeypatch.undo()
        assert all("slots" in {hold.gate for hold in explained.holds} for explained in found)
        assert [explained.run.priority.label for explained in found] == ["high"] * count
        return len(looked)

    def test_twice_the_workers_of_a_component_are_twice_the_work(self, monkeypatch):
        few, many = self.looks(50, monkeypatch), self.looks(100, monkeypatch)

        assert 0 < many < 2.2 * few

    def test_the_answers_are_those_that_each_would_get_alone(self):
        world, names = self.crowd(8)
        together = Explainer(world, NOON, live=frozenset(world.nodes))

        for name in (*names, *reversed(names)):
            for run in world.pending(name):
                assert together.explain(run) == explain(world, NOON, run=run, live=frozenset(world.nodes))
