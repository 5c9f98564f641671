"""What a document says, with its places, and in how many ways a secret may be written in a text (A12)."""

from __future__ import annotations

import re

import msgspec
import pytest
from builders import NOON

from shiftboss.core import events, kinds
from shiftboss.core.redact import redaction
from shiftboss.core.secret_json import texts_in
from shiftboss.errors import ConfigurationError


def test_every_text_and_number_of_a_document_has_its_place():
    texts, places = texts_in(b'{"a":"x","b":[1,null,true,["y",2.5]],"c":{}}')

    assert dict(zip(places, texts, strict=True)) == {(0,): "x", (1, 0): "1", (1, 3, 0): "y", (1, 3, 1): "2.5"}


@pytest.mark.parametrize(
    ("document", "texts"), [(b'"x"', ["x"]), (b"7", ["7"]), (b"null", []), (b"false", []), (b"[]", [])]
)
def test_a_document_that_is_one_value_has_no_way_to_it(document, texts):
    assert texts_in(document) == (texts, [()] * len(texts))


SECRET = "pässwört\x01tail"


@pytest.mark.parametrize(
    "written",
    [
        SECRET,
        SECRET.encode("ascii", "backslashreplace").decode(),
        SECRET.replace("ä", r"\u00e4").replace("ö", r"\u00f6").replace("\x01", r"\u0001"),
        SECRET.replace("ä", "%C3%A4").replace("ö", "%c3%b6").replace("\x01", "%01"),
        repr(SECRET.encode())[2:-1],
    ],
)
def test_a_secret_is_found_however_its_letters_are_written(written):
    """A12: escaped as JSON, Python, a URL or bytes do."""
    masked = redaction(()).knowing((SECRET,)).text(f"before {written} after")

    assert re.search(r"w(ö|\\|%)", masked) is None
    assert masked.startswith("before ")
    assert masked.endswith(" after")


def test_a_number_that_is_secret_is_masked_and_what_is_none_stays():
    """A12: neither a truth value nor null is a number."""
    document = redaction(()).knowing(("1234567", "None", "True", "1")).json(b'{"n":1234567,"t":true,"z":null}')

    assert b"1234567" not in document
    assert b'"t":true' in document
    assert b'"z":null' in document


def kinds_of_events():
    return [each for each in vars(events).values() if isinstance(each, type) and issubclass(each, events.Event)]


def test_every_event_is_read_as_what_was_written():
    """A2: a kind that is missing among those could not be read any more."""
    simple = [each for each in kinds_of_events() if each is not events.Event and each.__struct_config__.tag]
    read = [type(msgspec.json.decode(msgspec.json.encode(each(at=NOON)), type=events.AnyEvent)) for each in simple]

    assert read == simple
    assert len(read) > 20


def test_a_function_is_what_can_be_called():
    """W9"""
    assert kinds.callable_(len, name="codec") is len
    with pytest.raises(ConfigurationError, match="codec=5 cannot be called; give a function"):
        kinds.callable_(5, name="codec")
