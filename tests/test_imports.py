"""What an import costs is what it imports: each module here is counted, none is timed."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import shiftboss

DECLARED = """
import shiftboss
boss = shiftboss.Orchestrator("sqlite:///never-opened.db")

@boss.worker(every="1h")
async def tick(city: str = "Oslo") -> int:
    '''Measures a city, e.g. Oslo: see the manual.'''
    return 1
"""
# Each is imported when it is first needed: at the start, for a question, for one kind of worker.
NOT_DECLARED = {
    "apsw",
    "ctypes",
    "ipaddress",
    "multiprocessing",
    "pathlib",
    "psutil",
    "psycopg",
    "shiftboss.app.node",
    "shiftboss.app.views",
    "shiftboss.engine.engine",
    "shiftboss.executors.pool",
    "shiftboss.executors.process",
    "shiftboss.observe",
    "shiftboss.ports.store",
    "shiftboss.stores.encryption",
    "shiftboss.stores.postgres",
    "shiftboss.stores.sqlite",
    "shiftboss.web",
    "urllib.parse",
}
MAX_MODULES = 120  # of this package: what a declaration needs, each kind of schedule among them


def after(code: str) -> tuple[set[str], list[str]]:
    """The modules that *code* imports in a fresh interpreter, and the patterns of ours that it compiles."""
    program = f"""
import json, re, sys
before, patterns, compiled = set(sys.modules), [], re.compile
def recording(pattern, flags=0):
    if sys._getframe(1).f_globals["__name__"].startswith("shiftboss"):
        patterns.append(str(getattr(pattern, "pattern", pattern)))
    return compiled(pattern, flags)
re.compile = recording
{code}
print(json.dumps([sorted(set(sys.modules) - before), patterns]))
"""
    process = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=120)
    modules, patterns = json.loads(process.stdout.splitlines()[-1])
    return set(modules), patterns


def test_the_package_alone_imports_nothing_else():
    modules, patterns = after("import shiftboss")

    assert [each for each in modules if each.startswith(("shiftboss", "asyncio", "msgspec"))] == ["shiftboss"]
    assert patterns == []


def test_an_error_can_be_caught_without_importing_the_rest():
    modules, _ = after("from shiftboss import RunFailed, UnknownRun")

    assert {each for each in modules if each.startswith("shiftboss")} == {"shiftboss", "shiftboss.errors"}


def test_the_errors_without_a_public_name_need_no_import_of_their_own():
    modules, _ = after("import shiftboss; shiftboss.errors.StoreMissing")

    assert "shiftboss.app" not in modules


def test_a_declaration_imports_neither_engine_nor_store():
    modules, _ = after(DECLARED)

    assert sorted(modules & NOT_DECLARED) == []
    assert len([each for each in modules if each.startswith("shiftboss")]) <= MAX_MODULES


def test_no_pattern_is_compiled_before_it_is_used():
    _, patterns = after("import shiftboss; shiftboss.Orchestrator")
    _, of_a_declaration = after(DECLARED)

    assert patterns == []
    assert 0 < len(of_a_declaration) <= 12, of_a_declaration


@pytest.mark.parametrize("name", shiftboss.__all__)
def test_each_public_name_is_there(name):
    assert getattr(shiftboss, name).__name__ == name
    assert name in dir(shiftboss)


def test_all_public_names_can_be_imported_at_once():
    names: dict[str, object] = {}
    exec("from shiftboss import *", names)  # noqa: S102  # as an interactive session does

    assert names.keys() - {"__builtins__"} == set(shiftboss.__all__)


def test_a_name_that_is_not_public_is_refused_as_by_any_module():
    with pytest.raises(AttributeError, match="module 'shiftboss' has no attribute 'Orchestra'"):
        _ = shiftboss.Orchestra

    assert not hasattr(shiftboss, "Orchestra")
