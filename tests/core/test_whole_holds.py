"""Each gate once, with all that it says: whole_holds.txt holds every field of every hold (A3).

After a wanted change, `python tests/core/test_whole_holds.py` writes the file anew: read the difference.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parent))  # as pytest does; for whoever runs this file itself

import builders
from builders import (
    NOON,
    a_breaker,
    a_node,
    a_record,
    a_snapshot,
    a_worker,
    after,
    an_occurrence,
    at,
    unreadable,
)
from whole import Whole

from shiftboss.core.explain import Explanation, explain
from shiftboss.core.model import Attempt, BreakerMode, Cause, Disabled, NodeMode, Shed, Status
from shiftboss.core.policy import Rate
from shiftboss.core.value import replace
from shiftboss.core.worker import Upstream

RUNNING = Status.RUNNING
AUTO = Disabled(by="auto", reason="5 in a row", since=at("11:00"), probation_s=3600.0, probation_until=at("12:30"))


def a_run(worker: str = "a", status: Status = Status.PENDING, **fields: Any) -> Any:
    """Due for a while, so that *since* says something."""
    return builders.a_run(worker, status, **{"due_at": at("11:45"), **fields})


def held(*runs: Any, now: Any = NOON, live: Any = None, **options: Any) -> Explanation:
    """Why run 1 does not start."""
    world = a_snapshot(*runs, **options)
    run = next(run for lane in world.lanes.values() for run in (*lane, *lane.sealed.values()) if run.id == 1)
    if live is None:
        return world.why(run, now)
    return explain(world, now, run=run, live=frozenset(live))


def behind(upstream: Any, *, edge: Any = "u", **options: Any) -> Explanation:
    """Run 1 of a waits for u."""
    runs = () if upstream is None else (upstream,)
    workers = [a_worker("a", depends_on=[edge]), a_worker("u", **options.pop("u", {}))]
    return held(a_run("a", id=1), *runs, workers=workers, **options)


def lived(seconds: float) -> tuple[Attempt, ...]:
    attempt = Attempt(
        number=1, node="n1", started_at=at("10:00"), ended_at=at("10:01"), duration_s=seconds, cause=Cause.RESCUED
    )
    return (attempt, attempt)


SCENARIOS: dict[str, Callable[[], Explanation]] = {
    "nothing": lambda: held(a_run("a")),
    "not due": lambda: held(a_run("a", due_at=after(90))),
    "not due, a retry": lambda: held(a_run("a", due_at=after(90), attempt=2)),
    "disabled": lambda: held(a_run("a"), workers=[a_worker("a", disabled="ann")]),
    "disabled by failures": lambda: held(a_run("a"), workers=[a_worker("a", disabled=AUTO)]),
    "concurrency": lambda: held(
        a_run("a"),
        a_run("a", RUNNING, since=at("11:50")),
        a_run("a", RUNNING, since=at("11:55")),
        workers=[a_worker("a", concurrency=2)],
    ),
    "blocked": lambda: held(
        a_run("a"),
        a_run("b", RUNNING, since=at("11:50"), node="n2", zombie_since=at("11:55")),
        workers=[a_worker("a", blocks=("b",)), a_worker("b")],
        nodes=[a_node("n1"), a_node("n2")],
    ),
    "permits": lambda: held(
        a_run("a"),
        a_run("b", RUNNING, since=at("11:50")),
        a_run("b", RUNNING, since=at("11:55")),
        workers=[a_worker("a", uses={"db": 2}), a_worker("b", uses={"db": 1})],
        resources={"db": 3},
    ),
    "permits that there are not": lambda: held(
        a_run("a", due_at=at("11:45")), workers=[a_worker("a", uses={"db": 2})], resources={"db": 1}
    ),
    "reserved": lambda: held(
        a_run("a", id=1, due_at=at("11:59:50")),
        a_run("b", id=2, due_at=at("11:50")),
        a_run("c", RUNNING, id=3, since=at("11:40")),
        workers=[a_worker("a", uses={"db": 1}), a_worker("b", uses={"db": 2}), a_worker("c", uses={"db": 1})],
        resources={"db": 2},
    ),
    "rate": lambda: held(
        a_run("a", due_at=at("11:58")),
        workers=[a_worker("a", rate=Rate(6, 60.0))],
        records={"a": a_record(tokens=0.25, tokens_at=at("11:59:58"))},
    ),
    "breaker": lambda: held(a_run("a"), workers=[a_worker("a", breaker="x")], breakers=[a_breaker("x")]),
    "breaker that is probed": lambda: held(
        a_run("a", id=1),
        a_run("b", RUNNING, id=2, probe=True, since=at("11:59:30")),
        workers=[a_worker("a", breaker="x"), a_worker("b", breaker="x")],
        breakers=[a_breaker("x", BreakerMode.HALF_OPEN)],
    ),
    "an upstream that runs": lambda: behind(a_run("u", RUNNING, id=2, since=at("11:50"))),
    "an upstream that is due now": lambda: behind(a_run("u", id=2, created_at=at("11:50"))),
    "an upstream that is due later": lambda: behind(a_run("u", id=2, due_at=after(30), occurs_at=at("11:00"))),
    "an upstream that is retried": lambda: behind(
        a_run("u", id=2, due_at=after(30), occurs_at=at("11:00"), attempt=2, created_at=at("11:00"))
    ),
    "an upstream that never ran": lambda: behind(None),
    "an upstream that is gone": lambda: behind(None, edge="gone"),
    "an upstream that failed": lambda: behind(
        None, records={"u": a_record(ok=False, run=9, last_error_at=at("11:30"))}
    ),
    "an upstream that is disabled": lambda: behind(None, u={"disabled": AUTO}, records={"u": a_record(ok=True)}),
    "an upstream whose breaker is open": lambda: behind(
        None, u={"breaker": "x"}, records={"u": a_record(ok=True)}, breakers=[a_breaker("x", BreakerMode.HALF_OPEN)]
    ),
    "an upstream that is not fresh": lambda: behind(
        None,
        edge=Upstream("u", fresh=True),
        records={"u": a_record(ok=True), "a": a_record(ok=True, occurs_at=at("11:30"))},
    ),
    "an upstream that is too old": lambda: behind(
        None, edge=Upstream("u", max_age_s=3599.0), records={"u": a_record(ok=True)}
    ),
    "an upstream that is just not too old": lambda: behind(
        None, edge=Upstream("u", max_age_s=3600.0), records={"u": a_record(ok=True)}
    ),
    "no slot": lambda: held(
        a_run("a", id=1),
        a_run("b", RUNNING, id=2, since=at("11:50")),
        workers=[a_worker("a"), a_worker("b")],
        nodes=[a_node("n1", slots=1)],
    ),
    "no slot but those that are kept": lambda: held(
        a_run("a", id=1),
        *(a_run("b", RUNNING, id=n, since=at("11:50")) for n in range(2, 6)),
        workers=[a_worker("a"), a_worker("b")],
        nodes=[a_node("n1", slots=5)],
    ),
    "no slot of its executor": lambda: held(
        a_run("a", id=1),
        a_run("b", RUNNING, id=2, since=at("11:50")),
        workers=[a_worker("a", executor="process"), a_worker("b", executor="process")],
        nodes=[a_node("n1", slots=10, executors={"process": 1})],
    ),
    "shed": lambda: held(
        a_run("a", priority="low"), nodes=[a_node("n1", shed=Shed.LOW, shed_reason="memory 95 %, limit 90 %")]
    ),
    "draining": lambda: held(a_run("a"), nodes=[a_node("n1", mode=NodeMode.DRAINING)]),
    "nobody runs it": lambda: held(a_run("a"), nodes=[a_node("n1", "b")]),
    "its node is gone": lambda: held(a_run("a"), nodes=[a_node("n1")], live=()),
    "another version": lambda: held(
        a_run("a"), nodes=[replace(a_node("n1", pid=7, host="box", code_version="v1"), workers={"a": "other"})]
    ),
    "encoded": lambda: held(
        a_run("a", encoded_by="k2", payload=b"?", digest="d"), nodes=[a_node("n1", decodes=("k1",))]
    ),
    "unreadable": lambda: held(a_run("a", id=1), workers=[unreadable(a_worker("a"), "worker", "a")]),
    "alone": lambda: held(
        a_run("a", id=1, rescues=2, attempts=lived(10.0), due_at=at("11:55")),
        a_run("b", RUNNING, id=2, since=at("11:59")),
        workers=[a_worker("a"), a_worker("b")],
        nodes=[a_node("n1", started_at=NOON)],
    ),
    "making way for one that runs": lambda: held(
        a_run("a", id=1),
        a_run("b", RUNNING, id=2, rescues=2, attempts=lived(30.0), since=at("11:59:50")),
        workers=[a_worker("a"), a_worker("b")],
        nodes=[a_node("n1", started_at=at("11:59:50"))],
    ),
    "making way for one that waits": lambda: held(
        a_run("a", id=1),
        a_run("b", id=2, rescues=2, attempts=lived(30.0), due_at=at("11:59:30")),
        a_run("c", RUNNING, id=3, since=at("11:00")),
        workers=[a_worker("a"), a_worker("b"), a_worker("c")],
        nodes=[a_node("n1", started_at=at("11:59:50"))],
    ),
    "behind another one": lambda: held(
        a_run("a", id=1, due_at=at("11:59")),
        a_run("b", id=2, due_at=at("11:58")),
        workers=[a_worker("a", uses={"db": 1}), a_worker("b", uses={"db": 1})],
        resources={"db": 1},
    ),
    "declared otherwise": lambda: held(
        an_occurrence("a"),
        workers=[a_worker("a", every=60.0)],
        nodes=[a_node("n1", "a", declares={"a": "k1"}), a_node("n2", "a", declares={"a": "k2"})],
    ),
}


def of_explanation(explanation: Explanation) -> Iterator[tuple[str, Any]]:
    for hold in explanation.holds:
        yield type(hold).__name__, hold
    for name in ("earliest", "behind", "declared_otherwise"):
        value = getattr(explanation, name)
        if value not in (None, ()):
            yield name, value


WHOLE = Whole(
    Path(__file__).with_name("whole_holds.txt"),
    {name: lambda make=make: of_explanation(make()) for name, make in SCENARIOS.items()},
)


@pytest.mark.parametrize("name", SCENARIOS)
def test_all_that_a_gate_says(name):
    assert WHOLE.made(name) == WHOLE.written()[name]


def test_nothing_is_written_about_what_is_gone():
    assert set(WHOLE.written()) == set(SCENARIOS)


if __name__ == "__main__":
    WHOLE.write()
