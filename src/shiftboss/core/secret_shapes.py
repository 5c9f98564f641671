"""Keys that can be recognized by their shape, whatever their name is.

Rules of this file
- A shape begins with letters that texts rarely contain, and so does its pattern: searching for such letters takes a
  tenth of the time of any other pattern, and half of that if the text is first asked whether it contains them.  What
  must stand before the letters is checked after they were found.
- A shape that needs a sign (`_`, `-`, a full stop) is not searched for in a text without that sign.
- The shapes are those that detect-secrets' plugins look for, as far as their beginning is unmistakable.  Google's,
  SendGrid's, app tokens and webhook secrets follow their issuers' documentation.  Shortened keys count as well.
- A key is masked to its end, however long it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from shiftboss.core.pattern import lazy_pattern

Span = tuple[int, int]

GITLAB = ("pat", "dt", "ft", "soat", "rt", "cbt", "imt", "ptt", "agent", "oas")
_WORD = "[A-Za-z0-9_-]"


class Shape(NamedTuple):
    """A text without *sign* and *begin* has none; so many characters of the key come *before* the match."""

    sign: str
    begin: str
    pattern: re.Pattern[str]
    before: int = 0


def _shape(sign: str, begin: str, rest: str, *, before: str = "") -> Shape:
    """*begin* with no word before it, or before the one character *before* it; then *rest*."""
    lead = f"(?<={before}{begin})" if before else ""
    return Shape(
        sign,
        begin.replace("\\", ""),
        lazy_pattern(f"{begin}{lead}(?<!{_WORD}{before}{begin}){rest}"),
        1 if before else 0,
    )


SHAPES = (
    *(_shape("", begin, r"[0-9A-Z]{16}(?![0-9A-Za-z])") for begin in ("AKIA", "ASIA", "ABIA", "ACCA")),  # AWS
    _shape("", "A3T", r"[0-9A-Z]{17}(?![0-9A-Za-z])"),
    _shape("_", "gh", r"[pousr]_[A-Za-z0-9]{30,}+"),  # GitHub
    _shape("_", "github_pat_", r"[A-Za-z0-9_]{20,}+"),
    _shape("-", "gl", rf"(?:{'|'.join(GITLAB)})-[A-Za-z0-9_-]{{16,}}+"),
    _shape("", "GR1348941", r"[A-Za-z0-9_-]{16,}+"),
    _shape("-", "xox", r"[a-z]-[A-Za-z0-9-]{10,}+"),  # Slack
    _shape("-", "xapp-", r"[A-Za-z0-9-]{10,}+"),
    Shape(
        ".",
        "hooks.slack.com/",
        lazy_pattern(r"hooks\.slack\.com/(?=((?:services|workflows|triggers)/[A-Za-z0-9/_-]{10,}+))"),
    ),
    _shape("_", "k_", r"(?:live|test)_[A-Za-z0-9]{10,}+", before="[rsp]"),  # Stripe
    _shape("_", "whsec_", r"[A-Za-z0-9+/=]{16,}+"),
    _shape("-", "sq0csp-", r"[A-Za-z0-9_-]{30,}+"),  # Square
    _shape("", "AIza", r"[A-Za-z0-9_-]{30,}+"),  # Google
    _shape("_", "npm_", r"[A-Za-z0-9]{30,}+"),
    _shape("-", "pypi-", r"[A-Za-z0-9_-]{40,}+"),
    _shape("-", "sk-", r"[A-Za-z0-9_-]{20,}+"),  # OpenAI, Anthropic
    _shape(".", r"SG\.", r"[A-Za-z0-9_-]{16,64}\.[A-Za-z0-9_-]{16,64}"),  # SendGrid
    _shape(".", "eyJ", r"[A-Za-z0-9_-]{8,}+\.[A-Za-z0-9_-]{8,}+(?:\.[A-Za-z0-9_-]*+)?"),  # a JSON Web Token
)
_PRIVATE_KEY = lazy_pattern(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY")  # up to its end, see below


SEPARATOR = "\ud800"  # as in `secret_texts.py`


def spans(text: str, first: int, last: int, end: int) -> Iterator[Span]:
    """The keys that begin within *first* and *last*, searched for up to *end*."""
    signs = {"", *(sign for sign in "_-." if text.find(sign, first, end) >= 0)}
    for shape in SHAPES:
        if shape.sign in signs and text.find(shape.begin, first, end) >= 0:
            yield from _of_shape(shape, text, first, last, end)
    at = first
    while "-" in signs and (match := _PRIVATE_KEY.search(text, at, end)) is not None and match.start() < last:
        at = _end_of_key(text, match.end())
        yield match.start(), at


def _of_shape(shape: Shape, text: str, first: int, last: int, end: int) -> Iterator[Span]:
    for match in shape.pattern.finditer(text, first, end):
        if match.start() >= last:
            return
        if match.end(shape.pattern.groups) == end:  # not the end of the key, but of the range that is searched
            match = shape.pattern.match(text, match.start()) or match
        start, stop = match.span(shape.pattern.groups)
        yield start - shape.before, stop


def _end_of_key(text: str, at: int) -> int:
    """The position behind the line that ends a private key; the end of its text if the key was cut."""
    text_end = text.find(SEPARATOR, at)
    text_end = len(text) if text_end < 0 else text_end
    last_line = text.find("-----END", at, text_end)
    if last_line < 0:
        return text_end
    end = text.find("-----", last_line + len("-----END"), text_end)
    return text_end if end < 0 else end + len("-----")
