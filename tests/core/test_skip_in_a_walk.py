"""A skip that is decided in a walk counts in the rest of it."""

from __future__ import annotations

from builders import a_record, a_run, a_snapshot, a_worker, an_occurrence, at, gates, starts

from shiftboss.core.worker import OnFailure, Upstream


def a_chain(**middle):
    """`source` failed, so a due scheduled run of `middle` is skipped, and `last` depends on `middle`."""
    workers = [
        a_worker("source"),
        a_worker("middle", every=60, priority="high", depends_on=[Upstream("source", on_failure=OnFailure.SKIP)]),
        a_worker("last", depends_on=["middle"]),
    ]
    records = {"source": a_record(ok=False), "middle": a_record(occurs_at=at("11:00"), **middle)}
    return a_snapshot(
        an_occurrence("middle", occurs_at=at("11:58"), due_at=at("11:58")),
        a_run("last", occurs_at=at("11:57"), due_at=at("11:59")),
        workers=workers,
        records=records,
    )


def test_what_depends_on_an_occurrence_that_is_skipped_does_not_start_in_the_same_walk():
    """D2, D5: `source` failed, so `middle` is skipped now, and that is a failure for `last`."""
    decision = a_chain(ok=True).decide()

    assert [run.id for run in decision.skips] == [1]
    assert starts(decision) == []
    assert gates(decision, 2) == ["depends_on"]


def test_the_hold_names_the_run_that_was_skipped_and_not_the_one_that_failed_before():
    """A3, D2: the latest run of `middle` is the one that is skipped in this walk."""
    (hold,) = a_chain(ok=False, run=7, last_error_at=at("11:01")).decide().holds[2]

    assert (str(hold), hold.run) == ("waiting for middle: its latest run #1 was skipped", 1)
