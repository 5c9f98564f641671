"""What a session hears of the others: all that they changed, nothing of its own, everything when it has to."""

from __future__ import annotations

import threading
import time

import pytest
from store_values import (
    NODE,
    OTHER,
    a_node,
    a_run,
    a_worker,
    abandon,
    at,
    change_runs,
    ended,
    fetch,
    started,
    store_runs,
    write,
)

from conformance.candidates import CANDIDATES
from shiftboss.core.declarations import Declarations
from shiftboss.core.model import BreakerMode, BreakerState, Record, Sample
from shiftboss.core.policy import Priority
from shiftboss.core.snapshot import Change
from shiftboss.core.value import replace
from shiftboss.ports.cycle import NO_DELTA, Delta
from shiftboss.ports.store import Session, Store

RECORD = Record(streak=2, last_run_at=at(1), ring=tuple(Sample(ok=n % 2 == 0, duration_s=n / 8) for n in range(100)))


def heard(session: Session) -> Delta:
    with session.read() as reader:
        return reader.changes()


def names(delta: Delta) -> list[str]:
    return sorted(state.name for state, _ in delta.workers)


# ── everything ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_first_reading_is_of_everything(session: Session, neighbour: Session):
    state = a_worker("mail", doc="sends", tags=("a",))
    breaker = BreakerState(name="smtp", mode=BreakerMode.OPEN, until=at(30))
    write(
        session,
        runs=(started(a_run(1)), a_run(2, due_at=at(9)), a_run(3, due_at=at(5), priority=Priority.LOW)),
        workers=(state, a_worker("backup")),
        records=(("mail", RECORD),),
        breakers=(breaker,),
        resources=(("warehouse", 2),),
        nodes=(a_node(NODE, executors={"thread": 4}), a_node(OTHER)),
        new={1, 2, 3},
    )
    delta = heard(neighbour)

    assert delta.everything
    assert {s.name: (s, r) for s, r in delta.workers} == {
        "mail": (state, RECORD),
        "backup": (a_worker("backup"), Record()),
    }
    assert delta.breakers == [breaker]
    assert delta.resources == {"warehouse": 2}
    assert delta.nodes == [a_node(NODE, executors={"thread": 4}), a_node(OTHER)]
    assert delta.running == [started(a_run(1))]
    assert delta.waiting == {"mail": at(5)}
    assert list(delta.forgotten) == []


def test_an_empty_store_is_read_in_full_as_well(session: Session):
    delta = heard(session)

    assert delta.everything
    assert (list(delta.workers), delta.waiting, delta.running, delta.nodes) == ([], {}, [], [])
    assert heard(session) is NO_DELTA


def test_after_forget_everything_is_read_again(session: Session):
    write(session, workers=(a_worker(),))
    session.forget()

    assert heard(session).everything
    assert heard(session) is NO_DELTA


def test_the_earliest_due_instant_of_each_worker_is_found_in_any_queue(session: Session):
    runs = [
        a_run(100 * n + p, worker=f"w{n:03}", priority=Priority(p), due_at=at(50 + (n * 7 + p * 3) % 11))
        for n in range(40)
        for p in range(4)
        if (n + p) % 3
    ]
    store_runs(session, *runs, a_run(9000, worker="later", due_at=at(999)), started(a_run(9001, worker="runs")))
    session.forget()
    expected: dict[str, object] = {"later": at(999)}
    for run in runs:
        known = expected.get(run.worker)
        expected[run.worker] = run.due_at if known is None else min(known, run.due_at)  # type: ignore[type-var]

    assert heard(session).waiting == expected


def test_thousands_of_workers_are_read_in_full(session: Session):
    write(session, workers=tuple(a_worker(f"w{n:05}") for n in range(5200)))
    session.forget()

    assert names(heard(session)) == [f"w{n:05}" for n in range(5200)]


