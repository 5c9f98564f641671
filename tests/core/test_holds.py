"""A hold knows itself: whatever is asked of a kind of hold stands in its class.

A new gate is a file in core/gates with a line in its table, and a line in `EXAMPLES` here.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest
from builders import NOON, a_definition, after

from shiftboss.core import holds
from shiftboss.core.gates.table import KINDS
from shiftboss.core.graph import Relations
from shiftboss.core.hold import Ends, Hold, Scope
from shiftboss.core.policy import Priority, Rate
from shiftboss.core.worker import HOLDING, Definition

ROOT = Path(__file__).resolve().parents[2]
LONG = {"since": NOON, "until": after(60)}

EXAMPLES = [  # a hold; its scope, its subject, whether it passes by itself; its sentence
    (holds.NotDue(attempt=2, **LONG), "run", "", False, "in back-off after attempt 2"),
    (holds.NotDue(**LONG), "run", "", False, "not due yet"),
    (holds.IsUnreadable(table="run", id="7", worker="a", reason="torn"), "component", "a", False, "run 7 of a"),
    (
        holds.IsEncoded(key="k1", node="n1"),
        "node",
        "n1",
        False,
        "its payload is encrypted with key 'k1', which node n1",
    ),
    (holds.IsEncoded(reason="damaged"), "node", "", False, "its payload is damaged"),
    (holds.IsDisabled(by="ada", reason="moving"), "worker", "ada", False, "the worker is disabled by ada: moving"),
    (holds.BreakerIsOpen(breaker="x"), "component", "x", False, "breaker 'x' is open"),
    (holds.BreakerIsOpen(breaker="x", probe=3), "component", "x", False, "breaker 'x' is half-open; run 3 probes it"),
    (holds.IsFull(limit=1, runs=(4,)), "worker", "", True, "1 of 1 allowed are running (run 4)"),
    (holds.RateReached(count=10, per_s=60.0), "worker", "", True, "the rate of 10 starts in 60 s is used up"),
    (holds.UpstreamOwes(upstream="u", run=5, state="running"), "component", "u", True, "u: run 5 is running"),
    (holds.UpstreamOwes(upstream="u", run=5, state="pending", **LONG), "component", "u", False, "u: run 5 is pending"),
    (holds.UpstreamFailed(upstream="u", why="is disabled by ada"), "component", "u", False, "u: is disabled by ada"),
    (holds.UpstreamStale(upstream="u", why="has never run"), "component", "u", False, "u: has never run"),
    (holds.IsBlocked(by="b", run=6, node="n1"), "component", "b", True, "b: run 6 is running on node n1"),
    (
        holds.NoPermit(resource="r", wanted=1, free=0, runs=(7,)),
        "component",
        "r",
        True,
        "resource 'r' has 0 free",
    ),
    (holds.IsReserved(worker="w", run=8), "component", "w", True, "reserved for w run 8, which has waited too long"),
    (holds.NoSlot(node="n1", slots=4), "node", "n1", True, "all 4 slots of node n1 are in use"),
    (
        holds.NoSlot(node="n1", kept=True),
        "node",
        "n1",
        True,
        "the free slots of node n1 are kept",
    ),
    (holds.IsIsolated(node="n1", rescues=2), "node", "n1", True, "waits until nothing else runs on node n1"),
    (holds.MakesWay(worker="w", run=9, node="n1"), "node", "w", True, "w run 9 has node n1 to itself"),
    (
        holds.IsShed(node="n1", reason="lag", priority=Priority.LOW),
        "node",
        "n1",
        True,
        "node n1 holds back low",
    ),
    (holds.IsDraining(node="n1"), "node", "n1", False, "node n1 is shutting down and starts nothing new"),
    (holds.NotHere(worker="w"), "node", "", False, "no live node runs this worker"),
    (holds.OtherVersion(node="n1"), "node", "n1", False, "node n1 declares other parameters"),
    (holds.StoreTakesNothing(reason="the disk is full"), "fleet", "", False, "the disk is full"),
]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: str(example[0]))
def test_a_hold_says_what_it_holds_what_would_have_to_change_and_whether_it_passes(example):
    """A3"""
    hold, scope, subject, is_passing, said = example

    assert (str(hold.scope), hold.subject, hold.is_passing) == (scope, subject, is_passing)
    assert str(hold).startswith(said)


class TestTable:
    """Nothing of a new kind of hold can be forgotten."""

    def test_every_kind_has_its_line_and_its_example(self):
        written = {
            value
            for value in vars(holds).values()
            if isinstance(value, type) and issubclass(value, Hold) and value is not Hold
        }

        assert set(KINDS) == written == {type(hold) for hold, *_ in EXAMPLES}

    @pytest.mark.parametrize("kind", KINDS)
    def test_it_says_its_scope_its_gate_and_a_sentence_of_its_own(self, kind):
        assert isinstance(vars(kind)["scope"], Scope)
        assert re.fullmatch(r"[a-z_]+", kind().gate)
        assert "__str__" in vars(kind)
        assert kind.about in ("", *kind.__struct_fields__)

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
