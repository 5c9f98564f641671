"""How much of a function's texts is kept, and how they are cut: always after their secrets were masked.

Rules of this file
- Whoever takes a text from a function first cuts it loosely (`head`, `ends` with RAW_CHARS); then it is masked; then it
  is cut to its final length.
- The loose cut may leave half a secret at its border, where no pattern finds it.  Normally the border lies beyond what
  is kept.  If masking has made the text so short that the border would be kept, the text ends at the last mask before
  the border, and continues at the first mask behind it.
- A text that lost its middle says how much is missing.
"""

from __future__ import annotations

from shiftboss.core.pattern import lazy_pattern
from shiftboss.core.secret_json import MASK

RAW_CHARS = 32 * 1024  # of a text before it is masked: twice the longest that is kept; masking it takes some 2 ms
MAX_LINE_CHARS = 2_000  # of a log line; the end of a traceback is in the error anyway
MAX_PROGRESS_CHARS = 500  # one line in a table
MAX_MESSAGE_CHARS = 2_000  # of an error: room for a database's complaint with its statement; lists show the first line
MAX_TRACEBACK_CHARS = 16_000  # some 150 frames; an attempt is kept in its run's row, up to a few of them
HEAD_CHARS = 4_000  # of those: the beginning, where the error came from
MAX_REASON_CHARS = 500  # why a result differs from what was returned

_LEFT_OUT = lazy_pattern(r"\n… (\d+) characters left out …\n")


def head(raw: str, masked: str, limit: int) -> str:
    """The beginning of *masked*, which was made from *raw*; at most *limit* characters."""
    if len(raw) >= RAW_CHARS and len(masked) <= limit:
        return before_border(masked)
    return masked[:limit]


def loose_ends(text: str) -> str:
    """The beginning and the end of a text that is yet to be masked."""
    if len(text) <= RAW_CHARS:
        return text
    return _joined(text[: RAW_CHARS // 4], len(text) - RAW_CHARS, text[-(RAW_CHARS - RAW_CHARS // 4) :])


def ends(masked: str) -> str:
    """The beginning and the end of a traceback that has been masked."""
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
    """*text* up to its last mask: what follows that mask may be the beginning of a secret."""
    return text[: text.rfind(MASK) + len(MASK)] if MASK in text else text


def behind_border(text: str) -> str:
    """*text* from its first mask on: what comes before it may be the end of a secret."""
    return text[text.find(MASK) :] if MASK in text else text
