"""Which test holds which rule?  Writes docs/reference/rules.md; with --check only compares.

Rules of this file
- A rule and its sentence stand in docs/reference/semantics.md, and nowhere else: `### D2`, then a sentence in bold.
- A test names its rules at the beginning of a docstring, "D2, D3: …": of the function, its class or its module.  A
  module's first line, or a section's comment, may also name them in brackets at its end: "…  (M3, M4)".
- A rule without a test is an error, unless its text says `*Later*:` with what is missing.  So is one whose tests are
  all left out of `make test`: those marked cases, chaos or soak.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
SEMANTICS = ROOT / "docs/reference/semantics.md"
PAGE = ROOT / "docs/reference/rules.md"
SHOWN = 3  # tests of a rule that the table names
LONG = ("cases", "chaos", "soak")  # marks of what `make test` leaves out

RULE = r"(?:[A-Z]\d{1,2}|S)"
RULES = rf"{RULE}(?:(?:, | and ){RULE})*"
AT_THE_BEGINNING = re.compile(rf"({RULES})(?::|\.?$)", re.MULTILINE)
IN_BRACKETS = re.compile(rf"\(({RULES})\)\.?$")
SECTION = re.compile(rf"^# ── (?P<title>.+?) \((?P<rules>{RULES})\)")

HEAD = """# Which test holds which rule

Written by `make docs` from [semantics.md](semantics.md) and the docstrings of the tests. `make check` fails when this
page is stale, and when a rule has neither a test nor a *Later* that says what is missing.
"""


class Rule(NamedTuple):
    id: str
    chapter: str
    sentence: str
    later: str


class Test(NamedTuple):
    path: Path
    name: str
    is_long: bool = False  # left out of `make test`

    def link(self) -> str:
        return f"[{self.name}](../../{self.path.relative_to(ROOT).as_posix()})"


def main() -> None:
    promised, named = rules(), tests()
    unknown = sorted(named.keys() - {rule.id for rule in promised})
    if unknown:
        where = ", ".join(f"{rule} ({named[rule][0].path.relative_to(ROOT)})" for rule in unknown)
        sys.exit(f"tests name rules that {SEMANTICS.name} does not hold: {where}")
    written = page(promised, named)
    is_check = "--check" in sys.argv
    if not is_check:
        PAGE.write_text(written, encoding="utf-8")
    elif not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != written:
        sys.exit(f"{PAGE.relative_to(ROOT)} is stale; run `make docs`")
    bare = [rule.id for rule in promised if not named.get(rule.id) and not rule.later]
    if bare:
        said = f"no test names {', '.join(bare)}; begin a docstring with the rule, like `{bare[0]}: …`"
        sys.exit(said) if is_check else print(said, file=sys.stderr)
        return
    long = [rule.id for rule in promised if named.get(rule.id) and all(test.is_long for test in named[rule.id])]
    if long:
        said = f"`make test` has no test of {', '.join(long)}: those that name it are marked {', '.join(LONG)}"
        sys.exit(said) if is_check else print(said, file=sys.stderr)
        return
    print(f"rules: {len(promised)}, each with a test or a reason")


def rules() -> list[Rule]:
    """The rules, in the order of the page."""
    found = []
    chapter = ""
    for part in re.split(r"^(?=###? )", SEMANTICS.read_text(encoding="utf-8"), flags=re.MULTILINE):
        heading, _, body = part.partition("\n")
        if heading.startswith("## "):
            chapter = heading[3:]
        elif heading.startswith("### "):
            sentence = re.search(r"\*\*(.+?)\*\*", body, re.DOTALL)
            later = re.search(r"^\*Later\*: (.+?)(?=\n\n|\Z)", body.strip(), re.DOTALL | re.MULTILINE)
            if sentence is None:
                sys.exit(f"{SEMANTICS.name}: {heading[4:]} does not begin with a sentence in bold")
            found.append(Rule(heading[4:], chapter, one_line(sentence[1]), one_line(later[1]) if later else ""))
    return found


def tests() -> dict[str, list[Test]]:
    """Rule → what names it."""
    found: dict[str, list[Test]] = defaultdict(list)
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for name, ids, is_long in named_in(path):
            for rule in re.findall(RULE, ids):
                test = Test(path, name, is_long)
                if test not in found[rule]:
                    found[rule].append(test)
    return found


def named_in(path: Path) -> Iterator[tuple[str, str, bool]]:
    """(test or section, the rules it names, whether it is marked as long)."""
    text = path.read_text(encoding="utf-8")
    module = ast.parse(text, filename=str(path))
    marks = [
        node.value
        for node in module.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark"
    ]
    all_long = any(map(is_long, marks))
    for node in ast.walk(module):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        first_line = (ast.get_docstring(node) or "").partition("\n")[0]
        ids = AT_THE_BEGINNING.match(first_line) or IN_BRACKETS.search(first_line)
        if ids:
            decorators = [] if isinstance(node, ast.Module) else node.decorator_list
            yield (
                path.stem if isinstance(node, ast.Module) else node.name,
                ids[1],
                all_long or any(map(is_long, decorators)),
            )
    for line in text.splitlines():
        section = SECTION.match(line)
        if section:
            yield f"{path.stem}: {section['title']}", section["rules"], all_long


def is_long(marks: ast.expr) -> bool:
    """A mark for all tests below it; one for a single parameter of them leaves others."""
    each = marks.elts if isinstance(marks, ast.List | ast.Tuple) else [marks]
    return any(ast.unparse(mark) == f"pytest.mark.{name}" for mark in each for name in LONG)


def page(promised: list[Rule], named: dict[str, list[Test]]) -> str:
    lines = [HEAD]
    chapter = ""
    for rule in promised:
        if rule.chapter != chapter:
            chapter = rule.chapter
            lines += ["", f"## {chapter}", "", "| rule | means | tests |", "|---|---|---|"]
        anchor = f"[{rule.id}](semantics.md#{rule.id.lower()})"
        lines.append(f"| {anchor} | {rule.sentence} | {held_by(rule, named.get(rule.id, []))} |")
    return "\n".join(lines).replace("\n\n\n", "\n\n") + "\n"


def held_by(rule: Rule, named: list[Test]) -> str:
    shown = [test.link() for test in named[:SHOWN]]
    if len(named) > SHOWN:
        shown.append("and more")  # without their number: the page must not be stale at every new test
    if rule.later:
        shown.append(f"*later*: {rule.later}")
    return "<br>".join(shown)


def one_line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    main()
