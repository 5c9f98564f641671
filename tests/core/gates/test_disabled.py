"""K5: of a disabled worker only forced runs start; after probation one run may probe."""

from __future__ import annotations

from builders import (
    NOON,
    a_breaker,
    a_run,
    a_snapshot,
    a_worker,
    after,
    at,
    gates,
    starts,
)

from shiftboss.core.holds import (
    IsDisabled,
)
from shiftboss.core.model import Disabled, Status

RUNNING = Status.RUNNING

EXAMPLES = [  # a hold; its scope, its subject, whether it ends by itself; its sentence
    (IsDisabled(by="ada", reason="moving"), ("worker", "ada", False), "disabled by ada: moving"),
    (IsDisabled(by="ada"), ("worker", "ada", False), "disabled by ada"),
    (
        IsDisabled(by="auto", reason="4 runs failed in a row (last: #1066)"),
        ("worker", "auto", False),
        "disabled automatically: 4 runs failed in a row (last: #1066)",
    ),
]


class TestDisabled:
    """K5: only what is forced starts."""

    def test_a_disabled_worker_starts_nothing(self):
        world = a_snapshot(a_run(), workers=[a_worker(disabled="ada")])

        assert world.decide().holds == {1: (IsDisabled(by="ada", reason="for a test", since=at("11:00")),)}

    def test_a_forced_run_passes_this_gate_alone(self):
        world = a_snapshot(
            a_run(forced=True), a_run("b", RUNNING), workers=[a_worker(disabled="ada", blocks=("b",)), a_worker("b")]
        )

        assert gates(world.decide(), 1) == ["blocks"]

        world.settle(2)
        assert starts(world.decide()) == [1]

    PROBATION = Disabled(by="auto", reason="", since=at("11:00"), probation_s=3600.0, probation_until=NOON)

    def test_after_probation_one_run_probes(self):
        world = a_snapshot(a_run(due_at=at("11:00")), a_run(), workers=[a_worker(disabled=self.PROBATION)])

        assert world.decide(after(-1)).holds[1][0].until == NOON
        assert world.decide(after(-1)).look_at == {"a": NOON}

        decision = world.decide()
        assert [(grant.run.id, grant.probe) for grant in decision.grants] == [(1, True)]
        assert gates(decision, 2) == ["disabled"]

    def test_while_a_probe_runs_nothing_is_looked_at_by_time(self):
        world = a_snapshot(a_run(status=RUNNING, probe=True), a_run(), workers=[a_worker(disabled=self.PROBATION)])

        decision = world.decide(after(1))

        assert gates(decision, 2) == ["disabled"]
        assert decision.look_at == {}

    def test_a_probe_of_probation_is_never_the_fallback(self):
        """K3, K5"""
        worker = a_worker(disabled=self.PROBATION, breaker="x", fallback=True)
        world = a_snapshot(a_run(), workers=[worker], breakers=[a_breaker("x")])

        assert gates(world.decide(), 1) == ["breaker"]
