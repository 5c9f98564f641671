"""What a value must be to be taken: by type and range, in exactly one type, or refused with a remedy."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from fractions import Fraction

import pytest

from shiftboss.core import kinds
from shiftboss.core.kinds import Table, many, one_of, optional, text, whole
from shiftboss.core.value import FAR_END
from shiftboss.errors import ConfigurationError, UnknownRun


class Indexed:
    """A whole number as numpy has them: no int, but one to count with."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __index__(self) -> int:
        return self.number

    def __repr__(self) -> str:
        return f"Indexed({int(self)})"


class Level(IntEnum):
    TWO = 2


class Colour(StrEnum):
    RED = "red"


class Shape(Enum):
    ROUND = "round"
    FOUR = 4


class Name(str):
    """A text of a class that no encoder knows."""

    __slots__ = ()


class Unshowable:
    def __repr__(self) -> str:
        raise RuntimeError("no")


NO_NUMBERS = [True, False, None, "3", "x", b"3", [], {}, 1j, object(), Unshowable(), datetime.now(UTC), timedelta(1)]


class TestWholeNumbers:
    @pytest.mark.parametrize(
        "value", [4, 4.0, 4 / 1, Fraction(8, 2), Decimal("4.00"), Indexed(4), Shape.FOUR], ids=repr
    )
    def test_a_number_that_is_whole_is_taken_as_an_int(self, value):
        taken = whole()(value, name="n")

        assert (taken, type(taken)) == (4, int)

    @pytest.mark.parametrize(
        "value",
        [*NO_NUMBERS, 4.5, Fraction(1, 3), Decimal("0.1"), math.inf, math.nan, Decimal("NaN"), Decimal("sNaN")],
        ids=lambda value: type(value).__name__,
    )
    def test_anything_else_is_refused_by_name(self, value):
        with pytest.raises(ConfigurationError, match=r"^n=.* is not a whole number; "):
            whole()(value, name="n")

    def test_a_text_of_digits_is_shown_as_the_number(self):
        with pytest.raises(ConfigurationError, match=r"n='3' is not a whole number; write n=3, a number, not a string"):
            whole()("3", name="n")

    @pytest.mark.parametrize(
        ("value", "bound"), [(0, "at least 1"), (-5, "at least 1"), (11, "at most 10"), (2**70, "at most")]
    )
    def test_what_is_out_of_range_is_refused(self, value, bound):
        with pytest.raises(ConfigurationError, match=f"is out of range; it must be {bound}"):
            whole(1, 10)(value, name="n")

    def test_no_number_is_larger_than_what_json_holds(self):
        assert whole()(2**53 - 1, name="n") == 2**53 - 1
        with pytest.raises(ConfigurationError, match="out of range"):
            whole()(2**53, name="n")


class TestNumbers:
    @pytest.mark.parametrize("value", [0.5, Fraction(1, 2), Decimal("0.5")])
    def test_it_is_a_float(self, value):
        taken = kinds.number(0, 1)(value, name="n")

        assert (taken, type(taken)) == (0.5, float)

    @pytest.mark.parametrize("value", [*NO_NUMBERS, math.nan, math.inf, -0.1, 1.1], ids=lambda v: type(v).__name__)
    def test_anything_else_is_refused(self, value):
        with pytest.raises(ConfigurationError, match=r"^n="):
            kinds.number(0, 1)(value, name="n")


class TestFlags:
    @pytest.mark.parametrize("value", [True, False])
    def test_a_truth_is_taken(self, value):
        assert kinds.flag(value, name="f") is value

    @pytest.mark.parametrize("value", [0, 1, "yes", "", None, 1.0, [], Level.TWO])
    def test_what_only_counts_as_one_is_not(self, value):
        with pytest.raises(ConfigurationError, match=r"^f=.* is neither True nor False"):
            kinds.flag(value, name="f")


