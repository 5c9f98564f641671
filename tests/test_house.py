"""What CONTRIBUTING says of the house is so: its map has every room and no other, and the rules are pure."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import words

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src/shiftboss"

MAY_BE_IMPORTED_BY_CORE = frozenset(
    {
        # Values and functions of the standard library: nothing here reads a clock, a file, a socket or a random number.
        *("__future__", "base64", "binascii", "bisect", "codecs", "collections", "dataclasses", "datetime", "enum"),
        *("functools", "hashlib", "heapq", "hmac", "itertools", "json", "math", "numbers", "operator", "re"),
        *("statistics", "typing", "zlib"),
        "zoneinfo",  # reads the time zones of the system, once each: the calendar is what they say
        "cronsim",
        "dateutil",
        "holidays",
        "msgspec",
        "shiftboss.core",
        "shiftboss.errors",
    }
)
CLOCKS = {"now", "utcnow", "today"}  # of datetime and date: these modules are allowed, their clocks are not


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "")


def place(module: str) -> str:
    """What the list would call it: its package, of ours the one below `shiftboss`."""
    words = module.split(".")
    return ".".join(words[:2]) if words[0] == "shiftboss" else words[0] or module


def impure(source: str) -> set[str]:
    """What of a file of the rules the list does not allow."""
    tree = ast.parse(source)
    clocks = (
        ast.unparse(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in CLOCKS and ast.unparse(node.value) in ("datetime", "date")
    )
    return {module for module in imported(tree) if place(module) not in MAY_BE_IMPORTED_BY_CORE} | set(clocks)


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import os.path", {"os.path"}),
        ("from socket import create_connection", {"socket"}),
        ("def f():\n    import subprocess", {"subprocess"}),
        ("from shiftboss import clock", {"shiftboss"}),
        ("from shiftboss.engine.cycle import Cycle", {"shiftboss.engine.cycle"}),
        ("from .. import ports", {".."}),
        ("from datetime import datetime\nnow = datetime.now(UTC)", {"datetime.now"}),
        ("from shiftboss.core.value import later\nlater(draft.now, 1)", set()),
    ],
)
def test_an_import_that_is_not_on_the_list_is_found(source, found):
    assert impure(source) == found


def test_the_rules_import_values_only():
    """CONTRIBUTING: core is pure."""
    files = sorted((PACKAGE / "core").rglob("*.py"))

    assert {str(file.name): found for file in files if (found := impure(file.read_text()))} == {}
    assert len(files) > 40


def test_every_module_on_the_list_is_imported():
    used = {
        place(module) for file in (PACKAGE / "core").rglob("*.py") for module in imported(ast.parse(file.read_text()))
    }

    assert used == MAY_BE_IMPORTED_BY_CORE


# ── what is private ──────────────────────────────────────────────────────────────────────────────────────────────

NOT_OURS = {  # of Python and its libraries, where there is no public way
    *("_exit", "_getframe", "_current_frames", "_args_from_interpreter_flags", "_log_destroy_pending", "_value_"),
    *("_replace", "_asdict", "_fields", "_make"),  # of named tuples, and public
}


def reached_into(source: str) -> set[str]:
    """Private members that a file uses and has none of that name itself: those of another module's object."""
    tree = ast.parse(source)
    members = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    own = {
        *(node.attr for node in members if isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")),
        *(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)),
        *(node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)),
        *(node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)),
    }
    return {
        ast.unparse(node)
        for node in members
        if re.match(r"_(?!_)", node.attr) and node.attr not in own and node.attr not in NOT_OURS
    }


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("boss._engine.stop()", {"boss._engine"}),
        ("class A:\n def f(self):\n  self._boss._close()", {"self._boss._close"}),
        ("class A:\n def f(self, other):\n  return self._x < other._x", set()),
        ("filter._replace(limit=1)", set()),
        ("boss.__class__", set()),
    ],
)
def test_a_private_member_of_another_module_is_found(source, found):
    assert reached_into(source) == found


def test_no_module_uses_what_is_private_to_another():
    files = sorted(PACKAGE.rglob("*.py"))
    found = {str(file.relative_to(PACKAGE)): reached for file in files if (reached := reached_into(file.read_text()))}

    assert found == {}


