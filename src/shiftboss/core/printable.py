"""Text from anywhere, as people may be shown it: one line stays one line, and nothing in it acts or hides.

Rules of this file
- Characters that end a line, move a cursor, change the direction of writing or cannot be seen are shown as Python
  writes them: `\\n`, `\\x1b`, `\\u202e`.  Nothing is dropped, and text that was escaped once is not escaped again.
- A block keeps its lines, each of them indented, so that no line can pass for one of ours.
- JSON stays JSON of the same value: its characters are escaped in JSON's way.
"""

from __future__ import annotations

import re

from shiftboss.core.pattern import lazy_pattern

INDENT = "    "
NEWLINES = lazy_pattern(r"\r?\n")
# Control characters (C0, DEL, C1), lone surrogates, the separators of lines and paragraphs, non-characters, and what
# Unicode calls format or "default ignorable": marks of direction, zero-width characters, tags.  U+FE00 to U+FE0F are
# left out: they only choose between forms of the sign before them, and half of all emoji have one.
UNSEEN = lazy_pattern(
    "[\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u070f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ud800-\udfff\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
)


def one_line(text: object) -> str:
    """*text* on one line, with every character escaped that is not visible."""
    given = text if isinstance(text, str) else str(text)
    if given.isascii() and given.isprintable():
        return given
    return UNSEEN.sub(_escaped, given)


def lines_of(text: str) -> list[str]:
    """The lines of a block, each as `one_line`; empty ones at its end are left out."""
    kept = text.rstrip(" \t\r\n")
    return [one_line(line.expandtabs(4)).rstrip() for line in NEWLINES.split(kept)] if kept else []


def block(text: str, indent: str = INDENT) -> str:
    """*text* line by line, each line indented."""
    return "\n".join(f"{indent}{line}".rstrip() for line in lines_of(text))


def json_text(text: str) -> str:
    """JSON, possibly of several lines, with every invisible character escaped in JSON's way."""
    if text.isascii() and "\x7f" not in text:
        return text
    return UNSEEN.sub(lambda match: match[0] if match[0] == "\n" else _json_escaped(match[0]), text)


def _escaped(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")


def _json_escaped(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
