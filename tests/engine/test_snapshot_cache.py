"""The snapshot that is kept warm from turn to turn: deltas, what rules will ask for, and what is read again."""

from __future__ import annotations

from typing import Any

import pytest
from builders import (
    NOON,
    a_breaker,
    a_node,
    a_record,
    a_run,
    a_worker,
    after,
    an_occurrence,
    unreadable,
)

from shiftboss.core.lane import QUEUES, Lane
from shiftboss.core.model import Cause, DeadLetter, Report, Status, Succeeded
from shiftboss.core.policy import Priority
from shiftboss.core.unreadable import Unreadable
from shiftboss.engine.agenda import Agenda
from shiftboss.engine.mutation import Mutation, Needs, report
from shiftboss.engine.snapshot_cache import LANE_LIMIT, MAX_LANE, WIDE_LIMIT, SnapshotCache
from shiftboss.ports.cycle import NO_DELTA, Delta

NOTHING: dict[str, Any] = {field: getattr(NO_DELTA, field) for field in NO_DELTA._fields}


def a_delta(**fields: Any) -> Delta:
    return Delta(**{**NOTHING, **fields})


class Reader:
    """Answers what the test says, and notes what it was asked."""

    def __init__(self, *deltas: Delta, lanes: dict[str, Lane] | None = None, runs=(), give_up_at=None) -> None:
        self.deltas = list(deltas)
        self.asked: list[tuple[Any, ...]] = []
        self._lanes = lanes or {}
        self._runs = {run.id: run for run in runs}
        self._give_up_at = give_up_at
        self.letters_of: dict[str, list[DeadLetter]] = {}

    def changes(self, *, lanes):
        self.asked.append(("changes", lanes))
        return self.deltas.pop(0) if self.deltas else NO_DELTA

    def next_give_up(self, after=None):
        return self._give_up_at

    def runs(self, ids):
        self.asked.append(("runs", sorted(ids)))
        return [self._runs[each] for each in ids if each in self._runs]

    def lanes(self, names, *, limit):
        self.asked.append(("lanes", sorted(names), limit))
        return {name: self._lanes[name] for name in names if name in self._lanes}

    def keyed(self, keys):
        self.asked.append(("keyed", sorted(keys)))
        return [run for run in self._runs.values() if (run.worker, run.key) in keys]

    def unreadable(self, places):
        self.asked.append(("unreadable", sorted(places)))
        return [Unreadable(table, id, "a", reason="?") for table, id in places]

    def letters(self, wanted):
        self.asked.append(("letters", sorted(wanted.ids), wanted.state))
        return [letter for each in self.letters_of.values() for letter in each]

    def open_letters(self, name, *, without_payload_only, limit):
        self.asked.append(("open letters", name, without_payload_only, limit))
        return self.letters_of.get(name, [])


def a_cache(*states, reader: Reader | None = None, records=None, **delta: Any) -> SnapshotCache:
    """A cache that has read everything once."""
    cache = SnapshotCache(Agenda())
    workers = [(state, (records or {}).get(state.name, a_record())) for state in states]
    everything = a_delta(everything=True, workers=workers, nodes=[a_node()], claimed=(), **delta)
    cache.refresh(reader or Reader(everything))
    return cache


# ── what is held once ────────────────────────────────────────────────────────────────────────────────────────────


def test_a_definition_that_this_process_has_declared_is_not_held_twice():
    declared, stored = a_worker("a", patience_s=60.0), a_worker("a", patience_s=60.0)
    cache = SnapshotCache(Agenda(), definitions=[declared.definition])
    cache.refresh(Reader(a_delta(everything=True, workers=[(stored, a_record())], claimed=())))

    assert stored.definition is not declared.definition
    assert cache.snapshot.workers["a"].definition is declared.definition


def test_another_definition_stays_as_it_was_read():
    """M7: what is in force is what the store says."""
    declared, stored = a_worker("a", patience_s=60.0), a_worker("a", patience_s=90.0)
    cache = SnapshotCache(Agenda(), definitions=[declared.definition])
    cache.refresh(Reader(a_delta(everything=True, workers=[(stored, a_record())], claimed=())))

    assert cache.snapshot.workers["a"] == stored


