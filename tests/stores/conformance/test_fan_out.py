"""O6 in every store: a fan-out is one commit, or none."""

from __future__ import annotations

import pytest

from shiftboss.core.control import Request
from shiftboss.core.model import WorkerState
from shiftboss.core.snapshot import Change
from shiftboss.core.worker import Definition
from shiftboss.engine.cycle import Cycle
from shiftboss.engine.mutation import ThreadAnswer, disable, trigger_many
from shiftboss.errors import TriggersRefused
from shiftboss.ports.faces import HistoryFilter
from shiftboss.ports.store import Session
from shiftboss.testing.clock import VirtualClock

MANY = 1_500  # more than one statement of any store takes


@pytest.fixture
def clock() -> VirtualClock:
    """Of the cycles; that of the store does not matter here."""
    return VirtualClock()


class Client:
    """A cycle that starts nothing, and what it was answered."""

    def __init__(self, session: Session, clock: VirtualClock) -> None:
        self.session = session
        self.cycle = Cycle(session, clock, None)
        states = tuple(WorkerState(Definition(name=name), declared_at=clock.now()) for name in ("mail", "index"))
        with session.begin() as tx:
            tx.changes()
            tx.write(Change(workers=states), new=())
        self.cycle.forget()  # it was not the cycle that wrote
        self.ask()  # the first one has the clock to write

    def ask(self, *triggers: Request):
        answer = ThreadAnswer()
        mutations = [trigger_many(triggers, answer)]
        while mutations:
            turn = self.cycle.turn(mutations)
            for told, value, error in turn.replies:
                told.resolve(value) if error is None else told.reject(error)
            mutations = turn.missed
        return answer.future

    @property
    def commits(self) -> int:
        with self.session.read() as reader:
            return reader.past().number

    def waiting(self) -> list[int]:
        with self.session.read() as reader:
            return sorted(run.id for run in reader.history(HistoryFilter(limit=2 * MANY)))


def requests(count: int, worker: str = "mail", *, keyed: bool = True) -> list[Request]:
    return [
        Request(worker, b'{"n":%d}' % number, f"digest {number}", key=f"key {number}" if keyed else None)
        for number in range(count)
    ]


def test_all_are_stored_by_one_commit_and_in_their_order(session, clock):
    """O6: their ids grow in the order of the triggers."""
    client = Client(session, clock)
    before = client.commits
    runs = client.ask(*requests(MANY - 1), *requests(1, "index")).result()

    assert client.commits == before + 1
    ids = [run.id for run in runs]
    assert ids == sorted(set(ids))
    assert client.waiting() == ids
    with session.read() as reader:
        payloads = reader.payloads(ids[:3])
    assert [payloads[run] for run in ids[:3]] == [b'{"n":0}', b'{"n":1}', b'{"n":2}']


def test_the_same_keys_again_find_the_same_runs_and_store_nothing(session, neighbour, clock):
    """O5, O6: also when another process has stored them."""
    first, second = Client(session, clock), Client(neighbour, clock)
    runs = first.ask(*requests(MANY)).result()
    again = second.ask(*requests(MANY)).result()

    assert [run.id for run in again] == [run.id for run in runs]
    assert second.waiting() == [run.id for run in runs]


def test_of_a_refused_fan_out_nothing_is_stored(session, clock):
    """O6: neither those before the refused one, nor those after it."""
    client = Client(session, clock)
    error = client.ask(*requests(700, keyed=False), Request("nobody"), *requests(700, keyed=False)).exception()

    assert isinstance(error, TriggersRefused)
    assert [each.place for each in error.refused] == [700]
    assert client.waiting() == []


def test_a_worker_that_was_disabled_elsewhere_refuses_all(session, neighbour, clock):
    """K5, O6: what others have committed counts."""
    client, other = Client(session, clock), Client(neighbour, clock)
    other.cycle.turn([disable("index", by="ada", reason="holiday", answer=ThreadAnswer())])
    error = client.ask(*requests(2), *requests(1, "index")).exception()

    assert isinstance(error, TriggersRefused)
    assert client.waiting() == []
