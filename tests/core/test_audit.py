"""A8: what rows and seals prove together, and what they cannot."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from shiftboss.core.audit import AuditRow, Head, Key, Seal, seal_of
from shiftboss.core.value import replace
from shiftboss.core.verify import AuditVerdict, verify

KEY, OTHER = Key(b"the key of this fleet"), Key(b"the key of a stranger")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOON_US = 1_772_366_400_000_000
YEAR_S = 365 * 86_400.0


def a_row(number: int, text: str = "") -> AuditRow:
    return AuditRow(number, NOON_US + number, (text or f"row {number}").encode())


ROWS = [a_row(number) for number in (2, 3, 5, 8, 9, 12)]


def sealed(rows: Sequence[AuditRow], *sizes: int, key: Key = KEY, last: Seal | None = None) -> list[Seal]:
    """Seals of *rows*, each of so many of them."""
    seals: list[Seal] = []
    first = 0
    for size in sizes:
        last = seal_of(last, rows[first : first + size], key=key, keep_s=YEAR_S)
        assert last is not None
        seals.append(last)
        first += size
    return seals


SEALS = sealed(ROWS, 2, 1, 3)  # at 3, 5 and 12


def judged(
    rows: Sequence[AuditRow],
    seals: Sequence[Seal] = SEALS,
    *,
    keys: Sequence[Key] = (KEY,),
    heads: Sequence[Head] = (),
    now: datetime = NOON,
) -> AuditVerdict:
    return verify(seals, rows, keys=keys, heads=heads, now=now)


def test_what_is_as_it_was_sealed_is_proven():
    """A8."""
    verdict = judged([*ROWS, a_row(13)])

    assert (verdict.holds, verdict.is_proven) == (True, True)
    assert (verdict.rows, verdict.proven, verdict.proven_to, verdict.unsealed) == (7, 6, 12, 1)
    assert verdict.head == SEALS[-1]
    assert [limit.partition(":")[0] for limit in verdict.limits] == [
        "1 row is newer than the last seal",
        "the store alone cannot show whether rows were cut off its end",
    ]


FORGERIES = {
    "edited": (
        [*ROWS[:3], a_row(8, "somebody else did it"), *ROWS[4:]],
        "the number of rows is right, but not their content",
    ),
    "deleted": ([*ROWS[:3], *ROWS[4:]], "1 row missing"),
    "two deleted": ([*ROWS[:3], ROWS[5]], "2 rows missing"),
    "inserted": ([*ROWS[:4], ROWS[4], a_row(10), ROWS[5]], "1 row too many"),
    "swapped": (
        [*ROWS[:3], replace(ROWS[4], id=8), replace(ROWS[3], id=9), ROWS[5]],
        "the number of rows is right, but not their content",
    ),
    "at another instant": (
        [*ROWS[:3], replace(ROWS[3], at_us=1), *ROWS[4:]],
        "the number of rows is right, but not their content",
    ),
    "the last one deleted": (ROWS[:5], "1 row missing"),
}


@pytest.mark.parametrize("how", FORGERIES)
def test_rows_that_are_not_those_that_were_sealed_are_named(how: str):
    """A8: by the numbers between the seals around them; the rest is still proven."""
    rows, what = FORGERIES[how]
    verdict = judged(rows)

    assert [(doubt.what, doubt.first, doubt.last) for doubt in verdict.doubts] == [("rows", 6, 12)]
    assert what in verdict.doubts[0].text
    assert verdict.proven_to == 5
    assert not verdict.is_proven


def test_behind_a_forged_row_the_rest_is_judged_by_the_next_seal():
    verdict = judged([a_row(2, "forged"), *ROWS[1:]])

    assert [(doubt.first, doubt.last) for doubt in verdict.doubts] == [(1, 3)]
    assert verdict.proven_to == 12


def test_a_seal_of_another_key_that_names_ours_is_forged():
    """A8: whoever changes a row and makes its seal anew has not the key."""
    rows = [*ROWS[:3], a_row(8, "forged"), *ROWS[4:]]
    forged = replace(sealed(rows[3:], 3, key=OTHER, last=SEALS[1])[0], key=KEY.id)
    verdict = judged(rows, [*SEALS[:2], forged])

    assert [(doubt.what, doubt.first) for doubt in verdict.doubts] == [("seal", 12)]
    assert verdict.proven_to == 5


@pytest.mark.parametrize("change", [{"rows": 7}, {"keep_s": 1.0}, {"at": NOON}, {"digest": "0" * 64}])
def test_no_part_of_a_seal_can_be_changed(change: dict[str, object]):
    verdict = judged(ROWS, [*SEALS[:2], replace(SEALS[2], **change)])

    assert "seal" in {doubt.what for doubt in verdict.doubts}


def test_a_key_that_was_replaced_is_said_and_proves_nothing():
    """A8: everything is sealed anew with another key."""
    verdict = judged(ROWS, sealed(ROWS, 6, key=OTHER))

    assert (verdict.holds, verdict.is_proven, verdict.proven) == (True, False, 0)
    assert verdict.limits[0] == f"rows up to 12 are sealed with key {OTHER.id}, which this process does not have"


def test_a_head_that_was_kept_elsewhere_shows_a_replaced_key():
    verdict = judged(
        [a_row(2, "forged"), *ROWS[1:]],
        sealed([a_row(2, "forged"), *ROWS[1:]], 6, key=OTHER),
        keys=(OTHER,),
        heads=[Head(SEALS[-1].digest, 12)],
    )

    assert [doubt.what for doubt in verdict.doubts] == ["head"]


def test_without_the_key_the_rows_are_held_against_each_other_all_the_same():
    """A8: a lost key proves nothing, and hides nothing either."""
    lost, forged = judged(ROWS, keys=()), judged([ROWS[0], *ROWS[2:]], keys=())

    assert (lost.holds, lost.is_proven, lost.proven_to) == (True, False, 0)
    assert [doubt.what for doubt in forged.doubts] == ["rows"]


def test_a_new_key_vouches_for_what_stood_there_when_it_began():
    rows = [*ROWS, a_row(13)]
    seals = [*SEALS, *sealed(rows[6:], 1, key=OTHER, last=SEALS[-1])]

    assert judged(rows, seals, keys=(OTHER,)).is_proven
    assert not judged(rows, seals, keys=(KEY,)).is_proven
    assert judged(rows, seals, keys=(OTHER, KEY)).is_proven


def test_seals_of_several_nodes_stand_in_one_chain():
    """A8: each with a key of its own; a row of one cannot take the place of another's."""
    first = sealed(ROWS, 2, 1)
    seals = [*first, *sealed(ROWS[3:], 3, key=OTHER, last=first[-1])]
    swapped = [*ROWS[:2], replace(ROWS[3], id=5), replace(ROWS[2], id=8), *ROWS[4:]]

    assert judged(ROWS, seals, keys=(KEY, OTHER)).is_proven
    assert [(d.first, d.last) for d in judged(swapped, seals, keys=(KEY, OTHER)).doubts] == [(4, 5), (6, 12)]


