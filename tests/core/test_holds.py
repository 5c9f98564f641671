"""A hold knows itself: whatever is asked of a kind of hold stands in its class.

A new gate is a file in core/gates, a line in its table, and a file here in gates/ with its `EXAMPLES`.
"""

from __future__ import annotations

import inspect
import re
import runpy
from pathlib import Path
from typing import ClassVar

import pytest
from builders import a_definition

from shiftboss.core import holds
from shiftboss.core.gates.gate import Gate
from shiftboss.core.gates.table import GATES, KINDS
from shiftboss.core.graph import Relations
from shiftboss.core.hold import Ends, Hold, Scope, Thing
from shiftboss.core.policy import Rate
from shiftboss.core.worker import HOLDING, Definition

ROOT = Path(__file__).resolve().parents[2]
TESTS = {path.stem.removeprefix("test_"): path for path in (ROOT / "tests/core/gates").glob("test_*.py")}
EXAMPLES = [example for path in TESTS.values() for example in runpy.run_path(str(path))["EXAMPLES"]]


def modules():
    """The files of the gates in the table."""
    return {Path(inspect.getfile(gate.ask)).stem for gate in GATES}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example[-1])
def test_a_hold_says_what_it_holds_what_would_have_to_change_and_whether_it_passes(example):
    """A3"""
    hold, (scope, subject, is_passing), text = example

    assert (str(hold.scope), hold.subject, hold.is_passing, hold.text) == (scope, subject, is_passing, text)


class TestIncomplete:
    """What a class forgets to say is noticed when it is imported."""

    @pytest.mark.parametrize("forgotten", ["scope", "thing", "ends", "__str__"])
    def test_a_hold_that_does_not_say_it_cannot_be_made(self, forgotten):
        says = {"scope": Scope.RUN, "thing": Thing.RUN, "ends": Ends.SOON, "__str__": lambda self: "closed"}
        del says[forgotten]

        with pytest.raises(TypeError, match=f"hold Closed does not say its {forgotten}: see Hold"):
            type(Hold)("Closed", (Hold,), says, frozen=True, tag="closed")

    def test_nor_can_one_by_an_option_that_would_leave_its_worker_free(self):
        with pytest.raises(TypeError, match=r"'window': add that to HOLDING in core/worker\.py"):

            class Closed(Hold, frozen=True, tag="closed"):
                scope: ClassVar = Scope.WORKER
                thing: ClassVar = Thing.RUN
                ends: ClassVar = Ends.SOON
                option: ClassVar = "window"

                def __str__(self) -> str:
                    return "closed"

    def test_a_gate_is_not_made_of_a_hold_without_a_name_or_about_nothing(self):
        class Nameless(Hold, frozen=True):
            scope: ClassVar = Scope.RUN
            thing: ClassVar = Thing.RUN
            ends: ClassVar = Ends.SOON

            def __str__(self) -> str:
                return "closed"

        class Lost(Hold, frozen=True, tag="lost"):
            scope: ClassVar = Scope.RUN
            thing: ClassVar = Thing.WORKER
            ends: ClassVar = Ends.SOON
            about: ClassVar = "worker"

            def __str__(self) -> str:
                return "closed"

        with pytest.raises(TypeError, match="Nameless has no tag"):
            Gate(("B8",), (Nameless,), lambda view, answer: None)
        with pytest.raises(TypeError, match="Lost is about 'worker', which is none of its fields"):
            Gate(("B8",), (Lost,), lambda view, answer: None)


class TestTable:
    """Nothing of a new gate can be forgotten."""

    def test_every_file_of_a_gate_has_its_line_and_its_test(self):
        files = {path.stem for path in (ROOT / "src/shiftboss/core/gates").glob("*.py")}

        assert files - {"__init__", "gate", "table"} == modules() == set(TESTS)

    def test_every_kind_has_its_example_and_its_public_name(self):
        public = {kind for kind in vars(holds).values() if isinstance(kind, type) and issubclass(kind, Hold)}

        assert set(KINDS) == {type(hold) for hold, *_ in EXAMPLES} == public - {Hold}

    @pytest.mark.parametrize("gate", GATES, ids=lambda gate: inspect.getfile(gate.ask).rpartition("/")[2])
    def test_its_rules_are_written(self, gate):
        semantics = (ROOT / "docs/reference/semantics.md").read_text()

        assert gate.rules
        assert all(f"### {rule}\n" in semantics for rule in gate.rules)

    @pytest.mark.parametrize("kind", KINDS)
    def test_its_gate_is_a_word(self, kind):
        assert re.fullmatch(r"[a-z_]+", kind().gate)

    @pytest.mark.parametrize("kind", KINDS)
    def test_its_gate_makes_it(self, kind):
        text = Path(inspect.getfile(kind)).read_text()

        assert re.search(rf"\banswer\.hold\(\s*{kind.__name__}(\.of)?\(", text)

    @pytest.mark.parametrize("kind", KINDS)
    def test_the_reference_has_it(self, kind):
        page = (ROOT / "docs/reference/holds.md").read_text()

        assert f"| `{kind.__struct_config__.tag}` | {kind.__name__} |" in page

    def test_what_is_passed_in_its_queue_is_passed(self):
        assert all(kind.is_passed for kind in KINDS if kind.is_passed_in_queue)

    def test_whoever_reserves_waits_for_something_of_the_fleet_that_passes(self):
        """B4"""
        assert all(kind.scope is Scope.COMPONENT and kind.ends is Ends.RUN for kind in KINDS if kind.reserves)


OF_OPTIONS = {
    "breaker": {"breaker": "x"},
    "concurrency": {"concurrency": 1},
    "rate": {"rate": Rate(1, 1.0)},
    "depends_on": {"depends_on": ["u"]},
    "blocks": {"blocks": ("u",)},
    "uses": {"uses": {"r": 1}},
}


@pytest.mark.parametrize("option", sorted(HOLDING))
def test_a_worker_is_free_unless_an_option_can_hold_its_runs(option):
    """What asks nobody is claimed without telling anybody: a gate that graph.py did not know of would be passed."""

    assert option in Definition.__struct_fields__
    assert Relations.of([a_definition("a")]).free == {"a"}
    assert Relations.of([a_definition("a", **OF_OPTIONS[option])]).free == frozenset()
