"""What a type checker says of `options(…)` and of a decorator without parentheses."""

from __future__ import annotations

import sys
from pathlib import Path
from subprocess import run

PROGRAM = """
from shiftboss import Context, Orchestrator

boss = Orchestrator()

@boss.worker
async def greet(ctx: Context, name: str) -> int:
    return 1

@boss.worker
def add(one: int, two: int = 0) -> int:
    return 1

@boss.worker(every="1m")
def tick() -> None: ...

async def right() -> None:
    number: int = await (await greet.trigger("ada")).result()
    number = await (await add.options(key="7", delay="1h").trigger(1, two=2)).result()
    await tick.options(at=None, force=True).trigger()

async def wrong() -> None:
    greet.options(dely=5)  # MISSPELT
    greet.options(key=7)  # NUMBER
    await greet.trigger(7)  # PAYLOAD
    await add.trigger("1")  # PLAIN
    await tick.trigger(1)  # NOTHING
    text: str = await (await add.trigger(1)).result()  # RESULT
"""
ROOT = Path(__file__).resolve().parents[2]
MARKS = ("MISSPELT", "NUMBER", "PAYLOAD", "PLAIN", "NOTHING", "RESULT")


def test_mypy_finds_what_is_wrong_and_nothing_else(tmp_path):
    file = tmp_path / "typed.py"
    file.write_text(PROGRAM)
    lines = PROGRAM.splitlines()
    wrong = [number for number, line in enumerate(lines, 1) if line.endswith(MARKS)]

    cache = ROOT / ".mypy_cache/typed_options"  # the first time reads the whole package, for ten seconds
    mypy = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(cache), "--no-error-summary"]
    said = run(
        [*mypy, "--config-file", "", "--follow-imports=silent", str(file)],
        capture_output=True, text=True, timeout=170, check=False, cwd=tmp_path,
    )  # fmt: skip

    found = sorted({int(line.split(":")[1]) for line in said.stdout.splitlines() if ": error:" in line})
    assert found == wrong, said.stdout + said.stderr
