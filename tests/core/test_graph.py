"""Who has to do with whom?"""

from __future__ import annotations

import pytest
from builders import a_definition

from shiftboss.core.graph import Relations, check, find_cycle, partition_of
from shiftboss.errors import ConfigurationError, CycleError


def relations(*definitions):
    return Relations.of(definitions)


class TestConflicts:
    """B1: symmetric, by names and tags, never with itself."""

    GRAPH = relations(
        a_definition("a", blocks=("b", "tag:db")),
        a_definition("b"),
        a_definition("c", tags=("db",)),
        a_definition("d", tags=("db", "net"), blocks=("tag:db",)),
        a_definition("e"),
    )

    @pytest.mark.parametrize(
        ("one", "other", "conflict"),
        [
            ("a", "b", True),
            ("a", "c", True),
            ("a", "d", True),
            ("c", "d", True),
            ("b", "c", False),
            ("b", "d", False),
            ("d", "d", False),
            ("a", "e", False),
        ],
    )
    def test_both_sides_see_it(self, one, other, conflict):
        assert self.GRAPH.conflict(one, other) is conflict
        assert self.GRAPH.conflict(other, one) is conflict

    def test_who_may_be_blocked_at_all_is_known_without_looking_at_others(self):
        assert [name for name in "abcde" if self.GRAPH.may_block(name)] == ["a", "b", "c", "d"]


class TestComponents:
    """B2: nothing in one component can hold a run of another."""

    @pytest.mark.parametrize(
        "fields",
        [
            {"depends_on": ["a"]},
            {"after": ("a",)},
            {"blocks": ("a",)},
            {"blocks": ("tag:t",)},
            {"uses": {"db": 1}},
            {"breaker": "x"},
        ],
    )
    def test_every_relation_joins_two_workers(self, fields):
        graph = relations(
            a_definition("a", tags=("t",), uses={"db": 1}, breaker="x"), a_definition("b", **fields), a_definition("c")
        )

        assert graph.component("a") == graph.component("b") == ("a", "b")
        assert graph.component("c") == ("c",)

    def test_relations_are_followed_through(self):
        graph = relations(
            a_definition("a"),
            a_definition("b", depends_on=["a"]),
            a_definition("c", blocks=("b",)),
            a_definition("d", uses={"db": 1}),
            a_definition("e", uses={"db": 1}, blocks=("c",)),
        )

        assert graph.component("d") == ("a", "b", "c", "d", "e")

    def test_a_tag_that_nobody_blocks_joins_nobody(self):
        graph = relations(
            a_definition("a", tags=("team", "db"), blocks=("x",)),
            a_definition("x"),
            a_definition("b", tags=("team",), blocks=("y",)),
            a_definition("y"),
        )

        assert graph.component("a") == ("a", "x")
        assert graph.component("b") == ("b", "y")

    def test_an_unknown_name_joins_nobody(self):
        graph = relations(a_definition("a", depends_on=["gone"]), a_definition("b", after=("gone",)))

        assert (graph.component("a"), graph.component("b")) == (("a",), ("b",))


class TestStarved:
    """K4: the workers downstream, nearest first."""

    def test_by_depends_on_and_after(self):
        graph = relations(
            a_definition("a"),
            a_definition("far", depends_on=["near"]),
            a_definition("near", after=("a",)),
            a_definition("beside", depends_on=["a"]),
            a_definition("other"),
        )

        assert graph.starved_by("a") == ("beside", "near", "far")
        assert graph.starved_by("other") == ()


class TestCheck:
    """D8, B9: what cannot work together is refused at start."""

    def refused(self, *definitions, resources=None):
        with pytest.raises(ConfigurationError) as caught:
            check(definitions, resources=resources or {})
        return str(caught.value)

    def test_what_works_together_passes(self):
        check(
            [
                a_definition("a", tags=("db",)),
                a_definition("b", depends_on=["a"], after=("a",), blocks=("a", "tag:db"), uses={"net": 2}),
            ],
            resources={"net": 2},
        )

    @pytest.mark.parametrize(
        ("fields", "word"),
        [({"depends_on": ["x"]}, "depends_on"), ({"after": ("x",)}, "after"), ({"blocks": ("x",)}, "blocks")],
    )
    def test_an_unknown_name(self, fields, word):
        assert self.refused(a_definition("a", **fields)) == f"worker 'a': {word} names 'x', which is unknown; known: a"

    def test_an_unknown_tag(self):
        said = self.refused(a_definition("a", blocks=("tag:bd",)), a_definition("b", tags=("db",)))

        assert said == "worker 'a': blocks names 'tag:bd', but no worker has that tag; known: db"

    @pytest.mark.parametrize(
        ("fields", "remedy"),
        [
            ({"depends_on": ["a"]}, "depends_on names itself; it could never run"),
            ({"after": ("a",)}, "after names itself; it could never run"),
            ({"blocks": ("a",)}, "blocks names itself; use concurrency=1 instead"),
        ],
    )
    def test_a_worker_that_names_itself(self, fields, remedy):
        """B1"""
        assert self.refused(a_definition("a", **fields)) == f"worker 'a': {remedy}"

    def test_a_resource_without_size(self):
        assert self.refused(a_definition("a", uses={"db": 1})) == (
            "worker 'a' uses 'db', a resource without a size; add Orchestrator(resources={'db': N})"
        )

    def test_more_permits_than_there_are(self):
        assert self.refused(a_definition("a", uses={"db": 3}), resources={"db": 2}) == (
            "worker 'a' uses 3 concurrency slots of 'db', which has only 2: it could never run"
        )

    def test_a_cycle_over_depends_on_and_after_with_its_path(self):
        with pytest.raises(CycleError) as caught:
            check(
                [
                    a_definition("a", depends_on=["b"]),
                    a_definition("b", after=("c",)),
                    a_definition("c", depends_on=["a"]),
                    a_definition("d", depends_on=["a"]),
                ],
                resources={},
            )
        assert str(caught.value) == (
            "depends_on and after form a cycle: a → b → c → a; none of these could ever start; "
            "remove one of these edges"
        )

    def test_a_diamond_is_no_cycle(self):
        assert find_cycle({"d": ["b", "c"], "b": ["a"], "c": ["a"], "a": []}) == ()

    def test_a_chain_may_be_thousands_long(self):
        chain = {str(n): [str(n + 1)] for n in range(5000)}

        assert find_cycle(chain) == ()
        assert len(find_cycle({**chain, "5000": ["0"]})) == 5002


def test_a_component_lies_in_one_partition_and_every_version_puts_it_into_the_same():
    """Nodes of several versions lock the same: these numbers never change without the schema of the stores."""
    found = relations(a_definition("mail"), a_definition("backup", blocks=("archive",)), a_definition("archive"))

    assert (partition_of("mail"), partition_of("archive"), partition_of("ünï")) == (8, 28, 42)
    assert found.partitions == {"mail": 8, "archive": 28, "backup": 28}
    assert {name: partition for partition, names in found.in_partition.items() for name in names} == found.partitions
