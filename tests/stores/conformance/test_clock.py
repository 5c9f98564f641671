"""Every store moves its waiting runs as the rule says when the clock was set (O4)."""

from __future__ import annotations

from typing import Any

import pytest
from store_values import NOON, a_run, a_worker, abandon, at, store_runs, write

from shiftboss.core.model import ClockMark, Origin, Run, Status
from shiftboss.core.shift import Shift, shifted
from shiftboss.core.snapshot import Change
from shiftboss.core.value import FAR_END, replace
from shiftboss.ports.store import Session


def an_occurrence(run_id: int, worker: str = "mail", **facts: Any) -> Run:
    return a_run(run_id, worker, origin=Origin.OCCURRENCE, **facts)


WAITING = [
    a_run(1, due_at=at(5.000001), occurs_at=at(5.000001)),
    a_run(2, due_at=at(5), give_up_at=at(65.25), deadline_at=at(75)),
    a_run(3, due_at=at(4.5), attempt=1, first_started_at=at(-1)),
    a_run(4, due_at=at(1800), occurs_at=at(1800), by_calendar=True, give_up_at=at(1900), deadline_at=at(2000.000007)),
    a_run(5, due_at=at(-5), occurs_at=at(-5), by_calendar=True, give_up_at=at(55)),
    a_run(6, due_at=at(2), by_calendar=True, attempt=1, first_started_at=at(-1), deadline_at=at(20)),
    a_run(7, due_at=FAR_END, occurs_at=FAR_END),
    a_run(8, due_at=at(0), key='quote " and "due_at":"2026-01-01T00:00:00Z"', by='{"due_at":"x"}'),
    an_occurrence(9, due_at=at(3), attempt=1, first_started_at=at(-1)),
    a_run(10, origin=Origin.ITERATION, due_at=at(30), occurs_at=at(30)),
    a_run(13, due_at=at(2), place_at=at(-70.000003), first_started_at=at(-1)),  # interrupted: both move (P2)
    a_run(14, due_at=at(7.5), place_at=at(-8), rescues=2, first_started_at=at(-1)),
]
STANDS = [
    an_occurrence(11, due_at=at(600)),  # the rule moves it itself
    a_run(12, status=Status.RUNNING, due_at=at(-9)),
]


@pytest.mark.parametrize("step_us", [3_600_000_001, -3_600_000_000, 3 * 86_400_000_000, -3 * 86_400_000_000])
def test_all_waiting_runs_move_at_once(session: Session, step_us: int):
    """O4"""
    write(session, workers=(a_worker("mail"),))
    store_runs(session, *WAITING, *STANDS)
    shift = Shift(step_us, at(step_us / 1e6))
    mark = ClockMark("boot", 17, step_us)
    with session.begin() as tx:
        assert tx.clock_mark() is None
        tx.write(Change(clock=mark, shift=shift), new=())
    with session.read() as reader:
        found = {run.id: run for run in reader.runs(range(1, 15))}
        lane = reader.lanes(["mail"], limit=100)["mail"]
        assert reader.clock_mark() == mark

    assert {run.id: found[run.id] for run in WAITING} == {run.id: shifted(run, shift) for run in WAITING}
    assert [found[11], found[12].due_at] == [STANDS[0], STANDS[1].due_at]
    heads = [run.ranks_from for run in lane.heads(1)]
    waiting = [run for run in found.values() if run.status is Status.PENDING and run.rescues < 2]
    assert heads == sorted(run.ranks_from for run in waiting)


def test_neighbours_are_told_and_the_earliest_end_is_known(session: Session, neighbour: Session):
    """O4"""
    write(session, workers=(a_worker("mail"),))
    store_runs(session, WAITING[1])
    with neighbour.read() as reader:
        reader.changes()
    with session.begin() as tx:
        tx.write(Change(clock=ClockMark("boot", 0, 60_000_000), shift=Shift(60_000_000, at(60))), new=())
    with neighbour.read() as reader:
        delta = reader.changes(lanes=10)
        assert reader.next_give_up() == at(65.25 + 60)

    assert [run.due_at for run in delta.lanes["mail"]] == [at(65)]


def test_a_transaction_knows_the_mark_and_a_rollback_forgets_it(session: Session):
    with session.begin() as tx:
        tx.write(Change(clock=ClockMark("boot", 1)), new=())
    abandon(session, Change(clock=ClockMark("boot", 2)))
    with session.begin() as tx:
        assert tx.clock_mark() == ClockMark("boot", 1)


def test_instants_that_ended_runs_have_as_their_own(session: Session):
    """O1"""
    write(session, workers=(a_worker("mail"), a_worker("news")))
    runs = [an_occurrence(n, due_at=at(60 * n), first_started_at=at(60 * n), attempt=1) for n in range(1, 4)]
    runs.append(an_occurrence(4, worker="news", due_at=at(300), first_started_at=at(300), attempt=1))
    runs.append(an_occurrence(5, due_at=at(600)))  # it never started
    store_runs(session, *runs)
    ended = tuple(replace(run, status=Status.SUCCEEDED, finished_at=NOON) for run in runs[:4])
    with session.begin() as tx:
        tx.write(Change(runs=(*ended, replace(runs[4], status=Status.CANCELLED, finished_at=NOON))), new=())
    with session.read() as reader:
        assert {
            name: sorted(found) for name, found in reader.fired(["mail", "news", "none"], after=at(60)).items()
        } == {
            "mail": [at(120), at(180)],
            "news": [at(300)],
        }
        assert reader.fired([], after=at(0)) == {}