# ── what others changed ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_full_reading_fills_it_and_the_agenda():
    at = after(60)
    everything = a_delta(
        everything=True,
        workers=[(a_worker("a"), a_record(streak=2))],
        nodes=[a_node("n1")],
        breakers=[a_breaker("x")],
        resources={"db": 2},
        running=[a_run("a", Status.RUNNING, id=7)],
        claimed=(7,),
        waiting={"a": at},
        epoch=5,
    )
    cache = SnapshotCache(Agenda())
    assert (cache.is_read, cache.is_behind, cache.epoch, cache.next_give_up_at) == (False, False, None, None)
    cache.snapshot.dirty.add("before")
    cache.agenda.unasked.add("before")

    assert cache.refresh(Reader(everything, give_up_at=after(90)))
    snapshot = cache.snapshot
    assert (set(snapshot.workers), snapshot.record("a").streak, set(snapshot.nodes)) == ({"a"}, 2, {"n1"})
    assert (set(snapshot.breakers), snapshot.resources, list(snapshot.running)) == ({"x"}, {"db": 2}, [7])
    assert list(snapshot.running_by["a"]) == [7]
    assert (snapshot.dirty, cache.agenda.unasked, cache.agenda.next_at) == (set(), set(), at)
    assert (cache.is_read, cache.epoch, cache.next_give_up_at) == (True, 5, after(90))


def test_when_it_is_forgotten_everything_is_gone_and_it_is_not_read():
    cache = a_cache(a_worker("a"))
    cache.agenda.look_at("a", NOON)
    cache.forget()

    assert (cache.snapshot.workers, cache.is_read, cache.agenda.next_at) == ({}, False, None)


def test_without_news_nothing_may_have_changed():
    cache = a_cache(a_worker("a"))
    reader = Reader(a_delta(more=True))

    assert not cache.refresh(reader)
    assert cache.is_behind
    assert reader.asked == [("changes", LANE_LIMIT)]
    assert not cache.refresh(Reader())
    assert not cache.is_behind


@pytest.mark.parametrize(
    "news",
    [
        {"claimed": ()},
        {"nodes": []},
        {"breakers": [a_breaker("x")]},
        {"workers": [(a_worker("a"), a_record())]},
    ],
    ids=["claims", "nodes", "breakers", "workers"],
)
def test_any_of_these_is_news(news):
    cache = a_cache(a_worker("a"))

    assert cache.refresh(Reader(a_delta(**news), give_up_at=after(5)))
    assert cache.next_give_up_at == after(5)


def test_a_client_reads_no_lanes():
    """It starts nothing, so it need not know what waits."""
    cache, reader = SnapshotCache(Agenda(), starts_runs=False), Reader()
    cache.refresh(reader)

    assert reader.asked == [("changes", 0)]


def test_a_worker_that_changed_is_dirty_and_its_lane_is_read_again():
    cache = a_cache(a_worker("a"), a_worker("b"))
    cache.snapshot.lanes.update(a=Lane(), b=Lane())
    cache.refresh(Reader(a_delta(workers=[(a_worker("a", disabled="ann"), a_record(streak=1))])))

    assert cache.snapshot.workers["a"].disabled.by == "ann"
    assert (cache.snapshot.record("a").streak, set(cache.snapshot.lanes), cache.snapshot.dirty) == (1, {"b"}, {"a"})


def test_a_lane_that_comes_with_the_news_is_taken():
    cache = a_cache(a_worker("a"))
    lane = Lane([a_run("a", id=3)])
    cache.refresh(Reader(a_delta(workers=[(a_worker("a"), a_record())], lanes={"a": lane})))

    assert cache.snapshot.lanes["a"] is lane


def test_relations_are_made_anew_when_a_declaration_changed_and_only_then():
    cache = a_cache(a_worker("a"), a_worker("b"))
    relations = cache.snapshot.relations
    cache.refresh(Reader(a_delta(workers=[(a_worker("a", disabled="ann"), a_record())])))
    assert cache.snapshot.relations is relations

    cache.refresh(Reader(a_delta(workers=[(a_worker("a", depends_on=["b"]), a_record())])))
    assert cache.snapshot.relations.component("a") == ("a", "b")
    cache.refresh(Reader(a_delta(workers=[(a_worker("c", depends_on=["b"]), a_record())])))
    assert set(cache.snapshot.relations.component("c")) == {"a", "b", "c"}


def test_what_was_forgotten_is_gone_from_everywhere():
    cache = a_cache(a_worker("a"), a_worker("b", depends_on=["a"]))
    cache.snapshot.lanes["a"] = Lane()
    cache.refresh(Reader(a_delta(forgotten=("a", "unknown"), nodes=[])))

    snapshot = cache.snapshot
    assert (set(snapshot.workers), set(snapshot.records), set(snapshot.lanes)) == ({"b"}, {"b"}, set())
    assert "a" not in snapshot.relations.partitions


