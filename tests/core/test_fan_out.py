"""Many triggers as one act, by value."""

from __future__ import annotations

from itertools import count

import pytest
from builders import NOON, a_run, a_snapshot, a_worker, at

from shiftboss.core.control import Request, trigger
from shiftboss.core.events import Audit, RunStored
from shiftboss.core.fan_out import trigger_many
from shiftboss.core.model import Disabled, Status
from shiftboss.core.snapshot import NOTHING
from shiftboss.core.value import replace
from shiftboss.errors import (
    DuplicateKey,
    RefusedTrigger,
    TriggersRefused,
    UnknownWorker,
    WorkerDisabled,
    WrongPayload,
)

OFF = Disabled(by="ada", reason="holiday", since=NOON)


def world(*runs, **worker):
    return a_snapshot(*runs, workers=[a_worker(**worker), a_worker("b", priority="low")])


def fan_out(snapshot, *triggers):
    return trigger_many(snapshot, NOON, ids=count(101), triggers=triggers)


def refused_of(snapshot, *triggers):
    with pytest.raises(TriggersRefused) as error:
        fan_out(snapshot, *triggers)
    return error.value


def with_key(snapshot, run):
    snapshot.keyed[run.worker, run.key] = run
    return snapshot


def test_the_runs_are_those_of_as_many_single_triggers():
    """O6: their order is that of the call."""
    requests = (
        Request("a", b"[1]", "one", masked=((),), by=""),
        Request("b", None, None, key="k"),
        Request("a", b"[2]", "two", at=at("13:00"), traceparent="00-1-1-01"),
        Request("a", b"[3]", "three", delay_s=60.0, priority=3),
        Request("a", b"[4]", "four", traceparent="00-2-2-01"),
    )
    change, runs = fan_out(world(deadline_s=600.0), *requests)
    single = []
    for number, request in enumerate(requests, 101):
        single.append(trigger(world(deadline_s=600.0), NOON, ids=iter([number]), request=request)[1])

    assert list(runs) == single
    assert change.runs == runs
    assert change.events == tuple(RunStored(at=NOON, worker=run.worker, run=run.id, origin="trigger") for run in runs)


def test_a_key_with_the_same_payload_is_no_refusal():
    """O5, O6: it gives the run that it made, here or before."""
    earlier = a_run("a", id=7, key="k", digest="one")
    change, runs = fan_out(
        with_key(world(), earlier),
        Request("a", b"[1]", "one", key="k"),
        Request("a", b"[2]", "two", key="new"),
        Request("a", b"[2]", "two", key="new"),
        Request("b", b"[2]", "two", key="new"),
    )

    assert [run.id for run in runs] == [7, 101, 101, 102]
    assert [run.id for run in change.runs] == [101, 102]


def test_a_known_key_is_answered_even_while_the_worker_is_disabled():
    """K5, O5: nothing new is accepted."""
    earlier = a_run("a", id=7, key="k", digest="one")
    _, runs = fan_out(with_key(world(disabled=OFF), earlier), Request("a", b"[1]", "one", key="k"))

    assert [run.id for run in runs] == [7]


def test_the_same_trigger_twice_is_refused_twice():
    """O6: all places are named."""
    twice = [Request("a", b"[1]", "one", key="k")] * 2

    assert [each.place for each in refused_of(world(disabled=OFF), *twice).refused] == [0, 1]
    assert [each.place for each in refused_of(world(max_payload_bytes=1), *twice).refused] == [0, 1]


def test_if_all_are_known_nothing_changes():
    """O6: a repetition stores nothing, and no audit says that it did."""
    earlier = a_run("a", id=7, key="k", digest="one")
    change, runs = fan_out(with_key(world(), earlier), Request("a", b"[1]", "one", key="k", by="ada"))

    assert (change, [run.id for run in runs]) == (NOTHING, [7])


def test_a_key_whose_run_has_ended_badly_makes_a_new_one():
    """O5"""
    dead = a_run("a", Status.DEAD, id=7, key="k", digest="one", finished_at=NOON)
    _, runs = fan_out(with_key(world(), dead), Request("a", b"[1]", "one", key="k"))

    assert [run.id for run in runs] == [101]


