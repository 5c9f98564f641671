"""Text from anywhere, as people may be shown it: one line is one line, and nothing in it acts or hides.

Rules of this file
- What would end a line, move a cursor, turn the direction of writing or stand there unseen is shown as Python writes
  it: `\\n`, `\\x1b`, `\\u202e`.  Nothing is dropped, and what was shown once is not changed by being shown again.
- A block keeps its lines, each of them indented: none can pass for a line of its own.
- JSON stays JSON of the same value: the same characters, as JSON escapes them.
"""

from __future__ import annotations

import re

INDENT = "    "
NEWLINES = re.compile(r"\r?\n")
# Control characters (C0, DEL, C1), lone surrogates, the separators of lines and paragraphs, non-characters, and what
# Unicode calls format or "default ignorable": marks of direction, of zero width, tags.  U+FE00 to U+FE0F only choose
# between forms of the sign before them, and half of all emoji carry one.
UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u070f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ud800-\udfff\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
)


def one_line(text: object) -> str:
    """*text* on one line, with every character that is none to look at escaped."""
    given = text if isinstance(text, str) else str(text)
    if given.isascii() and given.isprintable():
        return given
    return UNSEEN.sub(_escaped, given)


def lines_of(text: str) -> list[str]:
    """The lines of a block, each on one line; empty ones at its end are left out."""
    kept = text.rstrip(" \t\r\n")
    return [one_line(line.expandtabs(4)).rstrip() for line in NEWLINES.split(kept)] if kept else []


def block(text: str, indent: str = INDENT) -> str:
    """*text* line by line, each indented."""
    return "\n".join(f"{indent}{line}".rstrip() for line in lines_of(text))


def json_text(text: str) -> str:
    """JSON, possibly over several lines, with what is not to be seen escaped as JSON does."""
    if text.isascii() and "\x7f" not in text:
        return text
    return UNSEEN.sub(lambda match: match[0] if match[0] == "\n" else _json_escaped(match[0]), text)


def _escaped(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")


def _json_escaped(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
