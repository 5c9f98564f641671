"""Whatever the documents show is true: their programs run, their output is that.

A page is one program.  Its Python blocks are run in order, in one namespace, in an empty folder; one that awaits at its
top level is run while the page's orchestrator, `boss`, is started.  `<!-- not run: why -->` above a block leaves it at
being compiled.
"""

from __future__ import annotations

import ast
import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from inspect import CO_COROUTINE
from pathlib import Path
from types import CodeType
from typing import Any, NamedTuple

import pytest

from shiftboss.cli.root import ENTRIES

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
BLOCK = re.compile(
    r"^(?:<!-- not run: (?P<why>[^\n]+) -->\n)?```(?P<language>\w+)\n(?P<text>.*?)^```", re.MULTILINE | re.DOTALL
)


class Block(NamedTuple):
    page: Path
    line: int
    language: str
    text: str
    not_run: str | None


def blocks_of(page: Path, language: str) -> list[Block]:
    return [block for block in all_blocks(page) if block.language == language]


def all_blocks(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for found in BLOCK.finditer(text):
        line = text.count("\n", 0, found.start("text")) + 1
        yield Block(page, line, found["language"], found["text"], found["why"])


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SHIFTBOSS_STORE", raising=False)


# ── programs ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("page", [page for page in PAGES if blocks_of(page, "python")], ids=name_of)
def test_the_python_of_a_page_runs(page: Path):
    world: dict[str, Any] = {"__name__": "page"}

    for block in blocks_of(page, "python"):
        source = "\n" * (block.line - 1) + block.text  # so that a traceback shows the page's own line
        code = compile(source, str(page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        if block.not_run is not None:
            continue
        if code.co_flags & CO_COROUTINE:
            asyncio.run(while_started(code, world))
        else:
            exec(code, world)  # noqa: S102  # the page is ours


async def while_started(code: CodeType, world: dict[str, Any]) -> None:
    async with world["boss"]:
        await eval(code, world)  # noqa: S307  # the page is ours


def test_the_tests_that_a_page_shows_pass():
    page = ROOT / "docs/how-to/testing.md"
    Path("test_page.py").write_text("\n".join(block.text for block in blocks_of(page, "python")), encoding="utf-8")

    command = [sys.executable, "-m", "pytest", "--quiet", "-c", os.devnull, "--rootdir", ".", "test_page.py"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    assert done.returncode == 0, done.stdout


def test_the_first_program_of_the_readme_prints_what_it_says():
    readme = ROOT / "README.md"
    program = blocks_of(readme, "python")[0]
    command, *said = blocks_of(readme, "console")[0].text.splitlines()
    _, _, file = command.split()
    Path(file).write_text(program.text, encoding="utf-8")

    done = subprocess.run(
        [sys.executable, file], capture_output=True, text=True, timeout=60, env=os.environ, check=True
    )

    assert done.stdout.splitlines() == said


# ── commands (their lines: test_command_lines.py) ────────────────────────────────────────────────────────────────────


def test_the_reference_has_a_section_for_each_command():
    page = (ROOT / "docs/reference/command.md").read_text(encoding="utf-8")

    described = re.findall(r"^### (\w+)$", page, re.MULTILINE)

    assert described == list(ENTRIES)
