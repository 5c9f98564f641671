"""Triggers that callers' own transactions left: picked up in a turn of their own, in batches that find their size."""

from __future__ import annotations

from datetime import timedelta

import pytest
from worlds import World

from shiftboss.core.control import Request
from shiftboss.core.events import ArrivalRefused
from shiftboss.core.schedule import Every
from shiftboss.core.value import replace
from shiftboss.core.worker import Definition, Misfire, Mode
from shiftboss.engine.clock_rules import MAX_EXPIRED
from shiftboss.engine.cycle import ARRIVALS_BACK_OFF_S, MAX_ARRIVALS
from shiftboss.errors import StoreRejected, StoreUnavailable
from shiftboss.stores.memory.reads import MemoryReader, MemoryTransaction

MAIL = Definition(name="mail")


class Arrivals:
    """What waits beside a memory store, as PostgreSQL has it; some of it cannot be stored."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        self.world = world
        self.waiting: list[Request] = []
        self.taken: list[int] = []  # how many, each time
        self.poisoned: set[str] = set()
        self.is_away = False
        monkeypatch.setattr(MemoryReader, "has_arrivals", property(lambda reader: bool(self.waiting)), raising=False)
        monkeypatch.setattr(MemoryTransaction, "arrivals", lambda tx, *, limit: self._take(tx, limit), raising=False)
        begin = world.session.begin
        monkeypatch.setattr(world.session, "begin", lambda *a, **o: self._within(begin(*a, **o)))

    def _within(self, transaction):
        return _Transaction(self, transaction)

    def _take(self, tx, limit: int) -> list[Request]:
        if self.is_away:
            raise StoreUnavailable("away")
        batch, self.waiting = self.waiting[:limit], self.waiting[limit:]
        self.taken.append(len(batch))
        return batch

    def arrive(self, *keys: str) -> None:
        self.waiting += [Request("mail", key=key, by="app") for key in keys]


class _Transaction:
    """Puts back what was taken when it is rolled back, and refuses what is poisoned."""

    def __init__(self, arrivals: Arrivals, inner) -> None:
        self._arrivals, self._inner = arrivals, inner

    def __enter__(self):
        self._before = list(self._arrivals.waiting)
        self._tx = self._inner.__enter__()
        write = self._tx.write

        def checked(change, *, new):
            if any(run.key in self._arrivals.poisoned for run in change.runs):
                raise StoreRejected("a constraint")
            write(change, new=new)

        self._tx.write = checked
        return self._tx

    def __exit__(self, *error):
        if error[0] is not None:
            self._arrivals.waiting = self._before
        return self._inner.__exit__(*error)


@pytest.fixture
def arrivals(monkeypatch) -> Arrivals:
    return Arrivals(World(MAIL), monkeypatch)


def test_what_arrived_becomes_runs_that_start(arrivals):
    """W1"""
    arrivals.arrive("a", "b")
    turn = arrivals.world.turn(arrivals.world.trigger("mail")[0])

    assert [start.run.key for start in turn.starts] == [None, "a", "b"]
    assert arrivals.taken == [2]
    assert not turn.again


def test_what_a_rule_refuses_is_an_event_and_the_others_are_stored(arrivals):
    arrivals.waiting = [Request("nobody", key="x", by="app"), Request("mail", key="a")]
    turn = arrivals.world.turn(arrivals.world.trigger("mail")[0])

    assert [start.run.key for start in turn.starts] == [None, "a"]
    (refused,) = (event for event in turn.events if isinstance(event, ArrivalRefused))
    assert (refused.worker, refused.key, refused.by) == ("nobody", "x", "app")


def test_a_batch_is_bounded_and_the_rest_comes_at_once(arrivals):
    """One transaction must not last for as long as a thousand times a thousand runs take."""
    assert MAX_ARRIVALS == 1000
    arrivals.arrive(*map(str, range(1001)))
    turn = arrivals.world.turn(arrivals.world.trigger("mail")[0])

    assert (arrivals.taken, turn.again) == ([1000], True)
    assert not arrivals.world.turn(arrivals.world.trigger("mail")[0]).again
    assert arrivals.taken == [1000, 1]


def turn_until_taken(arrivals: Arrivals) -> list[object]:
    events = []
    for _ in range(60):
        events += arrivals.world.turn(arrivals.world.trigger("mail", delay_s=60.0)[0]).events
        if not arrivals.waiting:
            return events
    raise AssertionError("they are never taken")


def test_what_the_store_rejects_is_found_by_halves_and_refused_alone(arrivals):
    """No mutation of others is blamed for it, and the limit recovers."""
    arrivals.arrive(*(f"k{number}" for number in range(8)))
    arrivals.poisoned.add("k5")
    arrivals.world.cycle._arrivals_limit = 8
    events = turn_until_taken(arrivals)

    assert [event.key for event in events if isinstance(event, ArrivalRefused)] == ["k5"]
    with arrivals.world.session.read() as reader:
        assert [run.key for run in reader.keyed([("mail", f"k{number}") for number in range(8)])] == [
            f"k{number}" for number in range(8) if number != 5
        ]


def test_the_limit_is_halved_by_a_failure_and_doubles_with_each_success_up_to_its_bound(arrivals):
    cycle = arrivals.world.cycle
    arrivals.arrive("a")
    arrivals.poisoned.add("a")
    limits = []
    while arrivals.waiting:
        turn = arrivals.world.turn(arrivals.world.trigger("mail", delay_s=60.0)[0])
        assert (turn.again, turn.claims_read) == (True, True)
        limits.append(cycle._arrivals_limit)
    assert limits == [500, 250, 125, 62, 31, 15, 7, 3, 1, 1]

    arrivals.poisoned.clear()
    limits = []
    for number in range(11):
        arrivals.arrive(str(number))
        arrivals.world.turn(arrivals.world.trigger("mail", delay_s=60.0)[0])
        limits.append(cycle._arrivals_limit)
    assert limits == [2, 4, 8, 16, 32, 64, 128, 256, 512, 1000, 1000]


def test_while_the_store_is_away_they_wait_and_what_was_committed_before_is_told(arrivals, caplog):
    """H5: tried again a second later, and everything else goes on meanwhile."""
    arrivals.arrive("a")
    arrivals.is_away = True
    mutation, answer = arrivals.world.trigger("mail")
    turn = arrivals.world.turn(mutation)

    assert [start.run.id for start in turn.starts] == [answer.value.id]
    assert ([str(error) for error in turn.put_off], turn.again, turn.claims_read) == (["away"], True, True)
    assert "triggers committed in callers' transactions cannot be picked up: away; retrying in 1 s" in caplog.text
    assert arrivals.world.cycle._arrivals_limit == 500
    for _ in range(12):
        arrivals.world.clock.advance(1)
        arrivals.world.turn(arrivals.world.trigger("mail")[0])
    assert arrivals.world.cycle._arrivals_limit == 1
    assert not arrivals.world.cycle.cache.is_read, "what was taken in for it is forgotten"

    arrivals.is_away = False
    del arrivals.taken[:]
    arrivals.world.clock.advance(ARRIVALS_BACK_OFF_S - 0.001)
    arrivals.world.turn(arrivals.world.trigger("mail")[0])
    assert arrivals.taken == []
    arrivals.world.clock.advance(0.001)
    arrivals.world.turn(arrivals.world.trigger("mail")[0])
    assert arrivals.taken == [1]


# ── what expires ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_runs_expire_a_thousand_in_a_turn_and_the_rest_in_the_next():
    """T1, D7"""
    world = World(Definition(name="mail", start_within_s=5.0, concurrency=1), slots=1)
    world.turn(*(world.trigger("mail")[0] for _ in range(1002)))
    world.clock.advance(5)
    assert MAX_EXPIRED == 1000

    first = [type(event).__name__ for event in world.turn().events].count("DeadLettered")
    assert (first, world.cycle.cache.next_give_up_at) == (1000, world.clock.now())
    second = [type(event).__name__ for event in world.turn().events].count("DeadLettered")
    assert (second, world.cycle.cache.next_give_up_at) == (1, None)


def test_nothing_expires_before_its_instant():
    """T1"""
    world = World(Definition(name="mail", start_within_s=5.0, concurrency=1))
    world.turn(*(world.trigger("mail")[0] for _ in range(2)))
    world.clock.advance(4.999)
    assert world.turn().events == []
    world.clock.advance(0.001)
    assert "DeadLettered" in [type(event).__name__ for event in world.turn().events]


def test_what_follows_a_run_that_expired_and_is_late_itself_expires_with_it():
    """D7, O2: each scheduled time is a run of its own, and nobody has to wait for the next turn."""
    world = World(
        Definition(
            name="tick", mode=Mode.SCHEDULED, schedule=Every(10), concurrency=1, start_within_s=5.0, misfire=Misfire.ALL
        ),
        slots=0,
    )
    world.clock.advance(38)
    expired = [event for event in world.turn().events if type(event).__name__ == "DeadLettered"]

    assert len(expired) == 3
    (waiting,) = world.store.tables.live.values()
    assert world.cycle.cache.next_give_up_at == waiting.give_up_at == waiting.due_at + timedelta(seconds=5)


def test_a_late_run_that_cannot_be_ended_here_holds_up_nothing_and_is_not_asked_for_again():
    """W8: its worker cannot be read, say, or is unknown."""
    world = World(Definition(name="mail", start_within_s=5.0, concurrency=1), slots=1)
    running, late = (world.trigger("mail") for _ in range(2))
    world.turn(running[0], late[0])
    run = world.store.tables.live[late[1].value.id]
    world.store.tables.write_runs([replace(run, id=99, worker="nobody")], {99}, number=world.store.tables.number)
    world.cycle.forget()
    world.clock.advance(5)
    turn = world.turn()

    assert [event.run for event in turn.events if type(event).__name__ == "DeadLettered"] == [run.id]
    assert world.cycle.cache.next_give_up_at is None
