"""Which declarations the store has met, in which order, and which of them holds."""

from __future__ import annotations

import msgspec
import pytest
from builders import NOON, a_definition, a_node, a_record, a_snapshot, a_worker, after, an_occurrence, at

from shiftboss.core import control
from shiftboss.core.declarations import MAX_KNOWN, Declaration, Declarations, are_alike, key_of, keys_of, keys_of_sizes
from shiftboss.core.events import WorkerDeclared
from shiftboss.core.model import NodeMode, Status
from shiftboss.core.policy import BreakerPolicy
from shiftboss.core.prevail import NOTHING_OWED, Owed, declared_otherwise, not_holding, owed
from shiftboss.core.reconcile import Declarer, declare
from shiftboss.core.value import replace
from shiftboss.errors import ConfigurationError, NotAllowed, UnknownNode, UnknownWorker

OLD, NEW = a_definition("a", every=3600.0), a_definition("a", every=7200.0)


def met(*keys: str) -> Declarations:
    declarations = Declarations()
    for number, key in enumerate(keys):
        declarations = declarations.met(key, after(number))
    return declarations


def declarer(name, *definitions, code_version="", resources=None, **fields):
    """A node that declares them."""
    return replace(
        a_node(name, **fields),
        declares=keys_of(definitions, code_version),
        resources=keys_of_sizes(resources or {}, code_version),
    )


def starts(world, node, *definitions, now, others=(), remembered=None, resources=None):
    """The node declares beside *others*, and is in the store."""
    world.nodes[node.id] = node
    by = Declarer(node, tuple(others), remembered or {})
    return world.declare(*definitions, now=now, resources=resources or {}, by=by)


def owes(world, node, *others):
    world.nodes = {each.id: each for each in (node, *others)}
    return owed(world, not_holding(world, node), node=node, live=set(world.nodes))


class TestOrder:
    """M7: declarations are ordered by when they were first seen."""

    def test_what_was_never_seen_is_the_newest_and_what_was_stays_where_it_is(self):
        declarations = met("old", "new", "old")

        assert [each.key for each in declarations.known] == ["old", "new"]
        assert declarations.newest({"old", "new"}) == declarations.find("new")
        assert declarations.newest({"old"}) == declarations.find("old")
        assert declarations.newest({"other"}) is None

    def test_a_clock_that_is_set_back_makes_nothing_older(self):
        """O4."""
        ahead = Declarations().met("old", after(86_400))
        declarations = ahead.met("new", NOON)

        assert [(each.key, each.first_seen_at) for each in declarations.known] == [
            ("old", after(86_400)),
            ("new", NOON),
        ]

    def test_what_a_person_chooses_is_the_newest_until_something_new_comes(self):
        chosen = met("old", "new").chosen("old", after(9))

        assert chosen.newest({"old", "new"}) == chosen.find("old")
        assert chosen.met("newer", after(10)).newest({"old", "new", "newer"}).key == "newer"

    def test_what_a_store_has_lost_comes_back_where_its_nodes_remember_it(self):
        """The order of what they remember counts, not the one in which they say so."""
        before = met("old", "new")
        lost = Declarations()
        lost = lost.met("new", after(500), remembered=before.find("new"))
        lost = lost.met("old", after(501), remembered=before.find("old"))

        assert lost.known == before.known

    def test_the_last_twenty_are_known_and_those_that_must_be(self):
        declarations = Declarations(current="0")
        for number in range(30):
            declarations = declarations.met(str(number), after(number), keep={"3"})

        assert [each.key for each in declarations.known] == ["0", "3", *map(str, range(30 - MAX_KNOWN, 30))]

    def test_the_same_declaration_of_other_code_is_another_one_and_alike(self):
        one, other = key_of(OLD, "1"), key_of(OLD, "2")

        assert one != other
        assert are_alike(one, other)
        assert are_alike(one, key_of(OLD))
        assert not are_alike(one, key_of(NEW, "1"))
        assert key_of(OLD) == key_of(a_definition("a", every=3600.0))


