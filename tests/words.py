"""Which words have been given up, and where a text or a module still has one.

Rules of this file
- A word has one meaning, and a thing has one word, which the field knows: docs/explanation/glossary.md has them.  What
  was replaced stands here with what it is called now.
- A local is called by what it holds: `runs`, `error_text`.  How it was come by says nothing about it.
- A word in the name of a module or class of the core, the engine or the ports is in the glossary, or it is `PLAIN`: it
  means there what it means in English or in the field.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator

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
PLAIN = set(
    """
    about address after alone anchored assignments at autodisable batch blocked blocks bound bounds by bytes cancel
    cancelled cause change check class clock closed commit concurrency control cron cutoffs day days decide decision
    definition depends disabled document enabled encoded end ended ends entry error every explain explainer
    explanation failed failure fan filter forgotten found freeze full graph half health held here history inbox is
    item joined json keep kept key keyring left lifecycle limit line listed load log loop makes mark membership meter
    mode model names next no not note nothing number observers on open opened order other otherwise out owed owes pace
    pairs parts pattern phase pick picker policy presence pressure pressures prevail printable priority progress
    prunable r rate reached reader readings reason reconcile redact redacting redaction refused registration report
    request restored resumed retention retry row sample schema scope secret setup several severity shutdown signs
    skipped span stale start started state status step stepped stop stopping store stored system table takes text
    texts thing thread ticks transaction trouble twice unknown uses value values verify version watch watchdog within
    word words work writer written wrong zone
    """.split()  # noqa: SIM905  # a hundred and eighty words, and no quotes between them
)
PHRASES = {  # in messages: idioms of no one, and words that the glossary does not have, with what to write
    r"(?<!there )is no(?! longer| reason)": "is not a …",
    r"(?<!there )are no(?! longer)": "are not …",
    r"tried again": "retrying",
    r"mistakes? of ours|statement of ours": "a bug in shiftboss",
    r"for ever": "forever, or unlimited",
    r"anew": "again",
    r"exclude each other": "cannot be combined",
    r"cannot be had": "cannot be read, or met",
    r"mend(?:ed)?": "correct",
    r"cut short": "interrupted",
    r"(?:stands|stood) still": "frozen",
    r"holds? back|held back": "held",
    r"put back|put in place": "restored",
    r"given back|gave back": "returned",
    r"bodies|its body|body (?:still runs|goes on)": "the function",
    r"permits of": "concurrency slots of",
    r"(?:an|no|next|these) instants?": "time",
    r"occurrences? of": "scheduled run",
    r"that fit|fit (?:a|this) filter": "match",
    r"dead in a row|in a row died": "consecutive failures",
    r"lets? nothing run": "allows no run",
    r"waited for by|needed by": "required by",
    r"all the same": "nevertheless",
    r"as well": "too",
    r"said once": "Logged once",
}
PACKAGES = "app|cli|core|demo|engine|executors|observe|ports|stores|testing|web"
PARTICIPLES = {"found", "said", "told"}  # as names of locals and parameters

_WORDS = re.compile(rf"(?<![a-zA-Z])(?:{'|'.join(GIVEN_UP)})(?![a-z])", re.IGNORECASE)
_NAMES = re.compile(rf"(?<!\w)(?:{'|'.join(NAMES)})(?!\w)")
_PART_OF_NAME = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])")
_INNER_CAPITAL = re.compile(r"(?<=[a-z])(?=[A-Z])")  # of `ringBell`, in the dashboard
_COMMENT_OR_TEXT = re.compile(r"/\*.*?\*/|//[^\n]*|\"(?:[^\"\\\n]|\\.)*\"", re.DOTALL)  # of TypeScript
_PHRASES = {re.compile(rf"\b(?:{phrase})(?![a-z])", re.IGNORECASE): instead for phrase, instead in PHRASES.items()}
_SQL = re.compile(r"^\s*(?:SELECT|INSERT|UPDATE|DELETE|WITH|CREATE)\b")
_PATH = re.compile(rf"(?<![\w./*-])(?:{PACKAGES})(?:/[a-z_]+)+\.py(?!\w)")


def given_up(text: str) -> dict[str, str]:
    """Every word in *text* that was given up, with what it is called now."""
    words = {word.lower() for word in _WORDS.findall(_INNER_CAPITAL.sub(" ", text))}
    return {word: GIVEN_UP[word] for word in words} | {name: NAMES[name] for name in _NAMES.findall(text)}


def of_names(module: str, source: str) -> set[str]:
    """The words of which the names of a module and of its classes consist."""
    classes = [node.name for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ClassDef)]
    return {word.lower() for name in (module, *classes) for word in _PART_OF_NAME.findall(name)}


def is_explained(word: str, entries: Iterable[str]) -> bool:
    """Whether some entry of the glossary is about *word*, be it in another form: `sealing` by *seal*."""
    terms = {term for entry in entries for term in re.split("[ -]", entry)}
    begins = {term for term in terms if len(term) >= 4 and word.startswith(term)}
    return word in terms or bool(begins) or any(len(term) >= 5 and word.startswith(term[:5]) for term in terms)


def phrases(source: str) -> Iterator[tuple[int, str, str]]:
    """Line, phrase and what to write instead, for each string of *source* but docstrings and SQL."""
    tree = ast.parse(source)
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or id(node) in docstrings:
            continue
        for phrase, instead in _PHRASES.items():
            if (use := phrase.search(node.value)) and not _SQL.search(node.value):
                yield node.lineno, use[0].lower(), instead


def participles(source: str) -> Iterator[tuple[int, str]]:
    """Line and name of each local and parameter that is called by how it was come by."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id in PARTICIPLES:
            yield node.lineno, node.id
        elif isinstance(node, ast.arg) and node.arg in PARTICIPLES:
            yield node.lineno, node.arg


def participles_in_typescript(source: str) -> Iterator[tuple[int, str]]:
    """The same in a source of the dashboard; its comments and texts may have them."""
    code = _COMMENT_OR_TEXT.sub(lambda match: "\n" * match[0].count("\n"), source)
    for number, line in enumerate(code.splitlines(), 1):
        yield from ((number, word) for word in re.findall(r"\w+", line) if word in PARTICIPLES)


def paths(text: str) -> set[str]:
    """The modules that *text* names by their paths: `engine/cycle.py`."""
    return set(_PATH.findall(text))