# ── what others did ──────────────────────────────────────────────────────────────────────────────────────────────


def test_own_writes_never_come_back(session: Session):
    heard(session)
    write(session, workers=(a_worker(),), runs=(a_run(1),), new={1}, nodes=(a_node(),))
    change_runs(session, started(a_run(1)))

    assert heard(session) is NO_DELTA


def test_a_neighbour_hears_which_workers_changed_and_nothing_twice(session: Session, neighbour: Session):
    write(session, workers=(a_worker("mail"), a_worker("backup")))
    heard(neighbour)
    write(session, records=(("mail", RECORD),))
    delta = heard(neighbour)

    assert not delta.everything
    assert list(delta.workers) == [(a_worker("mail"), RECORD)]
    assert delta.waiting is None
    assert heard(neighbour) is NO_DELTA


@pytest.mark.parametrize("life", ["stored", "started", "moved", "ended"])
def test_whatever_happens_to_a_run_its_worker_counts_as_changed(session: Session, neighbour: Session, life: str):
    write(session, workers=(a_worker("mail"), a_worker("backup")), runs=(a_run(1),), new={1})
    heard(neighbour)
    match life:
        case "stored":
            store_runs(session, a_run(2))
        case "started":
            change_runs(session, started(a_run(1)))
        case "moved":
            change_runs(session, a_run(1, due_at=at(5)))
        case _:
            change_runs(session, ended(a_run(1)))

    assert names(heard(neighbour)) == ["mail"]


def test_every_delta_names_all_claims_and_tells_those_that_are_new_or_changed(session: Session, neighbour: Session):
    claims = [started(a_run(n)) for n in range(1, 5)]
    write(session, workers=(a_worker(),), runs=(*claims, a_run(5)), new={1, 2, 3, 4, 5})
    first = heard(neighbour)
    changed = replace(claims[2], attempt=2)
    change_runs(session, ended(claims[0]), changed, started(a_run(5), fence=7))
    second = heard(neighbour)

    assert (first.claimed, first.running) == ([1, 2, 3, 4], claims)
    assert (second.claimed, second.running) == ([2, 3, 4, 5], [changed, started(a_run(5), fence=7)])


def test_a_delta_brings_the_lanes_of_changed_workers_when_they_are_asked_for(session: Session, neighbour: Session):
    write(session, workers=(a_worker("mail"), a_worker("report"), a_worker("idle")))
    with neighbour.read() as reader:
        assert reader.changes(lanes=3).lanes == {}  # a full reading: of thousands, most are not needed
    store_runs(session, *(a_run(n, due_at=at(10 - n)) for n in range(1, 6)), a_run(6, worker="report"))
    with neighbour.read() as reader:
        lanes = reader.changes(lanes=3).lanes

    assert sorted(lanes) == ["mail", "report"]
    assert [run.id for run in lanes["mail"].heads(1)] == [5, 4, 3]
    assert (lanes["mail"].is_whole, lanes["report"].is_whole) == (False, True)
    assert heard(neighbour) is NO_DELTA


def test_a_declaration_replaces_the_one_before(session: Session, neighbour: Session):
    write(session, workers=(a_worker(timeout_s=1.0),), records=(("mail", RECORD),))
    heard(neighbour)
    write(session, workers=(a_worker(timeout_s=2.0),))

    assert list(heard(neighbour).workers) == [(a_worker(timeout_s=2.0), RECORD)]


def test_breakers_resources_and_nodes_are_heard_of(session: Session, neighbour: Session):
    write(session, breakers=(BreakerState(name="a"), BreakerState(name="b")), nodes=(a_node(NODE), a_node(OTHER)))
    heard(neighbour)
    opened = BreakerState(name="b", mode=BreakerMode.OPEN, window=(True, False))
    write(
        session,
        breakers=(opened,),
        resources=(("warehouse", 3),),
        nodes=(a_node(NODE, lag_s=0.5),),
        gone_nodes=(OTHER,),
    )
    delta = heard(neighbour)

    assert delta.breakers == [opened]
    assert delta.resources == {"warehouse": 3}
    assert delta.size_declarations == {}
    assert delta.nodes == [a_node(NODE, lag_s=0.5)]


