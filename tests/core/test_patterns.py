"""What our patterns may not use: possessive repeats of more than one character, and atomic groups.

CPython before 3.11.5 matches them wrongly where what they repeat can backtrack (gh-106052), and Debian 12 has 3.11.2.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from re import _constants as codes
from re import _parser as parser
from typing import Any

import pytest

from shiftboss.core.pattern import lazy_pattern

ONE_CHARACTER = frozenset((codes.LITERAL, codes.NOT_LITERAL, codes.IN, codes.ANY))
COLLECT = """
import importlib, json, pkgutil, re, sys
found = set()
compiled = re._compile
def recording(pattern, flags):
    frame = sys._getframe(1)
    while frame.f_code.co_filename == re.__file__:
        frame = frame.f_back
    if frame.f_globals.get("__name__", "").startswith("shiftboss"):
        found.add((getattr(pattern, "pattern", pattern), int(flags) if isinstance(pattern, str) else 0))
    return compiled(pattern, flags)
re._compile = recording
import shiftboss
from shiftboss.core.pattern import Pattern
later = Pattern.__init__
def at_once(self, *arguments):
    later(self, *arguments)
    self.pattern
Pattern.__init__ = at_once
for module in pkgutil.walk_packages(shiftboss.__path__, "shiftboss."):
    try:
        importlib.import_module(module.name)
    except ImportError:  # of an extra that is not installed
        pass
    except SystemExit:
        pass
from shiftboss.core.redact import Redaction
mask = Redaction(["card number"], patterns=["x"], values=['a "b"\\n<c> \\\\\\u00e9%', "1234"])
mask.text('token="a\\'b", [("token", "x")] --token x, {} Authorization: x 1234 a "b"\\n<c> \\\\\\u00e9%…')
print(json.dumps(sorted(each for each in found if isinstance(each[0], str))))
"""


def refused(tree: Any) -> Iterator[str]:
    """What *tree*, a parsed pattern or a part of one, has of these."""
    for operation, argument in tree:
        if operation is codes.ATOMIC_GROUP:
            yield "an atomic group"
        elif operation is codes.POSSESSIVE_REPEAT:
            inner = argument[2]
            if len(inner) != 1 or inner[0][0] not in ONE_CHARACTER:
                yield "a possessive repeat of more than one character"
        for part in argument if isinstance(argument, tuple | list) else (argument,):
            yield from _within(part)


def _within(part: Any) -> Iterator[str]:
    if isinstance(part, parser.SubPattern):
        yield from refused(part)
    elif isinstance(part, list | tuple):
        for each in part:
            yield from _within(each)


def test_no_pattern_of_ours_needs_what_older_pythons_get_wrong():
    said = subprocess.run([sys.executable, "-c", COLLECT], check=True, capture_output=True, timeout=120)
    patterns = json.loads(said.stdout.splitlines()[-1])
    wrong = {pattern: list(refused(parser.parse(pattern, flags))) for pattern, flags in patterns}

    assert len(patterns) > 80
    assert {pattern: why for pattern, why in wrong.items() if why} == {}


@pytest.mark.parametrize("pattern", ["(?>a|b)", "(?:ab)*+", "x(?:(?:ab|c)?+)y", "(?=(?:a|bc){1,3}+)", "(?:a++|b)++"])
def test_such_a_pattern_is_noticed_wherever_it_stands(pattern):
    assert list(refused(parser.parse(pattern)))


@pytest.mark.parametrize("pattern", [r"a*+", r"[ab]{0,5}+", r"\s?+x", r"(?:a|b)*", r".++"])
def test_possessive_repeats_of_one_character_are_fine(pattern):
    assert not list(refused(parser.parse(pattern)))


def test_a_lazy_pattern_is_compiled_at_its_first_use():
    wrong = lazy_pattern("(")

    with pytest.raises(re.error, match="missing \\)"):
        wrong.search("(")


def test_a_lazy_pattern_is_used_like_any_other():
    words, of_bytes = lazy_pattern("(?P<word>[a-z]+)", re.IGNORECASE), lazy_pattern(rb"\d+")

    assert [match["word"] for match in words.finditer("Oslo, Rome")] == ["Oslo", "Rome"]
    assert (words.pattern, words.groups, words.flags & re.IGNORECASE) == ("(?P<word>[a-z]+)", 1, re.IGNORECASE)
    assert of_bytes.sub(b"#", b"a1b22") == b"a#b#"
    assert not hasattr(words, "none_of_a_pattern")
