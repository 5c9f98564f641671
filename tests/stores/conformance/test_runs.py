"""Runs come back as they were written, wherever they are in their life; their bytes to the byte."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from itertools import islice

import pytest
from store_values import (
    BYTES,
    NOON,
    a_claim,
    a_run,
    a_worker,
    abandon,
    at,
    change_runs,
    ended,
    failed,
    fetch,
    started,
    store_runs,
    write,
)

from shiftboss.core.model import CancelRequest, Origin, Progress, Run, Status
from shiftboss.core.policy import Priority
from shiftboss.core.snapshot import Change
from shiftboss.core.value import replace
from shiftboss.errors import StoreRejected
from shiftboss.ports.store import Session

FULL_RUN = a_run(
    1,
    priority=Priority.HIGH,
    due_at=at(5),
    occurs_at=at(-1),
    covers_until=at(2),
    missed=3,
    attempt=2,
    key="order-7",
    payload=BYTES,
    forced=True,
    degraded=True,
    give_up_at=at(60),
    deadline_at=at(90),
    first_started_at=at(1),
    interruptions=1,
    rescues=2,
    cancel=CancelRequest(by="ada", at=NOON, reason="wrong file"),
    progress=Progress(done=3, total=10, message="page 3"),
    heartbeat_at=at(2),
    replay_of=7,
    caused_by=8,
    by="ada",
)


def test_a_run_comes_back_with_everything_that_was_written(session: Session):
    store_runs(session, FULL_RUN)

    assert fetch(session, 1) == [FULL_RUN]


def test_a_finished_run_comes_back_with_payload_and_result(session: Session):
    store_runs(session, FULL_RUN)
    over = ended(FULL_RUN, result=b"\x00result")
    change_runs(session, over)

    assert fetch(session, 1) == [over]


def test_missing_runs_are_left_out(session: Session):
    store_runs(session, a_run(1), a_run(2))

    assert [run.id for run in fetch(session, 2, 3, 1)] == [1, 2]


def test_instants_keep_their_microseconds_and_their_distance(session: Session):
    far = datetime.max.replace(tzinfo=UTC)
    store_runs(session, a_run(1, due_at=far), a_run(2, due_at=datetime(1969, 7, 20, 20, 17, 40, 1, tzinfo=UTC)))

    assert fetch(session, 1, 2)[0].due_at == far
    assert fetch(session, 1, 2)[1].due_at.microsecond == 1


def test_an_instant_in_another_zone_is_the_same_instant(session: Session):
    berlin = NOON.astimezone(timezone(timedelta(hours=1)))
    store_runs(session, a_run(1, due_at=berlin))

    assert fetch(session, 1)[0].due_at == NOON


@pytest.mark.parametrize("loaded", [True, False], ids=["payload in memory", "payload not loaded"])
@pytest.mark.parametrize("status", [Status.SUCCEEDED, Status.DEAD, Status.CANCELLED])
def test_payload_bytes_are_the_same_through_a_whole_life(session: Session, loaded: bool, status: Status):
    waiting = a_run(1, payload=BYTES)
    store_runs(session, waiting)
    seen = [fetch(session, 1)[0].payload]
    run = waiting if loaded else replace(waiting, payload=None)
    for step in (started(run), replace(run, due_at=at(9)), started(run, fence=2), ended(started(run), status)):
        change_runs(session, step)
        seen.append(fetch(session, 1)[0].payload)

    assert seen == [BYTES] * 5
    assert fetch(session, 1)[0].status is status


def test_a_payload_survives_a_start_and_an_end_in_one_transaction(session: Session):
    with session.begin() as tx:
        tx.write(Change(runs=(a_run(1, payload=BYTES),)), new={1})
        tx.write(Change(runs=(started(a_run(1, payload=BYTES)),)), new=())
        tx.write(Change(runs=(ended(replace(a_run(1, payload=BYTES), payload=None)),)), new=())

    assert fetch(session, 1)[0].payload == BYTES


def test_a_run_that_is_stored_already_ended_keeps_its_payload(session: Session):
    over = ended(a_run(1, payload=BYTES), Status.CANCELLED)
    store_runs(session, over)

    assert fetch(session, 1) == [over]


def test_an_empty_payload_is_not_no_payload(session: Session):
    store_runs(session, a_run(1, payload=b""), a_run(2))

    with session.read() as reader:
        assert reader.payloads([1, 2]) == {1: b""}


def test_a_whole_batch_moves_through_its_life(session: Session):
    """More runs than any statement takes at once."""
    runs = [a_run(n, worker=f"w{n % 7}", payload=b"%d" % n if n % 3 else None) for n in range(1, 1501)]
    store_runs(session, *runs)
    change_runs(session, *(started(replace(run, payload=None)) for run in runs))
    change_runs(session, *(ended(started(replace(run, payload=None)), result=b"r%d" % run.id) for run in runs))

    found = fetch(session, *(run.id for run in runs))
    assert [run.id for run in found] == list(range(1, 1501))
    assert all(run.status is Status.SUCCEEDED for run in found)
    assert [run.payload for run in found] == [run.payload for run in runs]
    assert [run.result for run in found] == [b"r%d" % n for n in range(1, 1501)]


def test_payloads_are_answered_for_any_number_of_runs(session: Session):
    runs = [a_run(n, payload=b"p%d" % n) for n in range(1, 701)]
    store_runs(session, *runs)

    with session.read() as reader:
        assert reader.payloads(range(1, 800)) == {n: b"p%d" % n for n in range(1, 701)}
        assert reader.payloads([]) == {}


def test_lanes_and_deltas_carry_no_payload_so_that_forgetting_to_load_it_shows(session: Session, neighbour: Session):
    store_runs(session, a_run(1, payload=BYTES), started(a_run(2, payload=BYTES)))

    with neighbour.read() as reader:
        running = reader.changes().running
        lane = reader.lanes(["mail"], limit=10)["mail"]
    assert [run.payload for run in running] == [None]
    assert [run.payload for run in lane] == [None]


# ── ids and numbers ──────────────────────────────────────────────────────────────────────────────────────────────


def test_ids_go_on_where_the_last_transaction_stopped(session: Session, neighbour: Session):
    with session.begin() as tx:
        first = list(islice(tx.ids(), 3))
        tx.write(Change(runs=tuple(a_run(n) for n in first)), new=first)
    with neighbour.begin() as tx:
        second = list(islice(tx.ids(), 2))

    assert first == [1, 2, 3]
    assert second == [4, 5]


def test_two_iterators_of_one_transaction_never_hand_out_the_same_id(session: Session):
    with session.begin() as tx:
        one, two = tx.ids(), tx.ids()
        handed_out = [next(one), next(two), next(one), next(two)]

    assert handed_out == [1, 2, 3, 4]


def test_every_commit_has_a_larger_number_than_all_before(session: Session, neighbour: Session):
    numbers = [
        write(who, runs=(a_run(n),), new={n}) for n, who in enumerate([session, neighbour, neighbour, session], 1)
    ]

    assert numbers == [1, 2, 3, 4]


def test_a_transaction_that_wrote_nothing_is_no_news(session: Session, neighbour: Session):
    write(session, workers=(a_worker(),))
    with neighbour.read() as reader:
        reader.changes()
    with session.begin() as tx:
        looked = tx.number
    assert not neighbour.changed_elsewhere()
    with session.begin() as tx:
        assert tx.number >= looked


# ── all or nothing ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_rollback_leaves_nothing(session: Session, neighbour: Session):
    store_runs(session, a_run(1, payload=BYTES, key="k", give_up_at=at(9)), started(a_run(2)))
    changed = (started(a_run(1)), ended(started(a_run(2))), a_run(3, payload=b"x", key="other"))
    abandon(session, Change(runs=changed), new={3})

    with neighbour.read() as reader:
        assert [run.status for run in reader.runs([1, 2, 3])] == [Status.PENDING, Status.RUNNING]
        assert [run.id for run in reader.lanes(["mail"], limit=9)["mail"]] == [1]
        assert [run.id for run in reader.keyed([("mail", "k"), ("mail", "other")])] == [1]
        assert reader.payloads([1, 2, 3]) == {1: BYTES}
        assert [run.id for run in reader.expiring(at(10), limit=9)] == [1]
    with session.begin() as tx:
        assert next(tx.ids()) >= 1
        assert tx.number >= 2


def test_a_transaction_sees_its_own_writes(session: Session):
    with session.begin() as tx:
        tx.write(Change(runs=(a_run(1, payload=BYTES, key="k"), started(a_run(2)))), new={1, 2})
        assert [run.id for run in tx.runs([1, 2])] == [1, 2]
        assert [run.id for run in tx.lanes(["mail"], limit=9)["mail"]] == [1]
        assert tx.payloads([1]) == {1: BYTES}
        tx.write(Change(runs=(ended(a_run(1, key="k")),)), new=())
        assert [run.status for run in tx.keyed([("mail", "k")])] == [Status.SUCCEEDED]
        assert len(tx.lanes(["mail"], limit=9)["mail"]) == 0


def test_a_refused_write_takes_the_whole_transaction_with_it_even_when_it_is_caught(session: Session):
    store_runs(session, a_run(1, key="k"))

    def go_on_regardless() -> None:
        with session.begin() as tx:
            tx.write(Change(runs=(a_run(2),)), new={2})
            with suppress(StoreRejected):
                tx.write(Change(runs=(a_run(3, key="k"),)), new={3})

    with pytest.raises(StoreRejected):
        go_on_regardless()
    assert [run.id for run in fetch(session, 1, 2, 3)] == [1]


# ── walls ────────────────────────────────────────────────────────────────────────────────────────────────────────


def an_occurrence(run_id: int, **facts: object) -> Run:
    return a_run(run_id, origin=Origin.OCCURRENCE, **facts)


def assert_refused(session: Session, *runs: Run, new: bool = True) -> None:
    with pytest.raises(StoreRejected):
        write(session, runs=runs, new={run.id for run in runs} if new else ())


def test_a_second_live_run_with_the_same_key_is_refused(session: Session):
    store_runs(session, started(a_run(1, key="k")))

    assert_refused(session, a_run(2, key="k"))
    store_runs(session, a_run(3, key="other"), a_run(4, "backup", key="k"))
    assert len(fetch(session, 1, 2, 3, 4)) == 3


def test_a_key_is_free_again_in_the_very_commit_in_which_its_run_ends(session: Session):
    store_runs(session, started(a_run(1, key="k")))
    write(session, runs=(a_run(2, key="k"), ended(started(a_run(1, key="k")))), new={2})

    with session.read() as reader:
        assert [run.id for run in reader.keyed([("mail", "k")])] == [2]


def test_a_second_occurrence_of_an_instant_is_refused(session: Session):
    store_runs(session, an_occurrence(1), a_run(2))

    assert_refused(session, an_occurrence(3))
    store_runs(session, an_occurrence(4, due_at=at(60)), an_occurrence(5, worker="backup"))


def test_an_occurrence_that_has_run_is_not_stored_again(session: Session):
    store_runs(session, started(an_occurrence(1)))
    change_runs(session, ended(started(an_occurrence(1))))

    assert_refused(session, an_occurrence(2))


def test_an_occurrence_that_never_started_leaves_its_instant_free(session: Session):
    store_runs(session, an_occurrence(1))
    change_runs(session, ended(an_occurrence(1), Status.SKIPPED))
    store_runs(session, an_occurrence(2))

    assert [run.status for run in fetch(session, 1, 2)] == [Status.SKIPPED, Status.PENDING]


def test_an_instant_may_be_replaced_within_one_commit(session: Session):
    """M4: a changed schedule replaces the occurrence that has not started."""
    store_runs(session, an_occurrence(1))
    write(session, runs=(an_occurrence(2), ended(an_occurrence(1), Status.SKIPPED)), new={2})

    assert [run.status for run in fetch(session, 1, 2)] == [Status.SKIPPED, Status.PENDING]


def test_no_run_ends_twice(session: Session):
    store_runs(session, started(a_run(1)))
    change_runs(session, ended(started(a_run(1))))

    assert_refused(session, failed(started(a_run(1))), new=False)
    assert fetch(session, 1)[0].status is Status.SUCCEEDED


def test_no_run_rises_from_the_history(session: Session):
    store_runs(session, started(a_run(1)))
    change_runs(session, ended(started(a_run(1))))

    assert_refused(session, started(a_run(1)), new=False)


def test_a_run_without_a_row_is_not_changed_into_being(session: Session):
    assert_refused(session, started(a_run(1)), new=False)
    assert_refused(session, ended(a_run(1)), new=False)


def test_an_id_is_given_once(session: Session):
    store_runs(session, a_run(1))

    assert_refused(session, a_run(1))


# ── keys, expiry ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_key_finds_the_live_run_first_then_the_newest_success(session: Session):
    for n in (1, 2, 3):
        store_runs(session, started(a_run(n, key="k")))
        change_runs(session, failed(started(a_run(n, key="k"))) if n == 3 else ended(started(a_run(n, key="k"))))

    with session.read() as reader:
        assert [run.id for run in reader.keyed([("mail", "k"), ("mail", "none"), ("backup", "k")])] == [2]
    store_runs(session, a_run(4, key="k"))
    with session.read() as reader:
        assert [run.id for run in reader.keyed([("mail", "k")])] == [4]
        assert reader.keyed([]) == []


def test_a_key_of_failures_alone_finds_nothing(session: Session):
    store_runs(session, started(a_run(1, key="k")))
    change_runs(session, failed(started(a_run(1, key="k"))))

    with session.read() as reader:
        assert reader.keyed([("mail", "k")]) == []


def test_keys_are_texts_not_patterns_or_numbers(session: Session):
    keys = ["007", "7", "%", "a'b", 'a"b', "ü", "null", "1.0", "a", "a\0b", "", "\\"]
    store_runs(session, *(a_run(n, key=key) for n, key in enumerate(keys, 1)))

    with session.read() as reader:
        assert [[run.id for run in reader.keyed([("mail", key)])] for key in keys] == [[n] for n in range(1, 13)]


def test_waiting_runs_expire_in_order_and_running_ones_not(session: Session):
    store_runs(
        session,
        a_run(1, give_up_at=at(30)),
        a_run(2, give_up_at=at(10)),
        a_run(3, give_up_at=at(20)),
        started(a_run(4, give_up_at=at(5))),
        a_run(5),
    )

    with session.read() as reader:
        assert reader.next_give_up() == at(10)
        assert [run.id for run in reader.expiring(at(20), limit=9)] == [2, 3]
        assert [run.id for run in reader.expiring(at(20), limit=1)] == [2]
        assert reader.expiring(at(9), limit=9) == []
    change_runs(session, *(replace(a_run(n), status=Status.RUNNING, claim=a_claim()) for n in (1, 2, 3)))
    with session.read() as reader:
        assert reader.next_give_up() is None