def test_which_sizes_of_a_resource_were_declared_is_kept_beside_it(session: Session, neighbour: Session):
    """M7: in the order in which they were first seen, with a name and keys of any letters."""
    name, declarations = 'ware"house\\', Declarations().met("2", at(1)).met("3.ab12cd", at(2))
    write(session, resources=((name, 2), ("plain", 1)), size_declarations=((name, declarations),))
    first = heard(neighbour)
    write(session, size_declarations=((name, declarations.chosen("2", at(3))),))
    second = heard(neighbour)

    assert (first.resources, first.size_declarations) == ({name: 2, "plain": 1}, {name: declarations})
    assert (second.resources, second.size_declarations) == (
        {name: 2, "plain": 1},
        {name: declarations.chosen("2", at(3))},
    )


def test_a_forgotten_worker_is_named_and_gone(session: Session, neighbour: Session):
    write(session, workers=(a_worker("mail"), a_worker("backup")), records=(("mail", RECORD),))
    heard(neighbour)
    write(session, forgotten=("mail",))
    delta = heard(neighbour)

    assert list(delta.forgotten) == ["mail"]
    assert names(delta) == []
    neighbour.forget()
    assert names(heard(neighbour)) == ["backup"]


def test_a_worker_that_was_forgotten_begins_anew(session: Session, neighbour: Session):
    write(session, workers=(a_worker(),), records=(("mail", RECORD),))
    write(session, forgotten=("mail",))
    write(session, runs=(a_run(1),), records=(("mail", RECORD),), new={1})
    heard(neighbour)
    write(session, workers=(a_worker(doc="again"),))

    assert list(heard(neighbour).workers) == [(a_worker(doc="again"), Record())]


def test_a_state_and_its_record_may_arrive_in_one_change(session: Session, neighbour: Session):
    write(session, workers=(a_worker(),), records=(("mail", RECORD),), runs=(a_run(1),), new={1})

    assert list(heard(neighbour).workers) == [(a_worker(), RECORD)]


def test_a_neighbours_commit_before_ours_is_not_lost(session: Session, neighbour: Session):
    """Ours does not hide what was committed since we last looked, also when we commit without looking."""
    write(session, workers=(a_worker("mail"), a_worker("backup")))
    heard(neighbour)
    write(session, records=(("mail", RECORD),))
    with neighbour.begin() as tx:
        tx.write(Change(nodes=(a_node(),)), new=())

    assert "mail" in names(heard(neighbour))


def test_a_delta_that_was_read_in_a_failed_transaction_comes_again(session: Session, neighbour: Session):
    heard(neighbour)
    write(session, workers=(a_worker(),))
    seen = abandon(neighbour, Change())

    assert names(seen) == names(heard(neighbour)) == ["mail"]


def test_what_was_rolled_back_is_never_heard_of(session: Session, neighbour: Session):
    write(session, workers=(a_worker(),), breakers=(BreakerState(name="a"),))
    heard(neighbour)
    abandon(
        session,
        Change(
            workers=(a_worker(doc="new"), a_worker("other")),
            records=(("mail", RECORD),),
            breakers=(BreakerState(name="a", failures=3),),
            nodes=(a_node(),),
            resources=(("x", 1),),
            runs=(a_run(1),),
        ),
        new={1},
    )

    assert heard(neighbour) is NO_DELTA
    neighbour.forget()
    delta = heard(neighbour)
    assert list(delta.workers) == [(a_worker(), Record())]
    assert (delta.breakers, delta.nodes, delta.resources) == ([BreakerState(name="a")], [], {})