class TestDurations:
    @pytest.mark.parametrize("value", [90, 90.0, "90s", timedelta(seconds=90), Fraction(90), Decimal(90), Indexed(90)])
    def test_seconds_of_whatever_says_them(self, value):
        taken = kinds.duration(value, name="d")

        assert (taken, type(taken)) == (90.0, float)

    @pytest.mark.parametrize("value", ["36700d", 1e18, 10**400, timedelta.max, "9" * 500, math.nan, -1, timedelta(-1)])
    def test_what_no_calendar_holds_is_refused(self, value):
        with pytest.raises(ConfigurationError, match=r"^d=.* is not a usable duration"):
            kinds.duration(value, name="d")

    @pytest.mark.parametrize("value", [None, True, b"5s", [], date(2026, 1, 1), Unshowable()])
    def test_what_says_none_is_refused(self, value):
        with pytest.raises(ConfigurationError, match=r"^d="):
            kinds.duration(value, name="d")


class TestStorable:
    @pytest.mark.parametrize(
        ("value", "can"),
        [("", True), ("abc", True), ("für", True), ("\0", False), ("ü\0", False), ("\ud800", False)],
    )
    def test_a_text_that_every_store_can_keep(self, value, can):
        """W9: no NUL and no half of a character."""
        assert kinds.is_storable(value) is can


class TestOptions:
    def test_of_several_unknown_options_the_first_by_name_is_named(self):
        with pytest.raises(ConfigurationError, match="a: there is no option 'colour'; "):
            Table(key=optional(text())).read({"speed": 1, "colour": 2, "key": None}, of="a")


class TestSizes:
    @pytest.mark.parametrize(
        ("value", "size"),
        [
            (1, 1),
            (1024, 1024),
            (1e6, 1_000_000),
            ("512", 512),
            ("1KB", 1024),
            ("1.5 MiB", 1_572_864),
            ("2g", 2_147_483_648),
        ],
    )
    def test_bytes_as_people_write_them(self, value, size):
        assert kinds.size(value, name="s") == size

    @pytest.mark.parametrize("value", [None, True, 0, -1, 0.5, "", "MB", "1TB", "9" * 400 + "MB", "0KB"])
    def test_anything_else_is_refused(self, value):
        with pytest.raises(ConfigurationError, match=r"^s="):
            kinds.size(value, name="s")


class TestTexts:
    @pytest.mark.parametrize("value", ["red", Colour.RED, Name("red")])
    def test_it_is_a_plain_text(self, value):
        taken = text()(value, name="t")

        assert (taken, type(taken)) == ("red", str)

    def test_a_number_is_refused_with_the_text_as_remedy(self):
        with pytest.raises(ConfigurationError, match=r'^key=7 is not a string; write key="7"$'):
            text()(7, name="key")

    @pytest.mark.parametrize("value", [None, True, b"x", ["x"], {}, object(), Unshowable(), "", "  "])
    def test_what_says_nothing_or_is_no_text_is_refused(self, value):
        with pytest.raises(ConfigurationError, match=r"^t="):
            text()(value, name="t")

    @pytest.mark.parametrize("value", ["a\0b", "\ud800", "x" * 501])
    def test_what_a_store_cannot_keep_is_refused(self, value):
        with pytest.raises(ConfigurationError, match=r"^t="):
            text()(value, name="t")

    def test_no_remark_is_an_empty_one(self):
        assert kinds.remark(None, name="reason") == ""
        assert kinds.remark("", name="reason") == ""
        with pytest.raises(ConfigurationError, match=r'reason=7 is not a string; write reason="7"'):
            kinds.remark(7, name="reason")

    @pytest.mark.parametrize("value", [Colour.RED, "red"])
    def test_a_word_is_known_by_its_value(self, value):
        assert one_of(Colour)(value, name="c") is Colour.RED

    @pytest.mark.parametrize("value", ["RED", "", None, 0, ["red"], b"red", True])
    def test_a_word_that_is_none_is_refused(self, value):
        with pytest.raises(ConfigurationError, match=r"^c=.* is unknown; use red"):
            one_of(Colour)(value, name="c")