class TestWhoHolds:
    """M7: the newest that a live node declares."""

    def test_old_code_that_starts_again_changes_nothing_beside_new_code(self):
        world = a_snapshot()
        old, new = declarer("n1", OLD), declarer("n2", NEW)
        starts(world, old, OLD, now=NOON)
        starts(world, new, NEW, now=after(60), others=[old])
        waiting = world.pending()
        world.events.clear()

        assert starts(world, declarer("n3", OLD), OLD, now=after(90), others=[new]) == ()
        assert world.workers["a"].definition == NEW
        assert world.workers["a"].declared_at == after(60)
        assert (world.pending(), world.said(WorkerDeclared)) == (waiting, [])

    def test_old_code_that_starts_alone_holds(self):
        world = a_snapshot()
        starts(world, declarer("n1", OLD), OLD, now=NOON)
        starts(world, declarer("n2", NEW), NEW, now=after(60))

        assert starts(world, declarer("n3", OLD), OLD, now=after(90)) == ("a",)
        assert world.workers["a"].definition == OLD

    def test_old_code_that_is_left_owes_its_declaration_again(self):
        world = a_snapshot()
        old, new = declarer("n1", OLD), declarer("n2", NEW)
        starts(world, old, OLD, now=NOON)
        starts(world, new, NEW, now=after(60), others=[old])

        assert owes(world, old, new) == NOTHING_OWED
        assert owes(world, old) == Owed(workers=("a",))

    def test_who_drains_has_no_say_beside_others_and_is_heard_alone(self):
        """G1: what it declares would hold back work for nobody."""
        world = a_snapshot()
        old, new = declarer("n1", OLD), declarer("n2", NEW)
        starts(world, old, OLD, now=NOON)
        starts(world, new, NEW, now=after(60), others=[old])
        new = replace(new, mode=NodeMode.DRAINING)

        assert owes(world, old, new) == Owed(workers=("a",))
        assert owes(world, new) == owes(world, new, replace(old, mode=NodeMode.DRAINING)) == NOTHING_OWED
        assert starts(world, old, OLD, now=after(90), others=[new]) == ("a",)
        assert owes(world, new, old) == NOTHING_OWED

    def test_of_several_the_newest_that_lives_holds(self):
        newest = a_definition("a", every=60.0)
        world = a_snapshot()
        old, new = declarer("n1", OLD), declarer("n2", NEW)
        starts(world, old, OLD, now=NOON)
        starts(world, new, NEW, now=after(60), others=[old])
        starts(world, declarer("n3", newest), newest, now=after(90), others=[old, new])

        assert owes(world, old, new) == NOTHING_OWED
        assert owes(world, new, old) == Owed(workers=("a",))

    def test_what_was_stored_before_there_was_an_order_was_first_seen_when_it_was_declared(self):
        world = a_snapshot(workers=[a_worker("a", every=7200.0)])
        starts(world, declarer("n1", OLD), OLD, now=NOON)

        known = world.workers["a"].declarations.known
        assert [(each.key, each.first_seen_at) for each in known] == [(key_of(NEW), at("06:00")), (key_of(OLD), NOON)]
        assert world.workers["a"].definition == OLD

    def test_a_store_that_was_put_back_learns_the_order_again_whoever_comes_first(self):
        world = a_snapshot()
        old, new = declarer("n1", OLD), declarer("n2", NEW)
        starts(world, old, OLD, now=NOON)
        starts(world, new, NEW, now=after(60), others=[old])
        known = world.workers["a"].declarations

        for first, second in ((old, new), (new, old)):
            back = a_snapshot()
            back.nodes = {}
            for node in (first, second):
                others = [each for each in (old, new) if each is not node]
                mine = OLD if node is old else NEW
                remembered = {("worker", "a"): known.find(node.declares["a"])}
                starts(back, node, mine, now=after(3600), others=others, remembered=remembered)

            assert back.workers["a"].definition == NEW

    def test_a_breaker_has_the_policy_of_what_holds(self):
        """K1."""
        one = a_definition("a", breaker="x", breaker_policy=BreakerPolicy(failures=2))
        two = a_definition("a", breaker="x", breaker_policy=BreakerPolicy(failures=7))
        world = a_snapshot()
        old, new = declarer("n1", one), declarer("n2", two)
        starts(world, old, one, now=NOON)
        starts(world, new, two, now=after(60), others=[old])
        starts(world, declarer("n3", one), one, now=after(90), others=[new])

        assert world.breakers["x"].policy == BreakerPolicy(failures=7)

    def test_a_size_follows_the_same_order(self):
        """B9."""
        world = a_snapshot()
        old, new = declarer("n1", resources={"db": 1}), declarer("n2", resources={"db": 2})
        starts(world, old, now=NOON, resources={"db": 1})
        starts(world, new, now=after(60), others=[old], resources={"db": 2})
        starts(world, declarer("n3", resources={"db": 1}), now=after(90), others=[new], resources={"db": 1})

        assert world.resources == {"db": 2}
        assert owes(world, old, new) == NOTHING_OWED
        assert owes(world, old) == Owed(resources=("db",))

    def test_old_code_is_judged_by_its_own_sizes(self):
        """D8: it is consistent in itself, and does not fail to start because of what newer code declares."""
        wants_two = a_definition("b", uses={"db": 2})
        world = a_snapshot()
        old = declarer("n1", wants_two, resources={"db": 2})
        starts(world, old, wants_two, now=NOON, resources={"db": 2})
        new = declarer("n2", resources={"db": 1})
        starts(world, new, now=after(60), others=[old], resources={"db": 1})

        assert starts(world, old, wants_two, now=after(90), others=[new], resources={"db": 2}) == ()
        assert world.resources == {"db": 1}
        with pytest.raises(ConfigurationError):
            starts(
                world, declarer("n3", a_definition("c", uses={"db": 2})), a_definition("c", uses={"db": 2}), now=NOON
            )

    def test_new_code_that_declares_the_same_changes_no_more_than_the_order(self):
        world = a_snapshot(an_occurrence(), workers=[a_worker("a", every=3600.0)], records={"a": a_record()})
        old, new = declarer("n1", OLD, code_version="1"), declarer("n2", OLD, code_version="2")
        starts(world, old, OLD, now=NOON)
        world.events.clear()

        assert starts(world, new, OLD, now=after(60), others=[old]) == ()
        assert world.events == []
        assert world.workers["a"].declared_at == at("06:00")
        assert [run.status for run in world.pending()] == [Status.PENDING]