def test_whoever_shares_a_breaker_that_changed_is_looked_at():
    """K2"""
    cache = a_cache(a_worker("a", breaker="x"), a_worker("b", breaker="x"), a_worker("c"))
    cache.refresh(Reader(a_delta(breakers=[a_breaker("x", failures=3)])))

    assert cache.snapshot.breakers["x"].failures == 3
    assert (cache.snapshot.dirty, cache.snapshot.suspects) == ({"a", "b"}, set())


def test_another_size_of_a_resource_concerns_everybody_and_the_same_nobody():
    """B9"""
    cache = a_cache(a_worker("a"), a_worker("b"), resources={"db": 2})
    cache.refresh(Reader(a_delta(resources={"db": 2}, nodes=[])))
    assert cache.snapshot.dirty == set()
    cache.refresh(Reader(a_delta(resources={"db": 3}, nodes=[])))
    assert (cache.snapshot.resources, cache.snapshot.dirty) == ({"db": 3}, {"a", "b"})


def test_claims_that_ended_elsewhere_are_gone_and_new_ones_are_there():
    cache = a_cache(a_worker("a"))
    first, second = (a_run("a", Status.RUNNING, id=number) for number in (1, 2))
    cache.refresh(Reader(a_delta(claimed=(1,), running=[first])))
    cache.refresh(Reader(a_delta(claimed=(2,), running=[second])))

    assert list(cache.snapshot.running) == list(cache.snapshot.running_by["a"]) == [2]


def test_news_about_the_claims_of_some_workers_leave_those_of_others():
    cache = a_cache(a_worker("a"), a_worker("b"))
    of_a, of_b = a_run("a", Status.RUNNING, id=1), a_run("b", Status.RUNNING, id=2)
    cache.refresh(Reader(a_delta(claimed=(1, 2), running=[of_a, of_b])))
    cache.refresh(Reader(a_delta(claimed=(), running=[], of=("a",))))

    assert list(cache.snapshot.running) == [2]


def test_a_claim_that_nobody_had_told_of_is_read_without_its_payload():
    """K5: its worker was free when it was made, and is disabled now."""
    run = a_run("a", Status.RUNNING, id=9, payload=b"{}")
    cache, reader = a_cache(a_worker("a")), Reader(a_delta(claimed=(9,)), runs=[run])
    cache.refresh(reader)

    assert ("runs", [9]) in reader.asked
    assert cache.snapshot.running[9].payload is None
    assert list(cache.snapshot.running_by["a"]) == [9]


@pytest.mark.parametrize(
    "news",
    [
        {"workers": [(unreadable(a_worker("a"), "worker", "a"), a_record())]},
        {"workers": [(a_worker("a"), unreadable(a_record(), "record", "a"))]},
        {"claimed": (1,), "running": [unreadable(a_run("a", Status.RUNNING, id=1), "run", "1")]},
        {"breakers": [unreadable(a_breaker("x"), "breaker", "x")]},
    ],
    ids=["worker", "record", "claim", "breaker"],
)
def test_whom_an_unreadable_row_concerns_is_suspect(news):
    """W8"""
    cache = a_cache(a_worker("a", breaker="x"), a_worker("b"))
    cache.refresh(Reader(a_delta(**news)))

    assert cache.snapshot.suspects == {"a"}


def test_a_lane_with_an_unreadable_run_makes_its_worker_suspect():
    """W8"""
    lane = Lane()
    lane.seal([unreadable(a_run("a", id=3), "run", "3")])
    cache = a_cache(a_worker("a"), a_worker("b"))
    cache.refresh(Reader(a_delta(workers=[(a_worker("a"), a_record())], lanes={"a": lane, "b": Lane()})))

    assert cache.snapshot.suspects == {"a"}


# ── what the rules will ask for ──────────────────────────────────────────────────────────────────────────────────


def a_mutation(**needs: Any) -> Mutation:
    return Mutation(lambda snapshot, now, *, ids: None, Needs(**needs))


