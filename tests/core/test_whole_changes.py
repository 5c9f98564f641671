"""Each rule once, with all that it writes: whole_changes.txt holds every field of every value (W2).

The other tests say why; this one finds what nobody thought of.  A field that has its default is not shown.  After a
wanted change, `python tests/core/test_whole_changes.py` writes the file anew: read the difference.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parent))  # as pytest does; for whoever runs this file itself

from builders import (
    BOOM,
    FAILED,
    FATAL,
    NO_RETRY,
    NOON,
    OK,
    TIMED_OUT,
    World,
    a_breaker,
    a_node,
    a_record,
    a_run,
    a_snapshot,
    a_worker,
    after,
    an_iteration,
    an_occurrence,
    at,
)
from whole import Whole

from shiftboss.core import control, fleet
from shiftboss.core.claim import claim, skip_for_dependency
from shiftboss.core.clock_step import clock_was_set
from shiftboss.core.control import Request
from shiftboss.core.decide import Grant
from shiftboss.core.declarations import Declaration, Declarations
from shiftboss.core.model import (
    Attempt,
    BreakerMode,
    Cancelled,
    CancelRequest,
    Cause,
    ClockMark,
    DeadLetter,
    Disabled,
    Failed,
    Interrupted,
    LogLine,
    Progress,
    Report,
    Shed,
    Status,
    Succeeded,
    Unfit,
)
from shiftboss.core.note import Note, keep_lines
from shiftboss.core.note import note as apply_note
from shiftboss.core.policy import BreakerPolicy, Rate
from shiftboss.core.reconcile import declare
from shiftboss.core.settle import expire, rescue, settle
from shiftboss.core.snapshot import Change
from shiftboss.core.value import replace

RUNNING = Status.RUNNING
AUTO = Disabled(by="auto", reason="5 in a row", since=at("11:00"), probation_s=3600.0, probation_until=NOON)


def does(world: World, rule: Callable[..., tuple[Change, Any]], now=NOON, **arguments: Any) -> Change:
    return rule(world, now, ids=count(101), **arguments)[0]


def without_ids(world: World, rule: Callable[..., tuple[Change, Any]], **arguments: Any) -> Change:
    return rule(world, NOON, **arguments)[0]


def settled(world: World, outcome: Any, *, code_version: str = "v2") -> Change:
    (run,) = (run for run in world.running.values() if run.id == 1)
    report = Report(1, "n1", run.claim.fence, outcome, 2.5, code_version, traceparent="00-trace")
    return does(world, settle, report=report)


def triggered(request: Request, **worker: Any) -> Change:
    return does(a_snapshot(workers=[a_worker("a", **worker)]), control.trigger, request=request)


def running(**fields: Any) -> World:
    """Run 1 of worker a, on n1; *fields* of the run, but `worker`, `records` and so on."""
    worker = fields.pop("worker", {})
    records, letters, breakers = fields.pop("records", None), fields.pop("letters", ()), fields.pop("breakers", ())
    make = fields.pop("make", a_run)
    others = fields.pop("others", ())
    run = make("a", RUNNING, id=1, **fields)
    workers = [a_worker("a", **worker), *others]
    return a_snapshot(run, workers=workers, records=records, letters=letters, breakers=breakers)


def waiting(*ids: int) -> World:
    world = a_snapshot(*(a_run("a", id=each) for each in ids))
    world.fetched = {run.id: run for run in world.pending()}  # as they were read
    return world


def granted(run: Any, definition: dict[str, Any], **options: Any) -> Change:
    marks = {name: options.pop(name) for name in ("probe", "fallback", "degraded") if name in options}
    world = a_snapshot(run, workers=[a_worker("a", **definition)], **options)
    return does(world, claim, grants=[Grant(world.pending()[0], **marks)], node="n1", fence=9)


def rescued(*, gone: bool = True, entered: Any = None, node: dict[str, Any] | None = None, **fields: Any) -> Change:
    world = running(**fields)
    lost = a_node("n1", code_version="v1", **(node or {}))
    return does(world, rescue, node=lost, by="n2", process_is_gone=gone, entered=entered)


def dead(**fields: Any) -> World:
    letter = DeadLetter(
        run=7, worker="a", cause=Cause.ERROR, error_type="ValueError", entered_at=at("11:00"), has_payload=True
    )
    payload = {"payload": b'{"x":1}', "digest": "d", "traceparent": "00-trace", "priority": "high"}
    run = a_run("a", Status.DEAD, id=7, **payload)
    return a_snapshot(
        run, workers=[a_worker("a", start_within_s=60.0, deadline_s=600.0)], letters=[replace(letter, **fields)]
    )


def crashes(number: int) -> tuple[Attempt, ...]:
    return tuple(
        Attempt(number=n, node="n1", started_at=at("11:00"), ended_at=at("11:01"), duration_s=60.0, cause=Cause.CRASH)
        for n in range(1, number + 1)
    )


def nodes_that_differ() -> World:
    known = Declarations((Declaration("k1", 1, at("06:00")), Declaration("k2", 2, at("07:00"))), "k2")
    world = a_snapshot(
        workers=[replace(a_worker("a"), declarations=known)],
        nodes=[
            a_node("n1", "a", declares={"a": "k1"}, resources={"db": "3"}),
            a_node("n2", "a", declares={"a": "k2"}, resources={"db": "4"}),
        ],
        resources={"db": 4},
    )
    world.size_declarations = {
        "db": Declarations((Declaration("3", 1, at("06:00")), Declaration("4", 2, at("07:00"))), "4")
    }
    return world


def set_forward() -> Change:
    """Of everything that lasts or is timed there is one."""
    world = a_snapshot(
        a_run(
            "a",
            RUNNING,
            since=at("11:59"),
            heartbeat_at=NOON,
            deadline_at=after(9),
            place_at=at("11:30"),
            zombie_since=at("11:59:30"),
        ),
        an_occurrence("hourly", due_at=at("12:30")),
        an_occurrence("cron", due_at=at("13:00")),
        an_occurrence("hourly", due_at=at("12:01"), occurs_at=at("11:30"), attempt=1),
        an_occurrence("cron", due_at=at("12:02"), occurs_at=NOON, attempt=2),
        workers=[a_worker("a", disabled=AUTO), a_worker("hourly", every=3600.0), a_worker("cron", cron="0 * * * *")],
        records={
            "a": a_record(
                ok=False,
                last_error_at=at("11:10"),
                last_success_at=at("10:00"),
                last_success_started_at=at("09:59"),
                tokens=1.0,
                tokens_at=NOON,
            ),
            "hourly": a_record(ok=True, anchor_at=at("06:30"), last_instant=at("11:30")),
            "cron": a_record(ok=True, occurs_at=at("12:00"), last_instant=NOON),
        },
        breakers=[a_breaker("x")],
        nodes=[a_node("n1", held_since_s=10.0), a_node("n2", boot="booted-1000")],
    )
    mark = ClockMark("boot-1", 0, 600_000_000)
    fired = {"hourly": [at("11:30")], "cron": [NOON]}
    return does(
        world, clock_was_set, now=after(600), step_us=600_000_000, mark=mark, fired=fired, node="n1", leases_too=False
    )


SCENARIOS: dict[str, Callable[[], Change]] = {
    # what callers ask for
    "trigger": lambda: triggered(Request("a")),
    "trigger with everything": lambda: triggered(
        Request("a", b"{}", "d", "k", 5.0, None, None, by="ann", traceparent="00-trace", masked=((1,),)),
        start_within_s=60.0,
        deadline_s=600.0,
        priority="high",
    ),
    "trigger at an instant": lambda: triggered(Request("a", at=after(90), by="ann")),
    "trigger by force": lambda: triggered(Request("a", force=True), disabled="ann"),
    "trigger with a name and by force of a worker that is enabled": lambda: triggered(
        Request("a", force=True, by="ann")
    ),
    "cancel a waiting run": lambda: does(waiting(1), control.cancel, run_id=1, by="ann", reason="late"),
    "cancel a running run": lambda: does(running(), control.cancel, run_id=1, by="ann", reason="late"),
    "disable": lambda: does(
        a_snapshot(workers=[a_worker("a"), a_worker("b", depends_on=["a"])]),
        control.disable,
        name="a",
        by="ann",
        reason="slow",
    ),
    "enable": lambda: does(
        a_snapshot(
            workers=[a_worker("a", disabled=AUTO, breaker="x", every=3600.0)],
            records={"a": a_record(ok=False, streak=5, last_instant=at("10:00"), anchor_at=at("06:00"))},
            breakers=[a_breaker("x", failures=3)],
        ),
        control.enable,
        name="a",
        by="ann",
    ),
    "forget": lambda: does(a_snapshot(a_run("a", id=1), a_run("a", id=2)), control.forget, name="a", live=(), by="ann"),
    "drain": lambda: without_ids(a_snapshot(nodes=[a_node("n1")]), control.drain, wanted="host:n1", by="ann"),
    "prefer a node": lambda: without_ids(
        nodes_that_differ(), control.prefer, wanted="n1", worker=None, live=("n1", "n2"), by="ann"
    ),
    "prefer a node for a worker": lambda: without_ids(
        nodes_that_differ(), control.prefer, wanted="n1", worker="a", live=("n1", "n2"), by="ann"
    ),
    "replay": lambda: does(dead(), control.replay, run_id=7, by="ann", delay_s=30.0),
    "resolve": lambda: without_ids(dead(), control.resolve, run_id=7, by="ann", note="done"),
    "discard a superseded one": lambda: without_ids(
        dead(state="superseded"), control.discard, run_id=7, by="ann", note=""
    ),
    # starts
    "claim": lambda: granted(a_run("a", due_at=at("11:58")), {}),
    "claim a retry": lambda: granted(
        a_run("a", attempt=2, degraded=True, progress=Progress(1.0, at=NOON), heartbeat_at=NOON, give_up_at=after(9)),
        {},
    ),
    "claim a probe with a breaker": lambda: granted(
        a_run("a"), {"breaker": "x"}, probe=True, fallback=False, breakers=[a_breaker("x", until=NOON)]
    ),
    "claim a probe of a disabled worker": lambda: granted(a_run("a"), {"disabled": AUTO}, probe=True),
    "claim a fallback": lambda: granted(
        a_run("a"), {"breaker": "x", "fallback": True}, fallback=True, breakers=[a_breaker("x")]
    ),
    "claim with a rate": lambda: granted(
        a_run("a"), {"rate": Rate(10, 60.0)}, records={"a": a_record(tokens=4.0, tokens_at=at("11:59:54"))}
    ),
    "claim an occurrence that has missed some": lambda: granted(
        an_occurrence("a", due_at=at("09:00")),
        {"every": 3600.0},
        records={"a": a_record(anchor_at=at("06:00"), last_instant=at("09:00"))},
    ),
    "claim an occurrence that is too late": lambda: granted(
        an_occurrence("a", due_at=at("09:30")),
        {"every": 3600.0, "misfire": "skip"},
        records={"a": a_record(anchor_at=at("06:30"), last_instant=at("09:30"))},
    ),
    "skip for an upstream": lambda: does(
        a_snapshot(
            an_occurrence("a", id=5, due_at=NOON),
            workers=[a_worker("a", every=3600.0)],
            records={"a": a_record(ok=True, run=4, anchor_at=at("06:00"), last_instant=NOON)},
        ),
        skip_for_dependency,
        run=an_occurrence("a", id=5, due_at=NOON),
    ),
    "skip for an upstream an earlier one than the latest": lambda: does(
        a_snapshot(
            an_occurrence("a", id=5, due_at=at("10:00")),
            workers=[a_worker("a", every=3600.0)],
            records={"a": a_record(ok=True, run=6, anchor_at=at("06:00"), last_instant=at("10:00"))},
        ),
        skip_for_dependency,
        run=an_occurrence("a", id=5, due_at=at("10:00")),
    ),
    "skip for an upstream the first run of all": lambda: does(
        a_snapshot(
            an_occurrence("a", id=5, due_at=NOON),
            workers=[a_worker("a", every=3600.0)],
            records={"a": a_record(anchor_at=at("06:00"), last_instant=NOON)},
        ),
        skip_for_dependency,
        run=an_occurrence("a", id=5, due_at=NOON),
    ),
    # ends
    "success": lambda: settled(running(), OK),
    "success with everything": lambda: settled(
        running(
            worker={"breaker": "x"},
            key="k",
            digest="d",
            records={"a": a_record(ok=False, streak=3, owes_letters=True)},
            letters=[
                DeadLetter(
                    run=7, worker="a", cause=Cause.ERROR, error_type="E", entered_at=at("11:00"), has_payload=False
                )
            ],
            breakers=[a_breaker("x", BreakerMode.HALF_OPEN)],
            probe=True,
            others=[a_worker("b", after=("a",))],
        ),
        Succeeded(result=b"1", result_error="why"),
    ),
    "success of a forced run of a disabled worker": lambda: settled(
        running(worker={"disabled": AUTO}, forced=True), OK
    ),
    "success of an occurrence": lambda: settled(
        running(
            make=an_occurrence,
            worker={"every": 3600.0, "concurrency": 1},
            records={"a": a_record(anchor_at=at("06:00"), last_instant=NOON)},
        ),
        OK,
    ),
    "success of an iteration that idles": lambda: settled(
        running(make=an_iteration, worker={"continuous": True, "pause_s": 1.0}), Succeeded(idle_s=30.0)
    ),
    "failure that is retried": lambda: settled(running(deadline_at=after(900)), FAILED),
    "failure that says when": lambda: settled(
        running(place_at=at("11:00"), rescues=2), Failed(BOOM, retry_after_s=7.0)
    ),
    "failure past its deadline": lambda: settled(running(deadline_at=after(5)), Failed(BOOM, retry_after_s=5.0)),
    "failure that opens its breaker": lambda: settled(
        running(worker={"breaker": "x", "breaker_policy": BreakerPolicy(failures=1)}, since=NOON), FAILED
    ),
    "failure of the last attempt": lambda: settled(running(worker={"retry": NO_RETRY}), FAILED),
    "failure of the last attempt of the last run before it is disabled": lambda: settled(
        running(
            worker={"retry": NO_RETRY, "every": 3600.0},
            records={"a": a_record(ok=False, streak=4)},
            others=[a_worker("b", depends_on=["a"])],
        ),
        FAILED,
    ),
    "fatal failure": lambda: settled(running(digest="d", payload=b"{}"), FATAL),
    "failure of an iteration": lambda: settled(running(make=an_iteration, worker={"continuous": True}), FAILED),
    "timeout": lambda: settled(running(), TIMED_OUT),
    "payload that does not fit": lambda: settled(running(), Unfit(BOOM)),
    "crash": lambda: settled(running(), Failed(BOOM, crashed=True)),
    "fifth crash in a row": lambda: settled(
        running(attempt=5, attempts=crashes(4), worker={"retry": replace(NO_RETRY, max_retries=None)}),
        Failed(BOOM, crashed=True),
    ),
    "crash of a run that is tried at most once": lambda: settled(
        running(worker={"at_most_once": True}), Failed(BOOM, crashed=True)
    ),
    "cancelled": lambda: settled(running(cancel=CancelRequest(by="ann", at=at("11:59:30"))), Cancelled()),
    "failed while it was to be cancelled": lambda: settled(
        running(cancel=CancelRequest(by="ann", at=at("11:59:30"))), FAILED
    ),
    "interrupted": lambda: settled(running(deadline_at=after(900), due_at=at("11:50")), Interrupted(reason="shutdown")),
    "interrupted while it was to be cancelled": lambda: settled(
        running(cancel=CancelRequest(by="ann", at=at("11:59:30"))), Interrupted()
    ),
    "interrupted past its timeout": lambda: settled(running(zombie_since=at("11:59:30")), Interrupted()),
    "interrupted though at most once": lambda: settled(running(worker={"at_most_once": True}), Interrupted()),
    "interrupted before it began, though at most once": lambda: settled(
        running(worker={"at_most_once": True}), Interrupted(began=False)
    ),
    "stale report": lambda: settled(running(node="n2"), OK),
    "expired by start_within": lambda: does(
        a_snapshot(a_run("a", id=1)), expire, run=a_run("a", id=1, give_up_at=NOON)
    ),
    "expired by its deadline": lambda: does(
        a_snapshot(a_run("a", id=1)), expire, run=a_run("a", id=1, deadline_at=NOON)
    ),
    # rescues
    "rescued": lambda: rescued(due_at=at("11:50"), deadline_at=after(900)),
    "rescued though nobody knows what became of its node": lambda: rescued(gone=False),
    "rescued and not entered": lambda: rescued(entered=[(1, 2)], rescues=3),
    "rescued the second time": lambda: rescued(rescues=1, entered=[(1, 1)]),
    "rescued the fifth time": lambda: rescued(rescues=4, attempt=5, entered=[(1, 1)]),
    "rescued though at most once": lambda: rescued(worker={"at_most_once": True}),
    "rescued past its timeout": lambda: rescued(zombie_since=at("11:59:30")),
    "rescued while it was to be cancelled": lambda: rescued(cancel=CancelRequest(by="ann", at=at("11:59:30"))),
    # nodes
    "join": lambda: without_ids(a_snapshot(), fleet.join, node=a_node("n3"), lease_s=100.0),
    "renew": lambda: without_ids(a_snapshot(), fleet.renew, node=a_node("n1"), lease_s=200.0),
    "shed": lambda: without_ids(a_snapshot(), fleet.shed, node=a_node("n1"), level=Shed.NORMAL, reason="memory"),
    "leave": lambda: without_ids(a_snapshot(), fleet.leave, node=a_node("n1")),
    # what bodies say
    "heartbeat": lambda: without_ids_of_note(Note(1, "n1", 1)),
    "progress": lambda: without_ids_of_note(Note(1, "n1", 1, progress=Progress(2.0, 4.0, "half", NOON))),
    "masked places": lambda: without_ids_of_note(Note(1, "n1", 1, masked=((1,),))),
    "zombie": lambda: without_ids_of_note(Note(1, "n1", 1, zombie=True)),
    "lines": lambda: keep_lines(running(), NOON, node="n1", lines=(LogLine(1, 1, 1, 1, NOON, "INFO", "x"),))[0],
    # declarations
    "declare": lambda: does(
        a_snapshot(workers=[]),
        declare,
        definitions=[a_worker("a", every=3600.0).definition, a_worker("b", after=("a",), uses={"db": 1}).definition],
        resources={"db": 2},
    ),
    "declare otherwise": lambda: does(
        a_snapshot(
            an_occurrence("a", id=1, due_at=at("12:30")),
            workers=[a_worker("a", every=3600.0)],
            records={"a": a_record(anchor_at=at("06:30"), last_instant=at("12:30"))},
        ),
        declare,
        definitions=[a_worker("a", every=1800.0, priority="high").definition],
        resources={},
    ),
    "the clock is set forward": set_forward,
}


def without_ids_of_note(content: Note) -> Change:
    return apply_note(running(), NOON, note=content)[0]


def of_change(change: Change) -> Iterator[tuple[str, Any]]:
    for field in change.__struct_fields__:
        values = getattr(change, field)
        if values is not None and not isinstance(values, tuple):
            values = (values,)
        for value in values or ():
            yield (type(value).__name__ if field == "events" else field), value


WHOLE = Whole(
    Path(__file__).with_name("whole_changes.txt"),
    {name: lambda make=make: of_change(make()) for name, make in SCENARIOS.items()},
)


@pytest.mark.parametrize("name", SCENARIOS)
def test_all_that_a_rule_writes(name):
    assert WHOLE.made(name) == WHOLE.written()[name]


def test_nothing_is_written_about_what_is_gone():
    assert set(WHOLE.written()) == set(SCENARIOS)


if __name__ == "__main__":
    WHOLE.write()
