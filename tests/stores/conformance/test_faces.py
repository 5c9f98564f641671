"""Lists, counts, letters and events, as people see them; and what retention may take."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from store_values import (
    BYTES,
    NOON,
    FrozenClock,
    a_letter,
    a_run,
    a_worker,
    at,
    change_runs,
    ended,
    failed,
    fetch,
    finish,
    listed,
    started,
    store_runs,
    write,
)

from shiftboss.core.events import Audit, Event, RunEnded, RunStarted, WorkerDisabled, WorkerEnabled
from shiftboss.core.model import DeadLetter, Error, LogLine, Origin, Status
from shiftboss.core.retention import Cutoffs
from shiftboss.core.snapshot import Change
from shiftboss.core.value import replace
from shiftboss.ports.faces import HistoryFilter, LetterFilter
from shiftboss.ports.store import Session


def letters(session: Session, **wanted: object) -> list[int]:
    with session.read() as reader:
        return [letter.run for letter in reader.letters(LetterFilter(**wanted))]  # type: ignore[arg-type]


# ── history ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def busy(session: Session) -> Session:
    """Seven runs of two workers in every status."""
    finish(
        session,
        ended(started(a_run(1, key="k", payload=BYTES)), finished_at=at(10), result=b"1"),
        failed(started(a_run(2)), "KeyError", finished_at=at(30)),
        ended(started(a_run(3, "backup")), finished_at=at(20)),
        ended(started(a_run(4)), Status.CANCELLED, finished_at=at(40)),
        failed(started(a_run(5, "backup")), "ValueError", finished_at=at(50)),
    )
    retrying = a_run(6, "backup", error=Error(type="ValueError"), key="k")
    store_runs(session, retrying, started(a_run(7)))
    return session


def _in_order(given: object) -> object:
    """The same in each process: tests are run by several."""
    match given:
        case dict():
            return {name: _in_order(value) for name, value in given.items()}
        case set() | frozenset():
            return sorted(given)
        case _:
            return given


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, [7, 6, 5, 4, 3, 2, 1]),
        ({"limit": 3}, [7, 6, 5]),
        ({"before": 5, "limit": 3}, [4, 3, 2]),
        ({"before": 1}, []),
        ({"worker": "mail"}, [7, 4, 2, 1]),
        ({"worker": "nobody"}, []),
        ({"status": [Status.DEAD]}, [5, 2]),
        ({"status": {Status.DEAD, Status.CANCELLED}, "worker": "mail"}, [4, 2]),
        ({"status": [Status.SUCCEEDED, Status.RUNNING]}, [7, 3, 1]),
        ({"status": [Status.PENDING]}, [6]),
        ({"status": [Status.PENDING, Status.RUNNING], "worker": "backup"}, [6]),
        ({"status": [Status.SKIPPED]}, []),
        ({"since": at(30)}, [7, 6, 5, 4, 2]),
        ({"since": at(30), "worker": "mail", "status": [Status.DEAD]}, [2]),
        ({"key": "k"}, [6, 1]),
        ({"key": "k", "worker": "mail"}, [1]),
        ({"error_type": "ValueError"}, [5]),
        ({"error_type": "KeyError", "worker": "backup"}, []),
        ({"error_type": "KeyError", "status": [Status.DEAD], "since": at(1), "before": 9}, [2]),
    ],
    ids=lambda given: repr(_in_order(given)),
)
def test_runs_are_listed_newest_first_by_any_condition(busy: Session, wanted: dict[str, object], expected: list[int]):
    assert listed(busy, **wanted) == expected


def test_lists_carry_neither_payload_nor_result(busy: Session):
    with busy.read() as reader:
        runs = reader.history(HistoryFilter(key="k", worker="mail"))

    assert [(run.payload, run.result) for run in runs] == [(None, None)]
    assert runs[0].digest is not None


def test_pages_since_an_instant_are_exact_whatever_the_order_of_ends(session: Session):
    late = {2, 3, 5, 7, 11, 13, 14, 16, 17}  # the others ended long before, also some with greater ids
    runs = [ended(started(a_run(n))) for n in range(1, 20)]
    finish(session, *(replace(run, finished_at=at(30) if run.id in late else at(1)) for run in runs))

    pages: list[int] = []
    before: int | None = None
    while page := listed(session, since=at(20), before=before, limit=2):
        pages.extend(page)
        before = page[-1]

    assert pages == sorted(late, reverse=True)


def test_pages_follow_one_another_without_gap_or_repetition(session: Session):
    finish(session, *(ended(started(a_run(n))) for n in range(1, 40, 2)))
    store_runs(session, *(a_run(n) for n in range(2, 40, 2)))
    pages: list[int] = []
    before: int | None = None
    while page := listed(session, before=before, limit=7):
        pages.extend(page)
        before = page[-1]

    assert pages == list(range(39, 0, -1))


# ── counts ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_counts_are_of_live_runs_and_open_letters(session: Session, clock: FrozenClock):
    clock.instant = at(5)
    write(session, workers=(a_worker("mail"), a_worker("idle")))
    store_runs(
        session,
        a_run(1, due_at=at(4)),
        a_run(2, due_at=at(5), forced=True),
        a_run(3, due_at=at(6)),
        started(a_run(4)),
        a_run(5, "undeclared", due_at=at(0)),
    )
    dead = failed(started(a_run(6)))
    finish(session, dead)
    write(session, letters=(a_letter(dead), a_letter(replace(dead, id=7), state="resolved", closed_at=at(2))))

    with session.read() as reader:
        assert reader.counts() == {
            "mail": {"pending": 3, "due": 2, "running": 1, "dead_letters": 1},
            "idle": {"pending": 0, "due": 0, "running": 0, "dead_letters": 0},
            "undeclared": {"pending": 1, "due": 1, "running": 0, "dead_letters": 0},
        }
        assert reader.letter_counts() == {"mail": 1}


def test_a_backlog_is_counted_to_a_thousand_and_one(session: Session):
    store_runs(session, *(a_run(n, forced=n % 2 == 0) for n in range(1, 2400)))

    with session.read() as reader:
        assert reader.counts()["mail"] == {"pending": 1001, "due": 1001, "running": 0, "dead_letters": 0}


# ── letters ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def failing(session: Session) -> Session:
    """Six dead runs and their letters, the even ones without payload."""
    dead = [
        failed(
            started(a_run(n, "mail" if n < 5 else "backup", payload=BYTES if n % 2 else None)),
            "KeyError" if n % 3 else "OSError",
        )
        for n in range(1, 7)
    ]
    finish(session, *dead)
    write(session, letters=tuple(a_letter(run, entered_at=at(run.id)) for run in dead))
    write(session, letters=(a_letter(dead[3], entered_at=at(4), state="resolved", closed_by="ada", closed_at=at(9)),))
    return session


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, [6, 5, 3, 2, 1]),
        ({"state": None}, [6, 5, 4, 3, 2, 1]),
        ({"state": "resolved"}, [4]),
        ({"ids": [1, 4, 9]}, [1]),
        ({"ids": {1, 4}, "state": None}, [4, 1]),
        ({"worker": "backup"}, [6, 5]),
        ({"error_type": "OSError"}, [6, 3]),
        ({"error_type": "OSError", "worker": "mail"}, [3]),
        ({"since": at(3)}, [6, 5, 3]),
        ({"before": 5, "limit": 2}, [3, 2]),
    ],
    ids=repr,
)
def test_letters_are_listed_newest_first_by_any_condition(
    failing: Session, wanted: dict[str, object], expected: list[int]
):
    assert letters(failing, **wanted) == expected


def test_a_letter_comes_back_as_it_was_last_written(failing: Session):
    with failing.read() as reader:
        letter = reader.letters(LetterFilter(ids=[4], state=None))[0]

    assert (letter.state, letter.closed_by, letter.closed_at, letter.worker) == ("resolved", "ada", at(9), "mail")


def test_open_letters_of_a_worker_can_be_those_without_payload(failing: Session):
    def numbers(found: list[DeadLetter]) -> list[int]:
        return sorted(letter.run for letter in found)

    with failing.read() as reader:
        assert numbers(reader.open_letters("mail", without_payload_only=False, limit=9)) == [1, 2, 3]
        assert numbers(reader.open_letters("mail", without_payload_only=True, limit=9)) == [2]
        assert len(reader.open_letters("mail", without_payload_only=False, limit=2)) == 2
        assert reader.open_letters("nobody", without_payload_only=False, limit=9) == []


def test_the_dead_run_behind_a_letter_keeps_its_payload_to_the_byte(failing: Session):
    assert [run.payload for run in fetch(failing, 1, 2)] == [BYTES, None]


# ── events ───────────────────────────────────────────────────────────────────────────────────────────────────────

DISABLED = WorkerDisabled(at=NOON, worker="mail", by="ada", reason="flood", starves=("report",))
ENABLED = WorkerEnabled(at=at(1), worker="mail", by="ada")
AUDIT = Audit(at=at(2), by="ada", action="replay", before="dead", after="pending", run=7)


def events(session: Session, *, after: int = 0, limit: int = 10, worker: str | None = None) -> list[tuple[int, Event]]:
    with session.read() as reader:
        return reader.events(after=after, limit=limit, worker=worker)


def test_events_come_back_in_order_with_numbers_to_go_on_from(session: Session):
    write(session, events=(DISABLED, ENABLED))
    write(session, events=(AUDIT,))

    assert events(session) == [(1, DISABLED), (2, ENABLED), (3, AUDIT)]
    assert events(session, after=1, limit=1) == [(2, ENABLED)]
    assert events(session, after=3) == []


def test_the_newest_event_is_known_by_its_number(session: Session):
    with session.read() as reader:
        before = reader.last_event()
    write(session, events=(DISABLED, ENABLED))
    with session.read() as reader:
        after = reader.last_event()

    assert (before, after) == (0, 2)


def test_events_of_one_worker(session: Session):
    write(session, events=(DISABLED, AUDIT, replace(ENABLED, worker="backup"), ENABLED))

    assert events(session, worker="mail") == [(1, DISABLED), (4, ENABLED)]
    assert events(session, worker="mail", after=1) == [(4, ENABLED)]


def test_starts_and_ends_of_runs_are_not_stored(session: Session):
    write(session, events=(RunStarted(at=NOON), DISABLED, RunEnded(at=NOON)))

    assert events(session) == [(1, DISABLED)]


def test_numbers_of_events_are_never_used_again(session: Session):
    write(session, events=(DISABLED, ENABLED))
    prune(session)
    write(session, events=(AUDIT,))

    assert events(session) == [(3, AUDIT)]


# ── retention ────────────────────────────────────────────────────────────────────────────────────────────────────

LATER = NOON + timedelta(days=400)


def prune(
    session: Session,
    *,
    runs_before: datetime = LATER,
    letters_before: datetime = LATER,
    events_before: datetime = LATER,
    limit: int = 1000,
) -> int:
    return session.prune(Cutoffs(letters=letters_before, runs=runs_before, events=events_before), limit=limit)


def test_finished_runs_go_once_they_are_old_enough(session: Session):
    finish(
        session,
        ended(started(a_run(1, payload=BYTES, key="k")), finished_at=at(10), result=b"1"),
        ended(started(a_run(2)), finished_at=at(20)),
    )
    store_runs(session, a_run(3, due_at=at(-999)), started(a_run(4)))
    gone = prune(session, runs_before=at(20))

    assert gone == 1
    assert listed(session) == [4, 3, 2]
    with session.read() as reader:
        assert reader.payloads([1]) == {}
        assert reader.keyed([("mail", "k")]) == []


def test_pruning_is_done_in_batches_oldest_first(session: Session):
    finish(session, *(ended(started(a_run(n)), finished_at=at(-n)) for n in range(1, 8)))
    steps = [prune(session, limit=3), listed(session), prune(session, limit=3), prune(session), prune(session)]

    assert steps == [3, [4, 3, 2, 1], 3, 1, 0]


def test_a_dead_run_stays_as_long_as_its_letter(failing: Session):
    assert prune(failing) == 2  # the resolved letter, then its run
    assert listed(failing) == [6, 5, 3, 2, 1]


def test_a_closed_letter_keeps_its_run_until_it_is_old_enough_itself(failing: Session):
    assert prune(failing, letters_before=at(9)) == 0
    assert letters(failing, state=None) == [6, 5, 4, 3, 2, 1]


def test_what_a_live_run_refers_to_stays(session: Session):
    finish(session, *(ended(started(a_run(n))) for n in (1, 2, 3)))
    replay, after = a_run(4, replay_of=1, origin=Origin.REPLAY), a_run(5, caused_by=2, origin=Origin.AFTER)
    store_runs(session, replay, started(after))

    assert prune(session) == 1
    assert listed(session) == [5, 4, 2, 1]
    change_runs(session, ended(started(replay)), ended(started(after)))
    assert prune(session) == 4


def test_a_letter_that_a_live_replay_refers_to_stays(failing: Session):
    store_runs(failing, a_run(7, replay_of=4, origin=Origin.REPLAY))

    assert prune(failing) == 0


def test_what_the_dead_run_of_an_open_letter_refers_to_stays(session: Session):
    dead = failed(started(a_run(3, replay_of=1, caused_by=2)))
    finish(session, ended(started(a_run(1))), ended(started(a_run(2))), dead)
    write(session, letters=(a_letter(dead),))

    assert prune(session) == 0
    write(session, letters=(a_letter(dead, state="resolved", closed_at=at(2)),))
    assert prune(session) == 4


def test_old_events_go(session: Session):
    write(session, events=(DISABLED, ENABLED, AUDIT))

    assert prune(session, events_before=at(2), limit=1) == 1
    assert prune(session, events_before=at(2)) == 1
    assert events(session) == [(3, AUDIT)]


def test_pruning_is_no_news_for_the_neighbours(session: Session, neighbour: Session):
    finish(session, ended(started(a_run(1))))
    with neighbour.read() as reader:
        reader.changes()
    prune(session)

    assert not neighbour.changed_elsewhere()


def test_an_occurrence_that_was_pruned_is_forgotten_altogether(session: Session):
    over = ended(started(a_run(1, origin=Origin.OCCURRENCE)))
    finish(session, over)
    prune(session)
    store_runs(session, a_run(2, origin=Origin.OCCURRENCE))

    assert listed(session) == [2]


# ── facts ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_facts_for_the_doctor(session: Session):
    store_runs(session, a_run(1))
    with session.read() as reader:
        info = reader.info()

    assert info["integrity"] == "ok"
    assert info["commits"] == 1
    assert info["engine"]


def test_lines_are_kept_in_order_and_of_each_attempt_the_last_thousand(session: Session):
    store_runs(session, a_run(1), a_run(2))
    lines = [LogLine(run=1, fence=7, number=n, attempt=1, at=at(n), level="INFO", text=f"{n}") for n in range(1, 1006)]
    other = LogLine(run=1, fence=9, number=1, attempt=2, at=at(0), level="INFO", text="again \u2603")
    with session.begin() as tx:
        tx.write(Change(lines=(*lines[:600], other)), new=())
    with session.begin() as tx:
        tx.write(Change(lines=tuple(lines[600:])), new=())
    with session.read() as reader:
        first = reader.lines(1)
        rest = reader.lines(1, after=(first[-1].fence, first[-1].number))
        none = reader.lines(2)

    assert [line.number for line in first] == list(range(6, 1006))
    assert rest == [other]
    assert none == []
