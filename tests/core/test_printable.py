"""A7: what people may be shown of texts from anywhere."""

from __future__ import annotations

import json
import sys
import unicodedata

import pytest

from shiftboss.core.printable import block, json_text, lines_of, one_line

EVERYTHING = [chr(number) for number in range(sys.maxunicode + 1)]
HARMFUL = ("Cc", "Cs", "Zl", "Zp")
VISIBLE_FORMATS = {*range(0x600, 0x606), 0x6DD, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD, *range(0x13430, 0x13440)}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, Grüße, 日本語　だ, 👍️, C:\\new", "plain, Grüße, 日本語　だ, 👍️, C:\\new"),
        ("a\nb\r\nc\td", "a\\nb\\r\\nc\\td"),
        ("\x1b[2J\x9b31m\x7f\0", "\\x1b[2J\\x9b31m\\x7f\\x00"),
        ("a\u202etxt.exe\u2066\u200f", "a\\u202etxt.exe\\u2066\\u200f"),
        ("zero\u200bwidth\ufeff\u2060\xad", "zero\\u200bwidth\\ufeff\\u2060\\xad"),
        ("a\u2028b\u2029c\x85d", "a\\u2028b\\u2029c\\x85d"),
        ("\ud800 \udfff", "\\ud800 \\udfff"),
        ("tag\U000e0041", "tag\\U000e0041"),
        (ValueError("two\nlines"), "two\\nlines"),
        ("", ""),
    ],
)
def test_what_ends_a_line_acts_or_hides_is_escaped_and_the_rest_is_as_it_was(text, shown):
    assert one_line(text) == shown
    assert one_line(shown) == shown


def test_no_character_that_acts_is_let_through_and_none_that_is_seen_is_changed():
    """A7: of all of Unicode."""
    for character in EVERYTHING:
        kind = unicodedata.category(character)
        if kind in HARMFUL or (kind == "Cf" and ord(character) not in VISIBLE_FORMATS):
            assert one_line(character).isascii(), hex(ord(character))
            assert one_line(character).isprintable(), hex(ord(character))
        elif kind[0] in "LNPS" and character not in "\u115f\u1160\u3164\uffa0":  # letters that nobody sees
            assert one_line(character) == character, hex(ord(character))


def test_a_block_keeps_its_lines_each_of_them_indented():
    """A7: none of them can pass for a line of its own."""
    text = "Traceback:\n\tdeep\r\n2027-01-01 ERROR forged\x1b[1A\x85x\n\n"

    assert block(text) == "    Traceback:\n        deep\n    2027-01-01 ERROR forged\\x1b[1A\\x85x"
    assert lines_of("") == lines_of("\n\n") == []
    assert lines_of("\n a") == ["", " a"]


def test_json_stays_the_same_value_and_shows_nothing_that_acts():
    value = {"a\u202e": ["\x9b", "\u2028", "\x7f", "é 日本", "\U000e0041", "\n\x1b"]}
    for text in (json.dumps(value, ensure_ascii=False), json.dumps(value, ensure_ascii=False, indent=2)):
        shown = json_text(text)

        assert json.loads(shown) == value
        assert one_line(shown.replace("\n", "")) == shown.replace("\n", "")
        assert "é 日本" in shown
