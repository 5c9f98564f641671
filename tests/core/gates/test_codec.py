"""E3: a payload that cannot be decoded holds its own run, and nothing behind it."""

from __future__ import annotations

from builders import (
    NOON,
    a_node,
    a_run,
    a_snapshot,
    starts,
)

from shiftboss.core.holds import (
    IsEncoded,
)

EXAMPLES = [  # a hold; its scope, its subject, whether it ends by itself; its sentence
    (
        IsEncoded(key="k1", node="n1"),
        ("node", "n1", False),
        "its payload is encrypted with key 'k1', which node n1 does not have; start one that has",
    ),
    (IsEncoded(reason="damaged"), ("node", "", False), "its payload is damaged"),
]


def test_a_node_without_the_key_starts_what_is_behind():
    """E3"""
    world = a_snapshot(a_run(encoded_by="k1"), a_run())

    decision = world.decide()

    assert decision.holds == {1: (IsEncoded(key="k1", node="host:n1", since=NOON),)}
    assert starts(decision) == [2]


def test_a_node_with_the_key_starts_it():
    """E3"""
    assert starts(a_snapshot(a_run(encoded_by="k1"), nodes=[a_node(decodes=("k1",))]).decide()) == [1]


def test_what_is_damaged_is_held_on_every_node():
    """E3"""
    world = a_snapshot(a_run(), a_run())
    world.undecodable[1] = "damaged"

    decision = world.decide()

    assert decision.holds == {1: (IsEncoded(reason="damaged", since=NOON),)}
    assert starts(decision) == [2]
