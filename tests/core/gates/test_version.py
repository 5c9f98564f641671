"""M7: a node whose code takes other parameters leaves the runs to others."""

from __future__ import annotations

from builders import (
    a_run,
    a_snapshot,
    a_worker,
)

from shiftboss.core.holds import (
    OtherVersion,
)
from shiftboss.core.value import replace

EXAMPLES = [  # a hold; its scope, its subject, whether it ends by itself; its sentence
    (OtherVersion(node="n1"), ("node", "n1", False), "node n1 registers this worker with other parameters"),
    (
        OtherVersion(node="n1", code_version="1.4"),
        ("node", "n1", False),
        "node n1 (code 1.4) registers this worker with other parameters",
    ),
]


def test_a_node_with_other_parameters_leaves_the_runs_to_others():
    world = a_snapshot(a_run(), workers=[a_worker(parameters="to: str")])
    world.nodes["n1"] = replace(world.nodes["n1"], workers={"a": "to: int"})

    assert world.decide().holds == {1: (OtherVersion(node="host:n1"),)}
