"""When a process seals the audit, and what it does where the store has lost a seal (A8)."""

from __future__ import annotations

import pytest
from worlds import World

from shiftboss.core.audit import Head, Key
from shiftboss.core.value import replace
from shiftboss.core.worker import Definition
from shiftboss.engine.cycle import Turn
from shiftboss.engine.mutation import record
from shiftboss.engine.sealing import AT_ONCE, Sealing
from shiftboss.errors import StoreUnavailable

YEAR_S = 365 * 86_400.0
MAIL = Definition(name="mail")


class Keys:
    """A key, and the last seal that this machine remembers."""

    def __init__(self) -> None:
        self.key = Key(b"0" * 32)
        self.head: Head | None = None
        self.lost: list[Head] = []

    def remember(self, head: Head) -> None:
        self.head = head

    def lose(self, head: Head) -> None:
        self.lost.append(head)
        self.head = None


class Audited:
    """A world whose acts are to be sealed."""

    def __init__(self, keyring: Keys | None) -> None:
        self.world = World(MAIL)
        self.clock = self.world.clock
        self.keyring = keyring
        self.sealing = Sealing(self.world.session, self.clock, keyring, keep_s=YEAR_S)

    def act(self, times: int = 1) -> Turn:
        """People do something, so often."""
        acts = [record("export", by="ann", worker="", before="", after=str(n), answer=None) for n in range(times)]
        return self.world.turn(*acts)

    def said(self) -> None:
        """The same once, and its event is told to the sealing."""
        self.sealing.committed(self.act().events)

    def seals(self) -> list[int]:
        """The rows that were sealed last, each time."""
        with self.world.session.read() as reader:
            return [seal.id for seal in reader.seals(after=0, limit=100)]


@pytest.fixture
def audited() -> Audited:
    return Audited(Keys())


def test_an_act_is_sealed_shortly_after_its_commit(audited):
    """A8: the acts of one operation share a seal."""
    audited.sealing.seal_if_due()
    assert audited.sealing.due_in_s == 5.0
    audited.said()
    assert audited.sealing.due_in_s == pytest.approx(0.2)

    audited.clock.advance(0.1)
    audited.said()
    audited.sealing.seal_if_due()
    assert audited.seals() == []
    assert audited.sealing.due_in_s == pytest.approx(0.1)

    audited.clock.advance(0.1)
    audited.sealing.seal_if_due()
    (row,) = audited.seals()
    assert audited.keyring.head.id == row
    assert audited.sealing.due_in_s == 5.0


def test_what_others_did_is_sealed_every_five_seconds(audited):
    """A8: they may have no key."""
    audited.sealing.seal_if_due()
    audited.act()
    audited.clock.advance(4.9)
    audited.sealing.seal_if_due()
    assert audited.seals() == []

    audited.clock.advance(0.1)
    audited.sealing.seal_if_due()
    assert len(audited.seals()) == 1


def test_what_is_no_act_hurries_nothing(audited):
    audited.sealing.seal_if_due()
    turn = audited.world.turn(audited.world.trigger("mail")[0])
    audited.sealing.committed(turn.events)

    assert audited.sealing.due_in_s == 5.0


def test_many_acts_have_several_seals_of_two_hundred_rows(audited):
    """A4: retention takes whole seals, and has room for one in a batch."""
    audited.act(AT_ONCE + 3)
    audited.sealing.seal()
    first, second = audited.seals()

    with audited.world.session.read() as reader:
        rows = [row.id for row in reader.audit(after=0, limit=1000)]
    assert AT_ONCE == 200
    assert (rows.index(first), rows.index(second)) == (199, 202)
    assert audited.keyring.head.id == second


def test_at_the_end_only_what_is_owed_is_sealed(audited):
    audited.act()
    audited.sealing.seal_what_is_owed()
    assert audited.seals() == []

    audited.said()
    audited.sealing.seal_what_is_owed()
    assert len(audited.seals()) == 1

    audited.act(2)
    audited.sealing.seal_what_is_owed()
    assert len(audited.seals()) == 1


def test_a_store_that_does_not_take_a_seal_is_asked_again(audited, monkeypatch):
    """A8: the rows wait, unharmed."""
    audited.said()
    seal = audited.world.session.seal

    def away(made):
        raise StoreUnavailable("away")

    monkeypatch.setattr(audited.world.session, "seal", away)
    audited.sealing.seal()
    assert audited.sealing.due_in_s == 5.0

    monkeypatch.setattr(audited.world.session, "seal", seal)
    audited.sealing.seal_what_is_owed()
    assert len(audited.seals()) == 1


def test_without_a_key_nothing_is_sealed_and_nothing_is_due():
    audited = Audited(None)
    audited.said()
    audited.sealing.seal_if_due()
    audited.sealing.seal()
    audited.sealing.seal_what_is_owed()

    assert (audited.seals(), audited.sealing.due_in_s) == ([], float("inf"))


def sealed_twice(audited: Audited) -> tuple[Head, Head]:
    heads = []
    for _ in range(2):
        audited.said()
        audited.sealing.seal()
        heads.append(audited.keyring.head)
        audited.act()
    return heads[0], heads[1]


def test_a_seal_that_the_store_has_is_not_lost(audited):
    first, second = sealed_twice(audited)
    for head in (first, second):
        audited.keyring.head = head
        audited.said()
        audited.sealing.seal()

    assert audited.keyring.lost == []


@pytest.mark.parametrize("which", ["cut off", "another digest", "another digest before"])
def test_a_seal_that_the_store_has_lost_is_said_and_kept(audited, caplog, which):
    """A8: the machine that sealed finds a cut end."""
    first, second = sealed_twice(audited)
    lost = {
        "cut off": Head(second.digest, second.id + 1000),
        "another digest": Head("x", second.id),
        "another digest before": Head("x", first.id),
    }[which]
    audited.keyring.head = lost
    audited.sealing.seal()

    assert audited.keyring.lost == [lost]
    assert f"the audit log lacks rows that this machine had sealed, up to row {lost.id}" in caplog.text


def test_where_there_is_no_seal_at_all_the_remembered_one_is_lost(audited):
    audited.keyring.head = head = Head("x", 1)
    audited.sealing.seal()

    assert audited.keyring.lost == [head]


@pytest.mark.parametrize(("gone", "lost"), [(1, 0), (0, 1)])
def test_a_seal_that_retention_has_taken_is_not_lost_and_one_from_among_the_kept_is(audited, gone, lost):
    """A8: retention takes the oldest."""
    first, second = sealed_twice(audited)
    seals = audited.world.store.tables.seals
    if gone:
        del seals[first.id]
        audited.keyring.head = Head(first.digest, first.id)
    else:
        audited.keyring.head = Head(first.digest, first.id + 1)
    audited.sealing.seal()

    assert second.id > first.id + 1
    assert len(audited.keyring.lost) == lost


def test_among_the_kept_the_oldest_may_be_of_the_very_first_row(audited):
    """A8: one that stood behind it was not taken by retention."""
    first, second = sealed_twice(audited)
    seals = audited.world.store.tables.seals
    seals[1] = replace(seals.pop(first.id), id=1)
    audited.keyring.head = Head("x", second.id - 1)
    audited.sealing.seal()

    assert [head.id for head in audited.keyring.lost] == [second.id - 1]
