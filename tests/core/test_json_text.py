"""Of two texts of JSON: do they say the same, and does each say one thing only?"""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shiftboss.core.json_text import MAX_NESTING, NoJson, WrittenNumber, WrongJson, in_one_form, one_number, read

LEVELS = 200_000


class TestReading:
    """Q2"""

    def test_numbers_keep_their_digits(self):
        found = read(b'{"price": 1.10, "share": 0.12345678901234567890, "id": 12345678901234567890123, "far": 1e400}')

        assert [each.text for each in found.values() if isinstance(each, WrittenNumber)] == [
            "1.10",
            "0.12345678901234567890",
            "1e400",
        ]
        assert found["id"] == 12345678901234567890123

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ('{"a": 1, "a": 1}', "has the name 'a' twice at `$`; leave one of them out"),
            ('{"a": 1, "b": {"a": 2}, "\\u0061": 3}', "has the name 'a' twice at `$`"),
            ('{"x": [{"b": 1}, {"b": {"c": 1, "": 2, "": 3}}]}', "has the name '' twice at `$.x[1].b`"),
            ('[[{"k":0,"k":0}]]', "has the name 'k' twice at `$[0][0]`"),
            ('{"%s":1,"%s":2}' % (("n" * 500,) * 2), f"has the name '{'n' * 80}…' twice"),
        ],
    )
    def test_a_name_that_stands_twice_is_refused_with_its_place(self, text, said):
        with pytest.raises(WrongJson) as caught:
            read(text.encode())

        assert said in str(caught.value)

    @pytest.mark.parametrize("text", ['{"a":{"a":{"a":1}},"b":["a:b","\\"a\\":1"]}', '["a", "a"]', '{"a":"x","A":"x"}'])
    def test_the_same_name_in_other_objects_and_in_texts_is_none_of_these(self, text):
        assert read(text.encode()) == json.loads(text)

    @pytest.mark.parametrize("begin", [b"[", b'{"a":'])
    def test_what_is_nested_too_deep_is_refused_and_not_read(self, begin):
        end = b"]" if begin == b"[" else b"}"
        assert read(begin * MAX_NESTING + b"1" + end * MAX_NESTING)
        for levels in (MAX_NESTING + 1, LEVELS):
            with pytest.raises(WrongJson, match="nested deeper than 256 levels"):
                read(begin * levels + b"1" + end * levels)
        with pytest.raises(WrongJson):
            read(begin * LEVELS)

    def test_brackets_in_texts_and_beside_each_other_are_no_levels(self):
        text = b'["%s", "\\"%s", %s]' % (b"[" * 1000, b"{" * 1000, b", ".join([b"[[]]"] * 1000))

        assert len(read(text)) == 1002

    def test_an_unfinished_text_takes_no_longer_than_another(self):
        """Each of its quotes could begin a text that goes on to the end."""
        with pytest.raises(NoJson):
            read(b"[]" * 300 + b'"' + b'\\"' * 500_000)

    @pytest.mark.parametrize(
        ("data", "said"),
        [
            (b"", "is empty"),
            (b" \n", "is empty"),
            (b'\xef\xbb\xbf{"a": 1}', "begins with a byte order mark"),
            ('{"a": 1}'.encode("utf-16"), "is UTF-16"),
            ('{"a": 1}'.encode("utf-16-be"), "is UTF-16"),
            ('{"a": 1}'.encode("utf-32"), "is UTF-16"),
            (b'{"a": "\\ud800"}', "is not valid JSON"),
            (b'{"a": "\xed\xa0\x80"}', "is not valid JSON"),
            (b'{"a": NaN}', "is not valid JSON"),
            (b'{"a": -Infinity}', "is not valid JSON"),
            (b'{"a": 1} {"b": 2}', "is not valid JSON"),
            (b'{"a": 1},', "is not valid JSON"),
            (b'{"a": 01}', "is not valid JSON"),
            (b'{"a": "\n"}', "is not valid JSON"),
            (b"{'a': 1}", "is not valid JSON"),
        ],
    )
    def test_what_is_none_is_refused(self, data, said):
        with pytest.raises(NoJson) as caught:
            read(data)

        assert str(caught.value).startswith(said)


class TestOneForm:
    """O5"""

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ('{"a":1,"b":2}', ' {"b": 2,\n"a" : 1}\n'),
            ('{"price":1.10}', '{"price":1.1}'),
            ('{"price":1.10}', '{"price":11e-1}'),
            ("[1]", "[1.0]"),
            ("[100000]", "[1E5]"),
            ("[0]", "[-0.0e7]"),
            ("[1e70]", f"[1{'0' * 70}]"),
            ("[0.1e400]", "[1e399]"),
            ('["é"]', '["\\u00e9"]'),
            ('{"é":"/"}', '{"\\u00E9":"\\/"}'),
        ],
    )
    def test_texts_that_say_the_same_have_one(self, one, other):
        assert in_one_form(one.encode()) == in_one_form(other.encode())

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ('{"a":1}', '{"a":"1"}'),
            ('{"a":1}', '{"a":true}'),
            ('{"a":null}', "{}"),
            ("[1,2]", "[2,1]"),
            ("[0.12345678901234567890]", "[0.12345678901234567891]"),
            ("[12345678901234567890]", "[12345678901234567891]"),
            ("[1e400]", "[1e401]"),
            ("[1]", "[-1]"),
        ],
    )
    def test_texts_that_do_not_have_two(self, one, other):
        assert in_one_form(one.encode()) != in_one_form(other.encode())

    def test_what_the_library_writes_is_its_own_form(self):
        written = b'{"at":"2026-03-01T12:00:00Z","items":[1,2.5,-0.25,null,true],"to":"ada"}'

        assert in_one_form(written) == written

    @pytest.mark.parametrize("data", [b"\xff", b"{", b"", b"[" * LEVELS, b"[1e999999999999]"])
    def test_anything_has_one(self, data):
        """Stored rows are read by it too."""
        assert len(in_one_form(data)) <= len(data)

    @given(st.integers(-(10**40), 10**40), st.integers(-60, 60))
    def test_a_number_is_its_value(self, digits, exponent):
        text = f"{digits}e{exponent}"
        longer = f"{digits}000.0e{exponent - 3}"

        assert one_number(text) == one_number(longer)
        assert float(one_number(text)) == float(text)

    @given(st.floats(allow_nan=False, allow_infinity=False))
    def test_a_float_is_its_value(self, value):
        assert float(one_number(repr(value))) == value
        assert one_number(repr(value)) == one_number(msgspec.json.encode(value).decode())