# ── waiting for commits ─────────────────────────────────────────────────────────────────────────────────────────────

FOREVER_S = 60.0  # a test that waits this long has failed


def ends(session: Session) -> bool:
    """Whether a wait ends before its time is up."""
    began_s = time.monotonic()
    session.wait(FOREVER_S)
    return time.monotonic() - began_s < FOREVER_S


def lasts(session: Session, seconds: float) -> bool:
    """Whether a wait goes on until its time is up."""
    began_s = time.monotonic()
    session.wait(seconds)
    return time.monotonic() - began_s >= seconds


def test_a_wake_up_before_the_wait_is_remembered(session: Session):
    session.wake()

    assert ends(session)


def test_a_wake_up_from_another_thread_ends_the_wait(session: Session):
    waiter = threading.Thread(target=session.wait, args=(10 * FOREVER_S,), daemon=True)
    waiter.start()
    session.wake()
    waiter.join(FOREVER_S)

    assert not waiter.is_alive()


def test_a_wake_up_is_used_up_by_one_wait(session: Session):
    """Two wake-ups before a wait are one; after it a wait lasts until its time is up, or news of a commit comes."""
    session.wake()
    session.wake()
    assert ends(session)

    assert any(lasts(session, 0.02) for _ in range(100))
    session.wake()
    assert ends(session)


def test_a_neighbours_commit_ends_the_wait(session: Session, neighbour: Session):
    heard(session)
    waiter = threading.Thread(target=session.wait, args=(10 * FOREVER_S,), daemon=True)
    waiter.start()
    write(neighbour, nodes=(a_node(),))
    waiter.join(FOREVER_S)

    assert not waiter.is_alive()


def test_a_commit_between_the_look_and_the_wait_is_not_missed(session: Session, neighbour: Session):
    heard(session)
    write(neighbour, nodes=(a_node(),))

    assert ends(session)
    assert heard(session).nodes == [a_node()]


@pytest.mark.parametrize("timeout_s", [0.0, -1.0])
def test_a_wait_of_no_time_returns_at_once(session: Session, timeout_s: float):
    heard(session)
    began_s = time.monotonic()
    session.wait(timeout_s)

    assert time.monotonic() - began_s < FOREVER_S


def test_only_the_commits_of_others_count_as_changes_elsewhere(session: Session, neighbour: Session):
    heard(session)
    write(session, nodes=(a_node(),))
    before = session.changed_elsewhere()
    write(neighbour, nodes=(a_node(OTHER),))
    after = session.changed_elsewhere()
    heard(session)

    assert (before, after, session.changed_elsewhere()) == (False, True, False)


# ── sessions of one store ────────────────────────────────────────────────────────────────────────────────────────


def test_writers_in_many_threads_are_serialised(store: Store):
    def work(worker: str) -> None:
        session = store.session()
        for _ in range(25):
            with session.begin() as tx:
                run_id = next(tx.ids())
                fences.append(tx.number)
                tx.write(Change(runs=(a_run(run_id, worker),)), new={run_id})
        session.close()

    fences: list[int] = []
    threads = [threading.Thread(target=work, args=(f"w{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(fences) == list(range(1, 101))
    assert len(fetch(store.session(), *range(1, 101))) == 100


def test_a_closed_session_says_so(session: Session):
    session.close()
    with pytest.raises(Exception, match="closed"), session.begin():
        pass


@pytest.mark.parametrize("candidate", [each for each in CANDIDATES if each.writes_beside_views], indirect=True, ids=str)
def test_a_view_does_not_change_while_it_is_open(session: Session, neighbour: Session):
    store_runs(session, a_run(1))
    with neighbour.read() as reader:
        before = reader.runs([1, 2])
        change_runs(session, started(a_run(1)))
        store_runs(session, replace(a_run(1), id=2))
        assert reader.runs([1, 2]) == before
    assert len(fetch(neighbour, 1, 2)) == 2
