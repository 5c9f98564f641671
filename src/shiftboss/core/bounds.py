"""How much of what a body says is kept, and how it is cut: after its secrets were masked, never before.

Rules of this file
- Whoever takes a text from a body bounds it loosely (`head`, `ends` with RAW_CHARS); it is masked; then it is cut.
- What a loose cut may have left of a secret, at the border, is beyond what is kept.  Where masking has made a text so
  short that the border would be kept, the text ends at the last mask before it, and goes on at the first behind it.
- A text that lost its middle says how much is missing.
"""

from __future__ import annotations

import re

from shiftboss.core.secret_json import MASK

RAW_CHARS = 32 * 1024  # of a text before it is masked: twice what is kept of any, and masked in some 2 ms
MAX_LINE_CHARS = 2_000  # of a log line; a traceback's tail is in the error anyhow
MAX_PROGRESS_CHARS = 500  # one line in a table
MAX_MESSAGE_CHARS = (
    2_000  # of an error: enough for a database's complaint with its statement; lists show the first line
)
MAX_TRACEBACK_CHARS = 16_000  # some 150 frames; an attempt is kept in its run's row, up to a few of them
HEAD_CHARS = 4_000  # of those: where it came from
MAX_REASON_CHARS = 500  # why a result is not what was returned

_LEFT_OUT = re.compile(r"\n… (\d+) characters left out …\n")


def head(raw: str, masked: str, limit: int) -> str:
    """The beginning of *masked*, which was *raw* before; at most *limit* characters."""
    if len(raw) >= RAW_CHARS and len(masked) <= limit:
        return before_border(masked)
    return masked[:limit]


def loose_ends(text: str) -> str:
    """The beginning and the end of a text that is to be masked."""
    if len(text) <= RAW_CHARS:
        return text
    return _joined(text[: RAW_CHARS // 4], len(text) - RAW_CHARS, text[-(RAW_CHARS - RAW_CHARS // 4) :])


def ends(masked: str) -> str:
    """The beginning and the end of a traceback that was masked."""
    tail_chars = MAX_TRACEBACK_CHARS - HEAD_CHARS
    border = _LEFT_OUT.search(masked)
    if border is None:
        if len(masked) <= MAX_TRACEBACK_CHARS:
            return masked
        return _joined(masked[:HEAD_CHARS], len(masked) - MAX_TRACEBACK_CHARS, masked[-tail_chars:])
    first, last = masked[: border.start()], masked[border.end() :]
    first = first if len(first) > HEAD_CHARS else before_border(first)
    last = last if len(last) > tail_chars else behind_border(last)
    missing = int(border[1]) + max(0, len(first) - HEAD_CHARS) + max(0, len(last) - tail_chars)
    return _joined(first[:HEAD_CHARS], missing, last[-tail_chars:])


def _joined(first: str, missing: int, last: str) -> str:
    return f"{first}\n… {missing} characters left out …\n{last}"


def before_border(text: str) -> str:
    """*text* up to its last mask: what follows may be the beginning of a secret."""
    return text[: text.rfind(MASK) + len(MASK)] if MASK in text else text


def behind_border(text: str) -> str:
    """*text* from its first mask on: what goes before may be the end of a secret."""
    return text[text.find(MASK) :] if MASK in text else text
