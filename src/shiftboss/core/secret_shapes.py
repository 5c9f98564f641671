"""Keys that are known by their shape, whatever they are called.

Rules of this file
- A shape has a fixed beginning that texts rarely have; where that is missing, nothing else is looked for.
- The shapes are those that detect-secrets' plugins look for and that begin so that they cannot be mistaken; Google's,
  SendGrid's, app tokens and secrets of hooks are as their issuers show them.  Shortened ones count as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

Span = tuple[int, int]

GITLAB = (
    "glpat-", "gldt-", "glft-", "glsoat-", "glrt-", "glcbt-", "glimt-", "glptt-", "glagent-", "gloas-", "GR1348941",
)  # fmt: skip
_NO_WORD = r"(?<![A-Za-z0-9_-])"
SHAPES = tuple(
    (anchor, re.compile(pattern if pattern.startswith("(?") else _NO_WORD + pattern))
    for anchor, pattern in (
        ("AKIA", r"AKIA[0-9A-Z]{16}(?![0-9A-Za-z])"),  # AWS
        ("ASIA", r"ASIA[0-9A-Z]{16}(?![0-9A-Za-z])"),
        ("ABIA", r"ABIA[0-9A-Z]{16}(?![0-9A-Za-z])"),
        ("ACCA", r"ACCA[0-9A-Z]{16}(?![0-9A-Za-z])"),
        ("A3T", r"A3T[0-9A-Z]{17}(?![0-9A-Za-z])"),
        ("ghp_", r"ghp_[A-Za-z0-9]{30,255}"),  # GitHub
        ("gho_", r"gho_[A-Za-z0-9]{30,255}"),
        ("ghu_", r"ghu_[A-Za-z0-9]{30,255}"),
        ("ghs_", r"ghs_[A-Za-z0-9]{30,255}"),
        ("ghr_", r"ghr_[A-Za-z0-9]{30,255}"),
        ("github_pat_", r"github_pat_[A-Za-z0-9_]{20,255}"),
        *((kind, kind + r"[A-Za-z0-9_-]{16,1024}") for kind in GITLAB),
        ("xox", r"xox[a-z]-[A-Za-z0-9-]{10,255}"),  # Slack
        ("xapp-", r"xapp-[A-Za-z0-9-]{10,255}"),
        ("hooks.slack.com", r"(?<=hooks\.slack\.com/)(?:services|workflows|triggers)/[A-Za-z0-9/_-]{10,255}"),
        ("k_live_", r"[rsp]k_live_[A-Za-z0-9]{10,255}"),  # Stripe
        ("k_test_", r"[rsp]k_test_[A-Za-z0-9]{10,255}"),
        ("whsec_", r"whsec_[A-Za-z0-9+/=]{16,255}"),
        ("sq0csp-", r"sq0csp-[A-Za-z0-9_-]{30,60}"),  # Square
        ("AIza", r"AIza[A-Za-z0-9_-]{30,60}"),  # Google
        ("npm_", r"npm_[A-Za-z0-9]{30,255}"),
        ("pypi-", r"pypi-[A-Za-z0-9_-]{40,}"),
        ("sk-", r"sk-[A-Za-z0-9_-]{20,255}"),  # OpenAI, Anthropic
        ("SG.", r"SG\.[A-Za-z0-9_-]{16,64}\.[A-Za-z0-9_-]{16,64}"),  # SendGrid
        ("eyJ", r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?"),  # a JSON Web Token
        ("-----BEGIN", r"(?s)-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY"),  # to its end, see below
    )
)


SEPARATOR = "\ud800"  # as in `secret_texts.py`


def spans(text: str, first: int, last: int, end: int) -> Iterator[Span]:
    """Those that begin within *first* and *last*; none reaches beyond *end* but a private key."""
    for anchor, shape in SHAPES:
        if text.find(anchor, first, end) < 0:
            continue
        at = first
        while (found := shape.search(text, at, end)) is not None and found.start() < last:
            at = _end_of_key(text, found.end()) if anchor == "-----BEGIN" else found.end()
            yield found.start(), at


def _end_of_key(text: str, at: int) -> int:
    """Behind the line that ends a private key; of its text where it was cut."""
    text_end = text.find(SEPARATOR, at)
    text_end = len(text) if text_end < 0 else text_end
    last_line = text.find("-----END", at, text_end)
    if last_line < 0:
        return text_end
    end = text.find("-----", last_line + len("-----END"), text_end)
    return text_end if end < 0 else end + len("-----")
