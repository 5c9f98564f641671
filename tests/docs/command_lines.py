"""Every command line that the project tells somebody to type, and what the command itself says to it.

Rules of this file
- A line in a console block, an example of a help text or a remedy in an alert is typed as it stands: it must parse.
- In running text `shiftboss enable` may name the command alone; whatever stands behind it must exist.
- Nothing is executed: arguments are parsed and converted, by the real command.
"""

from __future__ import annotations

import ast
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click

from shiftboss.cli.root import ENTRIES, root

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
EXAMPLES = sorted(each for each in (ROOT / "examples").rglob("*") if each.suffix in {".yml", ".json", ".py"})
SOURCES = sorted((ROOT / "src").rglob("*.py"))
DASHBOARD = sorted((ROOT / "dashboard/src").rglob("*.ts*"))

BLOCK = re.compile(r"^```\w+\n.*?^```", re.MULTILINE | re.DOTALL)
IN_A_LIST = re.compile(r'\["shiftboss"(?:, "[^"]*")+\]')
CONSOLE = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
TYPED = re.compile(r"^\$ (?:\w+=\S+ )*(?:sudo )?shiftboss( .+)?$", re.MULTILINE)
QUOTED = re.compile(r"[`>]shiftboss( [^`<]*)?[`<]")
COMMANDS = "|".join(ENTRIES)
MENTIONED = re.compile(rf"\bshiftboss ((?:{COMMANDS})\b[^`<>\n;|&#]*)")
END = re.compile(r'\s{2,}|\s#|\s*\\?[|>]|\s&|\s\|\||\)$|, | \(|…$|"\s*/')  # explanations, pipes, the rest of a sentence
STANDS_FOR = {
    "N": "4711",
    "RUN": "4711",
    "…": "x",
    "AGE": "7d",
}


class Line(NamedTuple):
    place: str
    words: list[str]
    is_typed: bool  # as it stands; else it may be the command's name alone

    def __str__(self) -> str:
        return f"{self.place}: shiftboss {' '.join(self.words)}"


def all_lines() -> Iterator[Line]:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for block in CONSOLE.finditer(text):
            for found in TYPED.finditer(block[1]):
                yield line_of(page, text, block.start(1) + found.start(), found[1] or "", is_typed=True)
        prose = CONSOLE.sub(lambda block: "\n" * block[0].count("\n"), text)
        for found in QUOTED.finditer(prose):
            yield line_of(page, prose, found.start(), found[1] or "", is_typed=False)
        for found in IN_A_LIST.finditer(prose):
            words = " ".join(map(shlex.quote, json.loads(found[0])[1:]))
            yield line_of(page, prose, found.start(), words, is_typed=True)
        for block in BLOCK.finditer(prose):
            for found in MENTIONED.finditer(block[0]):
                yield line_of(page, prose, block.start() + found.start(), found[1], is_typed=False)
    for file in EXAMPLES + DASHBOARD:
        text = file.read_text(encoding="utf-8")
        for found in MENTIONED.finditer(text):
            yield line_of(file, text, found.start(), found[1], is_typed=False)
    for file in SOURCES:
        for number, text, is_example in texts_of(file):
            for found in QUOTED.finditer(text):
                yield line_of(file, "", 0, found[1] or "", is_typed=False, number=number)
            for found in MENTIONED.finditer(QUOTED.sub("", text)):
                is_typed = is_example and found.start() == 0
                yield line_of(file, "", 0, found[1], is_typed=is_typed, number=number)


def texts_of(file: Path) -> Iterator[tuple[int, str, bool]]:
    """Line, text, and whether it is an example of a help text; fields of f-strings have their stand-ins."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    examples = {
        id(argument)
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "examples"
        for argument in call.args
    }
    within = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield node.lineno, "".join(map(text_of, node.values)), id(node) in examples
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in within:
            yield node.lineno, node.value, id(node) in examples


def text_of(part: ast.expr) -> str:
    if isinstance(part, ast.Constant):
        return str(part.value)
    field = ast.unparse(part)
    return "4711" if "run" in field and "name" not in field else " --x" if field.startswith("by_") else "send-mail"


def line_of(file: Path, text: str, at: int, rest: str, *, is_typed: bool, number: int | None = None) -> Line:
    number = text.count("\n", 0, at) + 1 if number is None else number
    rest = re.sub(r"\$\(.*?\)", "4711", rest)  # what another command would print
    rest = re.sub(r"\{\{.*?\}\}|\$\{.*?\}", "send-mail", rest.strip().removesuffix(r"\n"))
    end = END.search(rest)
    rest = rest[: end.start()] if end else rest
    try:
        words = shlex.split(rest)
    except ValueError:  # an apostrophe of the sentence
        words = rest.split()
    if not is_typed and words:
        words[-1] = words[-1].rstrip(".:,)\"'")
    return Line(f"{file.relative_to(ROOT)}:{number}", [STANDS_FOR.get(word, word) for word in words], is_typed)


def wrong_with(line: Line) -> str | None:
    """What the command says to it; None when it takes it."""
    words = line.words
    if not words or "[OPTIONS]" in words or "COMMAND" in words:  # the library's name; a line that tells the usage
        return None
    try:
        parse(words)
    except click.MissingParameter as error:
        names_the_command_alone = all(word.startswith("-") for word in words[1:]) or len(words) == 1
        return error.format_message() if line.is_typed or not names_the_command_alone else None
    except click.UsageError as error:
        return error.format_message()
    except click.exceptions.Exit:  # --help, --version
        return None
    return None


def parse(words: list[str]) -> None:
    """Raises click.UsageError."""
    command: click.Command = root
    context = root.make_context("shiftboss", list(words))
    while isinstance(command, click.Group):
        name, inner, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        assert inner is not None
        command, context = inner, inner.make_context(name, rest, parent=context)
