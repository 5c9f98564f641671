"""A8: what people did is kept under the numbers of its events, sealed in order, and removed by whole seals."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from store_values import NOON, at, write

from shiftboss.core.audit import GENESIS, AuditRow, Key, Seal, extended, seal_of
from shiftboss.core.events import Audit, WorkerEnabled
from shiftboss.core.retention import Cutoffs
from shiftboss.core.snapshot import Change
from shiftboss.ports.store import Reader, Session
from shiftboss.stores.sql import codec, shapes

KEY = Key(b"a key of this test")
LATER = NOON + timedelta(days=400)


def an_act(number: int) -> Audit:
    return Audit(at=at(number), worker="mail", by="ada", action="disable", after=f"number {number}")


def acts(session: Session) -> list[tuple[int, str]]:
    with session.read() as reader:
        return [(row.id, getattr(shapes.act(row), "after", "")) for row in reader.audit(after=0, limit=100)]


def seal(session: Session, *, limit: int = 100) -> Seal | None:
    def sealed(reader: Reader) -> Seal | None:
        last = reader.last_seal()
        return seal_of(last, reader.audit(after=last.id if last else 0, limit=limit), key=KEY, keep_s=1.0)

    return session.seal(sealed)


def seals(session: Session) -> list[int]:
    with session.read() as reader:
        return [each.id for each in reader.seals(after=0, limit=100)]


def prune(session: Session, *, audit_before: datetime | None, limit: int = 100) -> int:
    return session.prune(Cutoffs(letters=NOON, runs=NOON, events=NOON, audit=audit_before), limit=limit)


def test_what_people_did_stands_in_the_audit_under_the_number_of_its_event(session: Session):
    """A8."""
    write(session, events=(an_act(1), WorkerEnabled(at=at(2), worker="mail"), an_act(3)))
    write(session, events=(WorkerEnabled(at=at(4), worker="mail"),))
    write(session, events=(an_act(5),))

    assert acts(session) == [(1, "number 1"), (3, "number 3"), (5, "number 5")]
    with session.read() as reader:
        assert reader.acts_before(5, limit=1) == [(3, an_act(3))]
        assert [row.id for row in reader.audit(after=1, limit=1)] == [3]
        assert [number for number, _ in reader.events(after=0, limit=9)] == [1, 2, 3, 4, 5]


def test_a_row_is_the_bytes_of_its_event_at_its_instant(session: Session):
    write(session, events=(an_act(1),))
    with session.read() as reader:
        found = reader.audit(after=0, limit=9)

    assert found == [AuditRow(1, codec.micros(at(1)), codec.text_of(an_act(1)).encode())]


def test_a_seal_goes_on_from_the_one_before(session: Session, neighbour: Session):
    """A8: whoever seals, the digest runs through all rows in order."""
    write(session, events=(an_act(1), an_act(2)))
    first = seal(session)
    nothing = seal(neighbour)
    write(session, events=(an_act(3),))
    second = seal(neighbour)

    with session.read() as reader:
        one, two, three = reader.audit(after=0, limit=9)
    assert first is not None
    assert second is not None
    assert nothing is None
    assert first.digest == extended(extended(GENESIS, one), two)
    assert (second.id, second.rows, second.digest) == (3, 3, extended(first.digest, three))
    assert seals(session) == [2, 3]


def test_two_that_seal_at_the_same_time_say_the_same_once(session: Session, neighbour: Session):
    """A8: nobody waits for anybody, so the second is made from a view in which the first was not there yet."""
    write(session, events=(an_act(1),))
    with neighbour.read() as reader:
        late = seal_of(reader.last_seal(), reader.audit(after=0, limit=9), key=KEY, keep_s=1.0)
    early = seal(session)
    neighbour.seal(lambda reader: late)

    assert early == late
    assert seals(session) == [1]


def test_a_seal_is_no_commit_that_others_must_read(session: Session, neighbour: Session):
    write(session, events=(an_act(1),))
    with neighbour.read() as reader:
        reader.changes()
    seal(session)

    assert not neighbour.changed_elsewhere()


def test_retention_takes_whole_seals_and_leaves_the_last_of_them(session: Session):
    """A8: the chain goes on from the digest that is left."""
    for number in range(1, 7):
        write(session, events=(an_act(number),))
        if number % 2 == 0:
            seal(session)
    gone = prune(session, audit_before=at(4))  # 1, 2 and 3 are old enough, 3 is sealed together with 4

    assert gone == 2
    assert [number for number, _ in acts(session)] == [3, 4, 5, 6]
    assert seals(session) == [2, 4, 6]


def test_retention_leaves_what_is_not_sealed_and_what_it_was_not_told_about(session: Session):
    write(session, events=(an_act(1),))
    seal(session)
    write(session, events=(an_act(2),))

    assert prune(session, audit_before=None) == 0
    assert prune(session, audit_before=LATER) == 1
    assert acts(session) == [(2, "number 2")]
    assert seals(session) == [1]


def test_where_nobody_ever_sealed_what_is_old_goes(session: Session):
    """A8: the audit of a store without a key does not grow for ever."""
    write(session, events=(an_act(1), an_act(2), an_act(3)))

    assert prune(session, audit_before=at(3), limit=1) == 1
    assert prune(session, audit_before=at(3)) == 1
    assert acts(session) == [(3, "number 3")]


def test_the_audit_of_another_store_keeps_its_numbers_and_new_acts_come_after_it(session: Session):
    """A8: a move brings rows and seals as they are; the events that it copies make no rows again."""
    row = AuditRow(40, codec.micros(at(1)), codec.text_of(an_act(1)).encode())
    brought = seal_of(None, [row], key=KEY, keep_s=1.0)
    assert brought is not None
    write(session, Change(events=(an_act(1),), audit=()))
    write(session, Change(audit=(row,), seals=(brought,)))
    write(session, events=(an_act(2),))

    assert acts(session) == [(40, "number 1"), (41, "number 2")]
    with session.read() as reader:
        assert reader.last_seal() == brought


def test_a_transaction_that_fails_leaves_no_act(session: Session):
    with pytest.raises(RuntimeError, match="on purpose"), session.begin() as tx:  # noqa: PT012
        tx.changes()
        tx.write(Change(events=(an_act(1),)), new=())
        raise RuntimeError("on purpose")

    assert acts(session) == []