def test_a_declaration_is_short_as_it_lies_in_a_row():
    """A worker's row is read whenever one of its runs changes."""
    text = msgspec.json.encode(Declaration(key_of(OLD, "3f2a"), 1_764_495_994_000_000, NOON))

    assert len(text) < 80


def test_a_declaration_that_does_not_hold_is_remembered_all_the_same():
    """M7: as one that was met, so that its place in the order is known when it may hold."""
    world = a_snapshot()
    old, new, older = (declarer(f"n{n}", each) for n, each in enumerate((OLD, NEW, a_definition("a", every=60.0)), 1))
    for node, definition, now in ((older, a_definition("a", every=60.0), NOON), (new, NEW, after(60))):
        starts(world, node, definition, now=now)
    world.workers["a"] = replace(
        world.workers["a"],
        declarations=replace(world.workers["a"].declarations, known=world.workers["a"].declarations.known[1:]),
    )
    remembered = {("worker", "a"): Declaration(older.declares["a"], 1, NOON)}
    starts(world, older, a_definition("a", every=60.0), now=after(90), others=[new], remembered=remembered)
    state = world.workers["a"]

    assert state.definition == NEW
    assert {each.key for each in state.declarations.known} == {new.declares["a"], older.declares["a"]}
    assert old.declares["a"] not in {each.key for each in state.declarations.known}