def test_a_tail_that_was_cut_with_its_seals_is_seen_by_a_head_from_elsewhere_alone():
    """A8: rows and seals that are left prove themselves."""
    rows, seals = ROWS[:3], SEALS[:2]
    whole, by_digest = Head(SEALS[2].digest, 12), Head(SEALS[2].digest)

    assert judged(rows, seals).is_proven
    for head in (whole, by_digest):
        assert [doubt.what for doubt in judged(rows, seals, heads=[head]).doubts] == ["head"]
        assert judged(ROWS, heads=[head]).is_proven
        assert judged(ROWS, heads=[head]).limits == ()


def test_a_cut_tail_is_named_by_the_rows_that_are_missing():
    """A8"""
    (doubt,) = judged(ROWS[:3], SEALS[:2], heads=[Head(SEALS[2].digest, 12)]).doubts

    assert (doubt.what, doubt.first, doubt.last) == ("head", 6, 12)
    assert doubt.text.startswith("row 12 is missing: the end was cut off after row 5")


def test_what_was_added_after_a_cut_does_not_hide_it():
    rows = [*ROWS[:3], a_row(12, "another"), a_row(13)]
    seals = [*SEALS[:2], *sealed(rows[3:], 2, last=SEALS[1])]

    assert judged(rows, seals).is_proven
    assert [doubt.what for doubt in judged(rows, seals, heads=[Head(SEALS[2].digest, 12)]).doubts] == ["head"]


def test_that_nothing_is_sealed_any_more_is_seen_by_a_head():
    """A8: seals that were all removed."""
    verdict = judged(ROWS, [], heads=[Head(SEALS[2].digest, 12)])
    forged = judged([a_row(2, "forged"), *ROWS[1:]], [], heads=[Head(SEALS[2].digest, 12)])

    assert (verdict.holds, verdict.unsealed) == (True, 6)
    assert [doubt.what for doubt in forged.doubts] == ["head"]


def test_after_retention_the_chain_begins_at_the_seal_that_is_left():
    """A8: the last digest that was removed is the anchor."""
    late = NOON + timedelta(days=366)
    verdict = judged(ROWS[3:], SEALS[1:], now=late, heads=[Head(SEALS[0].digest, 3), Head(SEALS[1].digest, 5)])

    assert verdict.is_proven
    assert (verdict.rows, verdict.removed, verdict.proven) == (3, 3, 3)


def test_rows_that_are_removed_before_their_time_look_like_retention_and_are_told_apart():
    """A8: a seal says for how long the audit is kept."""
    verdict = judged(ROWS[3:], SEALS[1:], now=NOON + timedelta(days=300))

    assert [(doubt.what, doubt.last) for doubt in verdict.doubts] == [("retention", 5)]


def test_rows_from_the_beginning_without_the_seal_behind_them_are_missing():
    verdict = judged(ROWS[1:], SEALS)

    assert [(doubt.first, doubt.last) for doubt in verdict.doubts] == [(1, 3)]


def test_where_no_key_is_here_nothing_is_said_of_retention():
    """A8: for how long the audit is kept is known by a seal that is proven."""
    verdict = judged(ROWS[3:], SEALS[1:], keys=(), now=NOON + timedelta(days=300))

    assert (verdict.doubts, verdict.proven) == ((), 0)


@pytest.mark.parametrize("number", [1, 3, 4])
def test_a_head_whose_row_is_there_and_whose_digest_is_not_is_a_doubt(number):
    """A8: something before it was changed; of what retention has taken nobody can tell."""
    head = Head("x" * 64, number)

    assert [(doubt.what, doubt.last) for doubt in judged(ROWS, heads=[head]).doubts] == [("head", number)]
    late = NOON + timedelta(days=366)
    assert [doubt.what for doubt in judged(ROWS[3:], SEALS[1:], now=late, heads=[head]).doubts] == []


def test_an_empty_audit_proves_nothing_and_contradicts_nothing():
    verdict = judged([], [])

    assert (verdict.holds, verdict.rows, verdict.head, verdict.limits) == (True, 0, None, ())
    assert [doubt.what for doubt in judged([], [], heads=[Head(SEALS[0].digest, 3)]).doubts] == ["head"]


def test_all_rows_of_a_store_may_have_gone_with_time():
    assert judged([], SEALS[2:], now=NOON + timedelta(days=400)).is_proven
    assert not judged([], SEALS[2:]).holds
