"""How much of a text is kept, and that half a secret never is (A12)."""

from __future__ import annotations

import pytest

from shiftboss.core.bounds import (
    HEAD_CHARS,
    MAX_TRACEBACK_CHARS,
    RAW_CHARS,
    before_border,
    behind_border,
    ends,
    head,
    loose_ends,
)
from shiftboss.core.redact import MASK

TAIL_CHARS = MAX_TRACEBACK_CHARS - HEAD_CHARS


@pytest.mark.parametrize(
    ("text", "before", "behind"),
    [
        ("no secret", "no secret", "no secret"),
        (f"a {MASK} b", f"a {MASK}", f"{MASK} b"),
        (f"a {MASK} b {MASK} c", f"a {MASK} b {MASK}", f"{MASK} b {MASK} c"),
    ],
)
def test_beside_a_border_nothing_is_kept_that_may_be_part_of_a_secret(text, before, behind):
    """A12"""
    assert (before_border(text), behind_border(text)) == (before, behind)


def test_the_beginning_of_a_text_is_kept():
    assert head("abc", "abc", 3) == "abc"
    assert head("abcd", "abcd", 3) == "abc"


def test_of_a_text_that_was_cut_before_it_was_masked_the_last_piece_is_dropped():
    """A12: it may be the beginning of a secret."""
    assert head("x" * RAW_CHARS, f"a {MASK} b", 100) == f"a {MASK}"
    assert head("x" * (RAW_CHARS - 1), f"a {MASK} b", 100) == f"a {MASK} b"
    assert head("x" * RAW_CHARS, f"a {MASK} b", 5) == f"a {MASK} b"[:5], "what is cut here lies before the border"


def test_of_a_long_text_the_beginning_and_the_end_are_masked():
    """The end says more: of a traceback it is where it was raised."""
    whole = "a" * RAW_CHARS
    assert loose_ends(whole) is whole
    first, notice, last = loose_ends("a" * RAW_CHARS + "b" * RAW_CHARS).split("\n")

    assert (first, last) == ("a" * (RAW_CHARS // 4), "b" * (RAW_CHARS * 3 // 4))
    assert str(RAW_CHARS) in notice


def test_of_a_traceback_so_much_is_kept_of_both_ends():
    whole = "a" * MAX_TRACEBACK_CHARS
    assert ends(whole) is whole
    first, notice, last = ends("a" * HEAD_CHARS + "x" * 7 + "b" * TAIL_CHARS).split("\n")

    assert (first, last) == ("a" * HEAD_CHARS, "b" * TAIL_CHARS)
    assert notice.split()[1] == "7"


def test_what_was_left_out_twice_is_said_once_with_all_that_is_missing():
    raw = loose_ends("a" * (RAW_CHARS + 1000))
    first, notice, last = ends(raw).split("\n")

    assert (len(first), len(last)) == (HEAD_CHARS, TAIL_CHARS)
    assert int(notice.split()[1]) + HEAD_CHARS + TAIL_CHARS == RAW_CHARS + 1000


def test_beside_what_was_left_out_no_half_secret_is_kept():
    """A12: where masking has made the ends short, so that the border is shown."""
    raw = f"first {MASK} half\n… 5 characters left out …\nhalf {MASK} last"

    assert ends(raw) == f"first {MASK}\n… 5 characters left out …\n{MASK} last"