class TestInstants:
    def test_it_is_in_utc(self):
        at = datetime(2026, 6, 1, 12, tzinfo=timezone(timedelta(hours=2)))

        assert kinds.instant(at, name="at") == datetime(2026, 6, 1, 10, tzinfo=UTC)
        assert kinds.instant(at, name="at").tzinfo is UTC

    def test_the_ends_of_the_calendar_do_not_overflow(self):
        west, east = timezone(timedelta(hours=-12)), timezone(timedelta(hours=14))

        assert kinds.instant(datetime.max.replace(tzinfo=west), name="at") == FAR_END
        assert kinds.instant(datetime.min.replace(tzinfo=east), name="at") == datetime.min.replace(tzinfo=UTC)

    @pytest.mark.parametrize("value", [datetime(2026, 1, 1), date(2026, 1, 1), "2026-01-01", 1e9, None, True])  # noqa: DTZ001
    def test_anything_else_is_refused(self, value):
        with pytest.raises(ConfigurationError, match=r"^at="):
            kinds.instant(value, name="at")


class TestSeveral:
    def test_a_set_has_an_order_that_does_not_change(self):
        assert many(text())({"b", "c", "a"}, name="tags") == ("a", "b", "c")
        assert many(text())(iter(["b", "a"]), name="tags") == ("b", "a")

    @pytest.mark.parametrize("value", ["db", b"db", {"a": 1}, 7, None, True])
    def test_what_is_no_list_is_refused_with_the_list_as_remedy(self, value):
        with pytest.raises(ConfigurationError, match=r"^tags=.* is not a list; "):
            many(text())(value, name="tags")

    def test_an_entry_is_named(self):
        with pytest.raises(ConfigurationError, match=r'^tags\[1\]=2 is not a string; write tags\[1\]="2"'):
            many(text())(["a", 2], name="tags")

    def test_an_endless_one_ends(self):
        with pytest.raises(ConfigurationError, match="more than 1,000 entries"):
            many(text())(iter(lambda: "a", "b"), name="tags")

    def test_permits_are_whole_numbers_by_name(self):
        assert kinds.sizes_by_name({"r": 2.0}, name="uses") == {"r": 2}
        for wrong in ({"r": True}, {"r": 0}, {7: 1}, {"r": "1"}, ["r"], None, "r"):
            with pytest.raises(ConfigurationError, match="uses"):
                kinds.sizes_by_name(wrong, name="uses")


class TestLargestNumbers:
    """W9: up to the largest that every reader of JSON keeps."""

    def test_the_largest_is_taken_and_the_next_is_not(self):
        assert kinds.MAX_WHOLE == 2**53 - 1 == 9_007_199_254_740_991
        assert kinds.whole()(2**53 - 1, name="max_due") == 2**53 - 1
        with pytest.raises(ConfigurationError, match="max_due"):
            kinds.whole()(2**53, name="max_due")

    def test_what_is_no_size_says_how_one_is_written(self):
        with pytest.raises(ConfigurationError, match="512MB"):
            kinds.size([], name="max_memory")


class TestRunIds:
    def test_a_number_that_no_run_has_is_an_unknown_run(self):
        for wrong in (0, -1, 2**63, 2**70):
            with pytest.raises(UnknownRun):
                kinds.run_id(wrong, name="run_id")

    @pytest.mark.parametrize("number", [1, 7, 7.0, 2**63 - 1])
    def test_any_other_may_be_one(self, number):
        assert kinds.run_id(number, name="run_id") == int(number)

    def test_a_run_is_no_id(self):
        class Handle:
            id = 7

        with pytest.raises(ConfigurationError, match=r"give the id of that run: run\.id"):
            kinds.run_id(Handle(), name="run_id")


class TestTables:
    def test_it_says_whose_option_it_is(self):
        table = Table(key=optional(text()))

        assert table.read({"key": None}, of="worker 'a'") == {"key": None}
        with pytest.raises(ConfigurationError, match=r'^worker \'a\': key=7 is not a string; write key="7"$'):
            table.read({"key": 7}, of="worker 'a'")
        with pytest.raises(ConfigurationError, match=r"^worker 'a': there is no option 'kye'; did you mean 'key'\?"):
            table.read({"kye": 7}, of="worker 'a'")
