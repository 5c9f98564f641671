"""Which words have been given up, and where a text or a module still has one.

Rules of this file
- A word has one meaning, and a thing has one word, which the field knows: docs/explanation/glossary.md has them.  What
  was replaced stands here with what it is called now.
- A local is called by what it holds: `runs`, `error_text`.  How it was come by says nothing about it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

GIVEN_UP = {  # in identifiers and in prose, in any case
    "appetite": "partition picker",
    "bell": "notification",
    "bells": "notifications",
    "buried": "reaped",
    "bury": "reap",
    "flights": "running attempts",
    "flown": "running",
    "lifeline": "warden client",
    "mirror": "snapshot cache",
    "rope": "wakeup socket",
}
NAMES = {  # of classes, functions and modules, exactly so: the word itself has other uses
    "Fact": "Mutation",
    "Family": "ProcessTree",
    "Guard": "SecurityMiddleware",
    "Judge": "Oracle",
    "Orders": "Mailbox",
    "Seldom": "LogThrottle",
    "Sharing": "SingleFlight",
    "SeenParts": "SeenPartitions",
    "has_parts": "has_partitions",
    "in_part": "in_partition",
    "parts_held": "partitions_held",
    "run_words": "run_output",
}
PACKAGES = "app|cli|core|demo|engine|executors|observe|ports|stores|testing|web"
PARTICIPLES = {"found", "said", "told"}  # as names of locals and parameters

_WORDS = re.compile(rf"(?<![a-zA-Z])(?:{'|'.join(GIVEN_UP)})(?![a-z])", re.IGNORECASE)
_NAMES = re.compile(rf"(?<!\w)(?:{'|'.join(NAMES)})(?!\w)")
_PATH = re.compile(rf"(?<![\w./*-])(?:{PACKAGES})(?:/[a-z_]+)+\.py(?!\w)")


def given_up(text: str) -> dict[str, str]:
    """Every word in *text* that was given up, with what it is called now."""
    words = {word.lower() for word in _WORDS.findall(text)}
    return {word: GIVEN_UP[word] for word in words} | {name: NAMES[name] for name in _NAMES.findall(text)}


def participles(source: str) -> Iterator[tuple[int, str]]:
    """Line and name of each local and parameter that is called by how it was come by."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id in PARTICIPLES:
            yield node.lineno, node.id
        elif isinstance(node, ast.arg) and node.arg in PARTICIPLES:
            yield node.lineno, node.arg


def paths(text: str) -> set[str]:
    """The modules that *text* names by their paths: `engine/cycle.py`."""
    return set(_PATH.findall(text))
