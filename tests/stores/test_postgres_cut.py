"""A connection is lost at each point of a transaction in turn: it never goes on, and nothing of it is kept alone.

Rules of this file
- Real servers, and the deadlines that the store has; only the instant at which a line is cut is chosen by the test.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count

import pytest
from store_values import NOON, FrozenClock, a_node, a_run, a_worker, at, fetch, store_runs, write

from postgres_server import Cluster, Place
from shiftboss.core.retention import Cutoffs
from shiftboss.core.snapshot import Change
from shiftboss.errors import StoreUnavailable
from shiftboss.ports.store import Session
from shiftboss.stores.postgres import store as postgres
from shiftboss.stores.postgres.deadline import Deadlines, WatchedSocket
from shiftboss.stores.postgres.store import PostgresStore

OLD = 999_999  # a run that is there, far from the ids that are drawn
TRIES = 10_000  # each waits for something by itself: this many have failed


class Trouble(Deadlines):
    """Real deadlines; one round trip of the test's own thread meets what it has chosen.  The first is number 1."""

    def __init__(self) -> None:
        super().__init__()
        self.thread = threading.get_ident()  # the notifier has another
        self.calls = 0
        self.at = 0
        self.before: Callable[[WatchedSocket], object] = lambda line: None
        self.after: Callable[[WatchedSocket], object] = lambda line: None

    def meet_at(self, number: int) -> None:
        self.calls, self.at = 0, number

    @contextmanager
    def limit(self, line: WatchedSocket, seconds: float) -> Iterator[None]:
        self.calls += threading.get_ident() == self.thread
        is_met = self.calls == self.at and threading.get_ident() == self.thread
        if is_met:
            self.before(line)
        with super().limit(line, seconds):
            yield
        if is_met:
            self.after(line)


@pytest.fixture
def trouble(monkeypatch: pytest.MonkeyPatch) -> Trouble:
    made = Trouble()
    monkeypatch.setattr(postgres, "Deadlines", lambda: made)
    return made


@pytest.fixture
def store(trouble: Trouble, place: Place, clock: FrozenClock) -> Iterator[PostgresStore]:
    store = PostgresStore(place.url, clock=clock)
    store.open(create=True)
    yield store
    store.close()


def the_server_ends_it(trouble: Trouble, session: Session, cluster: Cluster) -> None:
    def end(line: WatchedSocket) -> None:
        link = session._db._link  # type: ignore[attr-defined]
        if link is not None and link.line is line:
            pid = link.connection.pgconn.backend_pid
            cluster.execute(f"SELECT pg_terminate_backend({pid}, 10000)")  # type: ignore[arg-type]

    trouble.before = end


def it_is_cut_while_it_waits(trouble: Trouble, session: Session, cluster: Cluster) -> None:
    trouble.before = WatchedSocket.cut


def it_is_cut_although_the_answer_came(trouble: Trouble, session: Session, cluster: Cluster) -> None:
    """What a process sees that stood still for longer than its deadline, as soon as it goes on."""
    trouble.after = WatchedSocket.cut


LOSSES = [the_server_ends_it, it_is_cut_while_it_waits, it_is_cut_although_the_answer_came]


def a_whole_turn(session: Session, written: list[int]) -> None:
    """What a node's cycle does, with two runs that belong together and leave in different round trips."""
    with session.begin() as tx:
        tx.changes()
        tx.past()
        tx.arrivals(limit=10)
        ids = tx.ids()
        one, two = next(ids), next(ids)
        written += [one, two]
        tx.runs([OLD])
        tx.write(Change(runs=(a_run(one),), nodes=(a_node("late"),)), new={one})
        tx.payloads([OLD])
        tx.write(Change(runs=(a_run(two),)), new={two})
        tx.next_give_up(at(1))


def a_view(session: Session, written: list[int]) -> None:
    with session.read() as reader:
        reader.changes()
        reader.past()
        reader.runs([OLD])
        reader.payloads([OLD])
        reader.next_give_up(at(1))


def a_write_of_nothing(session: Session, written: list[int]) -> None:
    session.try_write()


def a_trial_of_the_lock(session: Session, written: list[int]) -> None:
    session.try_lock(1.0)


def a_pruning(session: Session, written: list[int]) -> None:
    session.prune(Cutoffs(letters=NOON, runs=NOON, events=NOON), limit=10)


def a_look(session: Session, written: list[int]) -> None:
    session.changed_elsewhere()


TURNS = [a_whole_turn, a_view, a_write_of_nothing, a_trial_of_the_lock, a_pruning, a_look]


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("lost", LOSSES)
def test_a_transaction_that_lost_its_connection_is_over(
    store: PostgresStore,
    trouble: Trouble,
    cluster: Cluster,
    lost: Callable[[Trouble, Session, Cluster], None],
    turn: Callable[[Session, list[int]], None],
):
    """H5, W2: at each round trip; it is StoreUnavailable and nothing else, all of it is kept or nothing."""
    session = store.session()
    write(session, workers=(a_worker(),))
    store_runs(session, a_run(OLD, payload=b"{}"))
    lost(trouble, session, cluster)
    for point in count(1):
        written: list[int] = []
        failure: StoreUnavailable | None = None
        trouble.meet_at(point)
        try:
            turn(session, written)
        except StoreUnavailable as error:
            failure = error
        was_met, trouble.at = trouble.calls >= point, 0
        until_it_works(lambda: fetch(session, OLD))

        kept = [run.id for run in fetch(session, *written)]
        if failure is None:
            assert kept == written
        elif not failure.maybe_stored:
            assert kept == []
        else:
            assert kept in ([], written)
        if not was_met:
            break
    assert point > 1


@pytest.mark.parametrize("point", [1, 2, 3])
@pytest.mark.parametrize("lost", LOSSES)
def test_who_goes_on_after_the_loss_is_refused_for_the_same_reason(
    store: PostgresStore,
    trouble: Trouble,
    cluster: Cluster,
    lost: Callable[[Trouble, Session, Cluster], None],
    point: int,
):
    """Somebody in between may have caught the first error."""
    session = store.session()
    store_runs(session, a_run(1))
    lost(trouble, session, cluster)
    said = []

    def go_on_regardless() -> None:
        with session.read() as reader:
            for _ in range(5):
                try:
                    reader.runs([1])
                except StoreUnavailable as error:
                    said.append(error)

    session.changed_elsewhere()  # so there is a connection
    trouble.meet_at(point)
    go_on_regardless()

    expected = 0 if point == 1 and lost is the_server_ends_it else 6 - point  # idle ones are replaced
    assert len(said) == expected
    assert len(set(map(id, said))) == min(1, expected)


def test_a_commit_that_was_answered_is_a_commit_however_late(store: PostgresStore, trouble: Trouble, cluster: Cluster):
    session = store.session()
    session.changed_elsewhere()  # so there is a connection
    it_is_cut_although_the_answer_came(trouble, session, cluster)
    trouble.meet_at(2)
    with session.begin() as tx:
        tx.write(Change(runs=(a_run(1),)), new={1})

    assert [run.id for run in fetch(session, 1)] == [1]


def until_it_works(act: Callable[[], object]) -> None:
    for _ in range(TRIES):
        try:
            act()
        except StoreUnavailable:
            continue
        return
    pytest.fail("it never worked again")