def test_any_refusal_refuses_all_and_names_every_place():
    """O6: places count from 0, and each has its own reason."""
    earlier = a_run("a", id=7, key="k", digest="one")
    before = RefusedTrigger(1, "a", WrongPayload("it was refused at the call"))
    error = refused_of(
        with_key(world(max_payload_bytes=3), earlier),
        Request("a", b"[1]", "one"),
        before,
        Request("nobody"),
        Request("a", b"[11]", "eleven"),
        Request("a", b"[2]", "two", key="k"),
        Request("a", b"[3]", "three", key="twice"),
        Request("a", b"[4]", "four", key="twice"),
    )

    assert (error.count, [each.place for each in error.refused]) == (7, [1, 2, 3, 4, 6])
    assert error.refused[0] is before
    assert [type(each.error) for each in error.refused] == [
        WrongPayload,
        UnknownWorker,
        WrongPayload,
        DuplicateKey,
        DuplicateKey,
    ]
    assert "is given at 5 with another payload" in str(error.refused[-1].error)
    assert str(error).startswith(
        "5 of 7 triggers were refused, and nothing is stored: at 1: it was refused at the call; "
    )


def test_the_message_is_bounded_and_the_attribute_is_complete():
    """O6"""
    error = refused_of(world(), *[Request("nobody" * 200)] * 1000)

    assert len(error.refused) == 1000
    assert len(str(error)) < 2000
    assert str(error).endswith("and 995 more, see `refused`")


def test_a_disabled_worker_refuses_them_unless_they_are_forced():
    """K5, O6"""
    disabled = world(disabled=OFF)

    assert isinstance(refused_of(disabled, Request("b"), Request("a")).refused[0].error, WorkerDisabled)
    _, runs = fan_out(disabled, Request("a", force=True, by="ada"), Request("b", force=True, by="ada"))
    assert [run.forced for run in runs] == [True, False]


def test_the_audit_has_one_entry_for_each_worker_with_the_number():
    """A1: of triggers by code only those that are forced."""
    by = {"by": "ada"}
    change, _ = fan_out(world(), Request("a", **by), Request("b", **by), Request("a", **by), Request("a"))

    assert [event for event in change.events if isinstance(event, Audit)] == [
        Audit(at=NOON, worker="a", run=101, by="ada", action="trigger", after="2 runs, 101 to 103"),
        Audit(at=NOON, worker="b", run=102, by="ada", action="trigger"),
    ]
    forced, _ = fan_out(world(disabled=OFF), *[Request("a", force=True, by="ada", at=at("13:00"))] * 2)
    assert forced.events[-1] == Audit(
        at=NOON,
        worker="a",
        run=101,
        by="ada",
        action="trigger",
        before="disabled by ada: holiday",
        after="2 runs, 101 to 102, forced, due 2026-06-01T13:00:00+00:00",
    )


def test_the_audit_says_of_many_only_what_holds_for_all_of_them():
    """A1"""
    auto = world(disabled=replace(OFF, by="auto"))
    soon, later = at("13:00"), at("14:00")

    def audited(snapshot, *triggers):
        return [event.after for event in fan_out(snapshot, *triggers)[0].events if isinstance(event, Audit)]

    assert audited(world(), Request("a", by="ada", at=soon), Request("a", by="ada", at=later)) == ["2 runs, 101 to 102"]
    assert audited(auto, Request("a", by="ada"), Request("a", by="ada", force=True)) == ["2 runs, 101 to 102, forced"]
    assert audited(auto, Request("a", by="ada"), Request("a", by="ada", force=True, at=soon)) == [
        "2 runs, 101 to 102, forced"
    ]
    assert audited(auto, Request("a"), Request("a", force=True)) == ["forced"]


def test_encoded_payloads_say_by_which_key():
    """E1: the snapshot says with which key this process encodes."""
    snapshot = world()
    snapshot.codec_key = "k1"
    _, runs = fan_out(snapshot, Request("a", b"[1]", "one"), Request("a"))

    assert [run.encoded_by for run in runs] == ["k1", ""]
    assert replace(runs[1], id=101, payload=b"[1]", digest="one", encoded_by="k1") == runs[0]