# ── the map ──────────────────────────────────────────────────────────────────────────────────────────────────────


def drawn() -> tuple[set[str], set[str]]:
    """What the map of CONTRIBUTING names: below src/shiftboss, and beside it."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    block = re.search(r"^## The house\n\n```\nsrc/shiftboss/\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert block is not None
    lines = [line for line in block[1].splitlines() if not line.startswith("   ")]
    inside = {name for line in lines if line.startswith("  ") for name in line[2:].partition("  ")[0].split(", ")}
    return inside, {line.split()[0] for line in lines if not line.startswith(" ")}


def entries(folder: Path) -> set[str]:
    """The modules and packages in it, as the map writes them."""
    modules = {path.name for path in folder.glob("*.py")}
    return modules | {f"{path.name}/" for path in folder.iterdir() if (path / "__init__.py").exists()}


def test_the_map_has_every_package_and_module_and_no_other():
    assert drawn()[0] == entries(PACKAGE)


def test_every_folder_beside_it_on_the_map_is_there():
    folders = drawn()[1]

    assert {folder for folder in folders if not (ROOT / folder).is_dir()} == set()
    assert {"tests/", "docs/", "dashboard/", "tools/"} <= folders


def test_the_map_has_every_folder_of_tests_and_no_other():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    line = re.search(r"^tests/ +mirrors it: (.*)$", text, re.MULTILINE)
    assert line is not None

    assert set(re.split("[,;] ", line[1])) == {path.parent.name for path in (ROOT / "tests").glob("*/test_*.py")}


def test_the_layers_are_those_that_are_checked():
    """What core may import is checked above: a contract of import-linter can only forbid what it names."""
    layers = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]["layers"]
    text = " ".join((ROOT / "CONTRIBUTING.md").read_text().split())

    assert " → ".join(layers) in text


def test_every_package_says_what_it_is():
    packages = sorted(PACKAGE.rglob("__init__.py"))

    assert [str(path) for path in packages if not ast.get_docstring(ast.parse(path.read_text()))] == []


# ── the words ────────────────────────────────────────────────────────────────────────────────────────────────────

READ = ("src/shiftboss", "tests", "tools", "benchmarks", "examples", "docs", "dashboard/src", "dashboard/tests")
ELSEWHERE = {  # file → a word that means something else there
    "docs/explanation/security.md": {"mirror"},  # of a package index
    "tests/test_house.py": {"Family", "appetite", "bell", "mirror"},  # planted below, and a verb
    "tests/words.py": words.GIVEN_UP.keys() | words.NAMES.keys(),
}


def texts() -> Iterator[tuple[str, str]]:
    """The name and the text of each file that somebody reads, by its path."""
    for folder in READ:
        for file in sorted((ROOT / folder).rglob("*")):
            if file.suffix in (".py", ".md", ".sql", ".ts", ".tsx", ".css"):
                yield str(file.relative_to(ROOT)), f"{file.name}\n{file.read_text()}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("def ring_the_bell(self) -> None:", {"bell": "notification"}),
        ("from shiftboss.engine.Appetite import x", {"appetite": "partition picker"}),
        ("class Family:\n    ...", {"Family": "ProcessTree"}),
        ("const ringBell = () => null", {"bell": "notification"}),
        ("a family; a label; he lands in Europe", {}),
    ],
)
def test_a_word_that_was_given_up_is_noticed(text, expected):
    assert words.given_up(text) == expected


def test_no_word_that_was_given_up_has_come_back():
    """CONTRIBUTING: there is one word for each thing."""
    used = {path: words.given_up(text).keys() - ELSEWHERE.get(path, set()) for path, text in texts()}

    assert {path: sorted(found) for path, found in used.items() if found} == {}
    assert len(used) > 500


def explained() -> list[str]:
    """The entries of the glossary."""
    glossary = (ROOT / "docs/explanation/glossary.md").read_text()
    return re.findall(r"^\| \*\*(.+?)\*\* \|", glossary, re.MULTILINE)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('raise E(f"{x!r} is no list; give one")', [(1, "is no", "is not a …")]),
        ('log.warning(\n    "the store is away; it is tried again")', [(2, "tried again", "retrying")]),
        ('say("Its body still runs, which is a mistake of ours")', [(1, "mistake of ours", "a bug in shiftboss")]),
        ('"""It is tried again for ever."""\ndef f():\n    """It is no list."""', []),
        ('say("there is no list; it is no longer here; null is no reason; recommended")', []),
        ('GONE = "SELECT at FROM instants"', []),
    ],
)
def test_a_phrase_that_was_given_up_is_noticed(source, expected):
    assert [each for each in words.phrases(source) if each[1] != "its body"] == expected


def test_no_message_has_a_phrase_that_was_given_up():
    """CONTRIBUTING: messages are plain English, with one word for each thing."""
    messages = sorted(PACKAGE.rglob("*.py"))
    used = {str(file.relative_to(PACKAGE)): list(words.phrases(file.read_text())) for file in messages}

    assert {file: found for file, found in used.items() if found} == {}
    assert len(used) > 250


def test_every_word_of_the_glossary_is_used_by_the_code():
    entries = explained()
    code = "\n".join(text for path, text in texts() if path.startswith("src/")).lower()
    unused = [
        entry for entry in entries if not re.search(rf"(?<![a-z]){re.sub('[ -]', '[ _-]', entry)}s?(?![a-z])", code)
    ]

    assert unused == []
    assert len(entries) > 80


def test_the_names_of_a_module_consist_of_words():
    source = "class SnapshotCache:\n class _HTTPAnswer: ...\ndef bell(): ..."

    assert words.of_names("clock_watch", source) == {"clock", "watch", "snapshot", "cache", "http", "answer"}


@pytest.mark.parametrize(
    ("word", "expected"),
    [("seal", True), ("sealing", True), ("declared", True), ("letter", True), ("bell", False), ("sea", False)],
)
def test_a_word_is_explained_by_an_entry_in_any_form(word, expected):
    assert words.is_explained(word, ["seal", "declaration", "dead letter"]) == expected


def test_every_word_of_the_names_of_the_core_is_plain_or_in_the_glossary():
    """CONTRIBUTING: a new word goes into the glossary first."""
    files = [file for package in ("core", "engine", "ports") for file in sorted((PACKAGE / package).rglob("*.py"))]
    used = {word for file in files for word in words.of_names(file.stem.strip("_"), file.read_text())} - {"init"}
    entries = explained()

    assert sorted(word for word in used - words.PLAIN if not words.is_explained(word, entries)) == []
    assert sorted(words.PLAIN - used) == []  # no longer in any name


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("def f(found):\n    return found", [(1, "found")]),
        ("def f(runs):\n    for told in runs:\n        print(told.said)", [(2, "told")]),
        ("def f(runs):\n    return [run.found for run in runs]", []),
    ],
)
def test_a_local_that_is_a_participle_is_noticed(source, expected):
    assert list(words.participles(source)) == expected


def test_a_participle_in_a_source_of_the_dashboard_is_noticed():
    source = '/* found */\nconst found = 1; // said\nconst text = "told";\nreturn asked.map((said) => said.x);'

    assert list(words.participles_in_typescript(source)) == [(2, "found"), (4, "said"), (4, "said")]


def test_locals_are_called_by_what_they_hold():
    files = sorted(PACKAGE.rglob("*.py"))
    of_dashboard = [file for file in sorted((ROOT / "dashboard/src").rglob("*")) if file.suffix in (".ts", ".tsx")]

    assert {str(file): each for file in files if (each := list(words.participles(file.read_text())))} == {}
    assert {
        str(file): each for file in of_dashboard if (each := list(words.participles_in_typescript(file.read_text())))
    } == {}
    assert len(of_dashboard) > 50


def test_every_module_that_a_text_names_is_there():
    """A comment, a docstring or a page that names a module is renamed with it."""
    named = {(path, each) for path, text in texts() if path != "tests/test_mutants.py" for each in words.paths(text)}
    lost = {
        (path, each) for path, each in named if not any((root / each).exists() for root in (PACKAGE, ROOT / "tests"))
    }

    assert lost == set()
    assert len(named) > 100
