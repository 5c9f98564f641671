"""Runs whose payload this node cannot decode: held, and in nobody's way (E3)."""

from __future__ import annotations

from builders import a_node, a_run, a_snapshot, a_worker, after, at, gates, starts

from shiftboss.core import control
from shiftboss.core.control import Request
from shiftboss.core.decide import decide
from shiftboss.core.opaque import framed
from shiftboss.core.room import room_of

LONG_AGO = after(-3600)


def test_a_run_whose_key_this_node_lacks_is_held_and_those_behind_it_start():
    """E3: also where a worker runs one at a time."""
    world = a_snapshot(
        a_run(encoded_by="k1"),
        a_run(encoded_by="k1"),
        a_run(encoded_by="k2"),
        a_run(),
        nodes=[a_node(decodes=("k2",))],
    )

    decision = world.decide()

    assert starts(decision) == [3, 4]
    assert gates(decision, 1) == gates(decision, 2) == ["codec"]
    assert str(decision.holds[1][0]) == (
        "its payload is encrypted with key 'k1', which node host:n1 does not have; start one that has"
    )


def test_those_behind_it_go_on_also_where_others_depend_on_their_worker():
    """E3: the least of a lane that others depend on is asked before its queue is."""
    workers = [a_worker("a"), a_worker("b", depends_on=["a"])]
    world = a_snapshot(a_run(encoded_by="old", due_at=at("11:00")), a_run(), a_run(), workers=workers)

    assert world.start() == [2, 3]


def test_a_node_without_a_codec_starts_what_is_plain():
    """E2, E3."""
    world = a_snapshot(a_run(encoded_by="k1"), a_run())

    assert starts(world.decide()) == [2]


def test_what_could_not_be_decoded_is_not_tried_again_by_this_process():
    """E3: its keys say that it can, and the payload is damaged."""
    world = a_snapshot(a_run(encoded_by="k1"), a_run(encoded_by="k1"), nodes=[a_node(decodes=("k1",))])
    world.undecodable[1] = "encrypted with key 'k1' and damaged"

    decision = world.decide()

    assert starts(decision) == [2]
    assert str(decision.holds[1][0]) == "its payload is encrypted with key 'k1' and damaged"


def test_it_reserves_nothing_however_long_it_waits():
    """B4, E3: who could decode it is not known; what it excludes goes on."""
    workers = [a_worker("a", blocks=("b",)), a_worker("b")]
    for nodes, undecodable in (([a_node(decodes=("k1",))], {1: "damaged"}), ([a_node()], {})):
        world = a_snapshot(a_run("a", encoded_by="k1", due_at=LONG_AGO), a_run("b"), workers=workers, nodes=nodes)
        world.undecodable.update(undecodable)

        assert starts(world.decide()) == [2]


def test_it_reserves_for_another_node_that_has_the_key_and_a_slot():
    """B4: or a stream of what it excludes would keep that node from ever starting it."""
    workers = [a_worker("a", blocks=("b",)), a_worker("b")]
    nodes = [a_node("n1"), a_node("n2", decodes=("k1",))]
    world = a_snapshot(a_run("a", encoded_by="k1", due_at=LONG_AGO), a_run("b"), workers=workers, nodes=nodes)
    node = world.nodes["n1"]

    decision = decide(world, after(0), node=node, room=room_of(world, node), lanes=("a", "b"), live=("n1", "n2"))

    assert starts(decision) == []
    assert gates(decision, 2) == ["reserved"]


def test_a_new_run_says_with_which_key_its_payload_will_lie_in_the_store():
    """E2: the newest of this process; what is encoded already keeps its own, and no payload has none."""
    world = a_snapshot(workers=[a_worker("a")])
    world.codec_key = "k2"

    def stored(payload: bytes | None) -> str:
        change, _ = control.trigger(world, after(0), ids=iter((1,)), request=Request("a", payload, "d"))
        return change.runs[0].encoded_by

    assert [stored(each) for each in (b"{}", framed(b"x", "k1"), None)] == ["k2", "k1", ""]