def test_what_mutations_need_is_read_and_what_others_needed_is_forgotten():
    cache = a_cache(a_worker("a"), a_worker("b"))
    run, keyed = a_run("a", Status.DEAD, id=1), a_run("b", id=2, key="k")
    letter = DeadLetter(run=1, worker="a", cause=Cause.ERROR, error_type="E", entered_at=NOON, has_payload=True)
    reader = Reader(runs=[run, keyed])
    reader.letters_of["a"] = [letter]
    cache.read_for([a_mutation(runs=(1,), letters=(1,)), a_mutation(keys=(("b", "k"),), lanes=("b",))], reader)

    snapshot = cache.snapshot
    assert (snapshot.fetched, snapshot.keyed, snapshot.letters) == ({1: run}, {("b", "k"): keyed}, {1: letter})
    assert ("letters", [1], None) in reader.asked, "closed ones too: their second closing is to be refused"
    assert set(snapshot.lanes) == {"b"}
    cache.read_for([a_mutation()], Reader())
    assert (snapshot.fetched, snapshot.keyed, snapshot.letters) == ({}, {}, {})


def test_what_is_to_be_set_aside_is_read_with_the_lane_of_its_worker():
    """A5: what it then lacks is made."""
    cache, reader = a_cache(a_worker("a"), a_worker("b")), Reader()
    cache.read_for([a_mutation(unreadable=(("run", "7"),))], reader)

    assert reader.asked == [("unreadable", [("run", "7")]), ("lanes", ["a"], 256)]
    assert list(cache.snapshot.unreadable) == [("run", "7")]
    cache.read_for([a_mutation()], reader)
    assert cache.snapshot.unreadable == {}


def test_nothing_is_read_that_nobody_needs():
    reader = Reader()
    a_cache(a_worker("a")).read_for([Mutation(lambda snapshot, now, *, ids: None)], reader)

    assert reader.asked == []


def test_for_a_run_that_may_have_a_successor_its_lane_is_read():
    """M3: whoever cancels it stores the next one."""
    cache = a_cache(a_worker("a", every=60.0), a_worker("b", after=("a",)), a_worker("c"))
    cache.read_for([a_mutation(runs=(1,))], Reader(runs=[an_occurrence("a", id=1)]))
    assert set(cache.snapshot.lanes) == {"a", "b"}

    other = a_cache(a_worker("a"), a_worker("b"))
    other.read_for([a_mutation(runs=(1,))], Reader(runs=[a_run("a", id=1)]))
    assert set(other.snapshot.lanes) == set()
    ended = a_cache(a_worker("a", every=60.0))
    ended.read_for([a_mutation(runs=(1,))], Reader(runs=[an_occurrence("a", Status.SUCCEEDED, id=1)]))
    assert set(ended.snapshot.lanes) == set()


def reported(worker, *, make=a_run, records=None, letters=()):
    """A report of run 1 of a is to be applied; the cache, and what was asked."""
    cache = a_cache(worker, a_worker("b", after=("a",)), a_worker("c"), records=records)
    cache.refresh(Reader(a_delta(claimed=(1,), running=[make("a", Status.RUNNING, id=1)])))
    reader = Reader()
    reader.letters_of["a"] = list(letters)
    cache.read_for([report(Report(1, "n1", 1, Succeeded(), 0.1))], reader)
    return cache, reader


def test_for_the_end_of_a_run_the_lanes_are_read_in_which_it_may_leave_something():
    """M6, M3, K5: of those that come after it; its own for a successor, or where its success may enable its worker."""
    assert set(reported(a_worker("a"))[0].snapshot.lanes) == {"b"}
    assert set(reported(a_worker("a", every=60.0), make=an_occurrence)[0].snapshot.lanes) == {"a", "b"}
    assert set(reported(a_worker("a", disabled="auto"))[0].snapshot.lanes) == {"a", "b"}


def test_after_another_end_of_its_worker_a_scheduled_run_still_has_its_own_lane_read():
    """M3: for its successor."""
    cache = a_cache(a_worker("a", every=60.0))
    running = [a_run("a", Status.RUNNING, id=1), an_occurrence("a", Status.RUNNING, id=2)]
    cache.refresh(Reader(a_delta(claimed=(1, 2), running=running)))
    cache.read_for([report(Report(number, "n1", 1, Succeeded(), 0.1)) for number in (1, 2)], Reader())

    assert set(cache.snapshot.lanes) == {"a"}


def test_the_dead_letters_that_its_success_answers_are_read_where_there_may_be_any():
    """Q5: a bounded number."""
    letter = DeadLetter(run=5, worker="a", cause=Cause.ERROR, error_type="E", entered_at=NOON, has_payload=False)
    cache, reader = reported(a_worker("a"), records={"a": a_record(owes_letters=True)}, letters=[letter])
    assert ("open letters", "a", True, 1000) in reader.asked
    assert cache.snapshot.letters == {5: letter}

    _, reader = reported(a_worker("a"))
    assert [each[0] for each in reader.asked] == ["lanes"]