def test_what_holds_and_is_declared_once_more_is_not_written_again():
    """M7: a restart changes nothing."""
    world = a_snapshot()
    node = declarer("n1", OLD)
    starts(world, node, OLD, now=NOON)
    state = world.workers["a"]
    change, _ = declare(world, after(1), ids=world.ids, definitions=[OLD], resources={}, by=Declarer(node, (), {}))

    assert (change.workers, world.workers["a"]) == ((), state)


class TestChoosing:
    """M7, A1: a person says which of them holds."""

    def a_world(self):
        world = a_snapshot()
        old, new = declarer("n1", OLD, resources={"db": 1}), declarer("n2", NEW, resources={"db": 2})
        starts(world, old, OLD, now=NOON, resources={"db": 1})
        starts(world, new, NEW, now=after(60), others=[old], resources={"db": 2})
        world.nodes = {"n1": old, "n2": new}
        return world, old, new

    def prefer(self, world, wanted, *, worker=None, now=None, live=("n1", "n2")):
        change, names = control.prefer(world, now or after(90), wanted=wanted, worker=worker, live=live, by="ada")
        world.apply(change)
        return names, [(event.worker, event.node, event.by, event.action) for event in change.events]

    def test_what_a_node_declares_is_the_newest_then(self):
        world, old, new = self.a_world()

        names, audited = self.prefer(world, "host:n1")

        assert names == ("a", "db")
        assert audited == [("a", "n1", "ada", "prefer"), ("", "n1", "ada", "prefer")]
        assert owes(world, old, new) == Owed(workers=("a",), resources=("db",))
        assert owes(world, new, old) == NOTHING_OWED
        assert self.prefer(world, "n1") == ((), [])

    def test_of_one_worker_alone_and_back(self):
        world, old, new = self.a_world()

        assert self.prefer(world, "n1", worker="a")[0] == ("a",)
        assert owes(world, old, new) == Owed(workers=("a",))
        starts(world, old, OLD, now=after(91), others=[new])
        assert world.workers["a"].definition == OLD
        assert self.prefer(world, "n2", worker="a", now=after(92))[0] == ("a",)
        assert owes(world, new, old) == Owed(workers=("a",))

    def test_newer_code_holds_all_the_same(self):
        newest = a_definition("a", every=60.0)
        world, old, new = self.a_world()
        self.prefer(world, "n1")

        starts(world, declarer("n3", newest), newest, now=after(120), others=[old, new])

        assert world.workers["a"].definition == newest

    def test_who_cannot_be_chosen_is_said(self):
        world, old, _ = self.a_world()
        with pytest.raises(NotAllowed, match="is no longer live; start that code again"):
            self.prefer(world, "n1", live=("n2",))
        with pytest.raises(UnknownNode, match="there is no node 'n9'"):
            self.prefer(world, "n9")
        with pytest.raises(UnknownWorker):
            self.prefer(world, "n1", worker="b")
        world.nodes["n1"] = replace(old, mode=NodeMode.DRAINING)
        with pytest.raises(NotAllowed, match="starts no more runs"):
            self.prefer(world, "n1")

    def test_why_names_the_process_to_stop(self):
        """A3."""
        world, old, _ = self.a_world()
        world.nodes["n1"] = replace(old, pid=4711, host="web-1", code_version="1.0")

        [other] = declared_otherwise(world, "a", {"n1", "n2"})

        assert str(other) == (
            "node host:n1 (code 1.0) has another declaration than the one in force, first seen at 2026-06-01 12:00:00 "
            "UTC; stop its process 4711 on web-1, or use its declaration: shiftboss prefer host:n1"
        )
        assert world.why(world.pending()[0]).declared_otherwise == (other,)
        assert declared_otherwise(world, "a", {"n2"}) == ()