# ── lanes ────────────────────────────────────────────────────────────────────────────────────────────────────────


def a_prefix(number: int, *, encoded_by: str = "") -> Lane:
    """So many were read, and more wait behind them."""
    runs = [a_run("a", id=each, encoded_by=encoded_by) for each in range(1, number + 1)]
    queues = [(n, runs if n == int(Priority.NORMAL) else [], n != int(Priority.NORMAL)) for n in range(QUEUES)]
    return Lane.read(queues, standing=(), least=None)


def test_a_lane_is_missing_that_was_not_read_or_is_used_up():
    cache = a_cache(a_worker("a"), a_worker("b"), a_worker("c"))
    cache.snapshot.lanes.update(a=Lane(), b=a_prefix(0))

    assert cache.missing(["a", "b", "c", "nobody"]) == ["b", "c"]


def test_the_least_run_must_be_known_only_where_somebody_asks_for_it():
    """D2"""
    cache = a_cache(a_worker("u"), a_worker("a", depends_on=["u"]), a_worker("alone"))
    for name in ("u", "a", "alone"):
        cache.snapshot.lanes[name] = a_prefix(3)

    assert cache.missing(["u", "a", "alone"]) == ["u", "a"]


def test_missing_lanes_are_read_in_one_go_and_an_empty_one_is_known_to_be_empty():
    cache = a_cache(a_worker("a"), a_worker("b"))
    lane = Lane([a_run("a", id=3)])
    reader = Reader(lanes={"a": lane})
    cache.load_lanes(["a", "b"], reader)
    cache.load_lanes(["a", "b"], reader)

    assert (LANE_LIMIT, reader.asked) == (256, [("lanes", ["a", "b"], 256)])
    assert cache.snapshot.lanes["a"] is lane
    assert len(cache.snapshot.lanes["b"]) == 0


def test_where_none_of_the_first_can_be_decoded_it_looks_farther_once():
    """E3"""
    cache = SnapshotCache(Agenda(), decodes=("k1",))
    cache.refresh(Reader(a_delta(everything=True, workers=[(a_worker("a"), a_record())])))
    reader = Reader(lanes={"a": a_prefix(3, encoded_by="k2")})
    cache.load_lanes(["a"], reader)
    assert (WIDE_LIMIT, [each[2] for each in reader.asked]) == (4096, [256, 4096])

    reader = Reader(lanes={"a": a_prefix(3, encoded_by="k1")})
    cache.snapshot.lanes.clear()
    cache.load_lanes(["a"], reader)
    assert [each[2] for each in reader.asked] == [256]
    cache.snapshot.undecodable.update(dict.fromkeys((1, 2, 3), "damaged"))
    assert cache.missing(["a"]) == ["a"]
    del cache.snapshot.undecodable[2]
    assert cache.missing(["a"]) == []


def test_behind_as_many_as_it_looks_past_it_gives_up():
    """E3"""
    cache = a_cache(a_worker("a"))
    cache.snapshot.lanes["a"] = a_prefix(WIDE_LIMIT, encoded_by="k2")
    assert cache.missing(["a"]) == []
    cache.snapshot.lanes["a"] = a_prefix(WIDE_LIMIT - 1, encoded_by="k2")
    assert cache.missing(["a"]) == ["a"]


def test_a_new_run_is_encoded_with_the_first_of_its_keys():
    """E2"""
    assert SnapshotCache(Agenda(), decodes=("k2", "k1")).snapshot.codec_key == "k2"
    assert SnapshotCache(Agenda()).snapshot.codec_key == ""


def test_a_lane_that_has_grown_too_large_is_dropped_when_it_is_dirty():
    cache = a_cache(a_worker("a"), a_worker("b"), a_worker("c"))
    large = Lane([a_run(id=number) for number in range(1, MAX_LANE + 2)])
    fits = Lane([a_run(id=number) for number in range(1, MAX_LANE + 1)])
    cache.snapshot.lanes.update(a=large, b=fits, c=large)
    cache.snapshot.dirty.update(("a", "b", "unknown"))
    cache.trim()

    assert (MAX_LANE, set(cache.snapshot.lanes)) == (10_000, {"b", "c"})
