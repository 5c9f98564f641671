"""What `make mutants` makes of a file, which tests it chooses for a mutant, and what it says of the outcome."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[1] / "tools"

SOURCE = '''\
"""A module."""

LIMIT = 5  # at most


def taken(names: list[str], *, least: int = 1) -> list[str]:
    """Some of *names*."""
    if not names or len(names) < least:
        raise ValueError(f"fewer than {least}")
    kept = [name for name in names if name]
    kept.sort(key=len)
    return kept[:LIMIT]
'''


def load(name, monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))
    spec = importlib.util.spec_from_file_location(name, TOOLS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def mutations(monkeypatch):
    return load("mutations", monkeypatch)


@pytest.fixture
def tool(mutations, monkeypatch):
    return load("mutants", monkeypatch)


# ── which mutants there are ──────────────────────────────────────────────────────────────────────────────────────


def test_every_mutant_of_a_file_is_one_small_mistake(mutations):
    """Neither the docstrings nor the message nor the annotations are changed."""
    names = [mutant.name for mutant in mutations.mutants_of("core/x.py", SOURCE)]

    condition = "not names or len(names) < least"
    assert names == [
        "core/x.py: LIMIT = 5 → LIMIT = 6",
        "core/x.py taken: 1 → 2",
        f"core/x.py taken: {condition} → not ({condition})",
        f"core/x.py taken: {condition} → not names and len(names) < least",
        f"core/x.py taken: {condition} → len(names) < least",
        f"core/x.py taken: {condition} → not names",
        f"core/x.py taken: {condition} → names or len(names) < least",
        f"core/x.py taken: {condition} → not names or len(names) <= least",
        "core/x.py taken: raise ValueError(f'fewer than {least}') → pass",
        "core/x.py taken: kept = [name for name in names if name] → kept = [name for name in names]",
        "core/x.py taken: kept.sort(key=len) → pass",
        "core/x.py taken: kept.sort(key=len) → kept.sort()",
        "core/x.py taken: return kept[:LIMIT] → return None",
    ]


@pytest.mark.parametrize(
    ("line", "mistakes"),
    [
        ("x = a < b <= c", ["x = a <= b <= c", "x = a < b < c"]),
        ("x = a is b in c", ["x = a is not b in c", "x = a is b not in c"]),
        ("x = a + b * c", ["x = a - b * c", "x = a + b / c"]),
        ("x = a if b else c", ["x = c if b else a"]),
        ("x = min(a, b) + any(c)", ["x = min(a, b) - any(c)", "x = max(a, b) + any(c)", "x = min(a, b) + all(c)"]),
        ("x = isinstance(a, B | C)", ["x = isinstance(a, B)", "x = isinstance(a, C)"]),
        ("x = True", ["x = False"]),
        ("x += 2", ["pass", "x -= 2", "x += 3"]),
        ("x.y = z", ["pass"]),
        ("x[y] = z", ["pass"]),
        ("x = 'text'", []),
        ("x: int = y", []),
        ("assert x > 1", []),
        ("import x", []),
        ("assert_never(x)", []),
        ("x.y(f'{a + 1}')", ["pass"]),
    ],
)
def test_a_line_has_these_mistakes(mutations, line, mistakes):
    found = mutations.mutants_of("x.py", f"def f():\n    {line}\n")

    assert [mutant.after for mutant in found] == mistakes


def test_loops_and_cases_have_theirs(mutations):
    source = """\
def f(x):
    while x:
        break
    match x:
        case A() | B() if y:
            continue
"""
    found = [(mutant.first_line, mutant.before, mutant.after) for mutant in mutations.mutants_of("x.py", source)]

    assert found == [
        (2, "x", "False"),
        (3, "break", "pass"),
        (4, "y", "(nothing)"),
        (4, "A() | B()", "B()"),
        (4, "A() | B()", "A()"),
        (6, "continue", "pass"),
    ]


def test_the_name_of_a_type_is_left_alone(mutations):
    found = mutations.mutants_of("x.py", "Reply = tuple[int | None, str]\nBoth = A | B\n")

    assert [mutant.name for mutant in found] == ["x.py: Both = A | B → Both = A", "x.py: Both = A | B → Both = B"]


def test_the_same_mistake_twice_in_a_function_has_two_names(mutations):
    source = "def f():\n    g(x + y)\n    g(x + y)\n"
    found = [mutant.name for mutant in mutations.mutants_of("x.py", source)]

    assert found[2:] == ["x.py f: g(x + y) → pass (2)", "x.py f: g(x + y) → g(x - y) (2)"]
    assert len(set(found)) == 4


def test_a_mutated_file_differs_in_that_place_alone(mutations):
    found = mutations.mutants_of("core/x.py", SOURCE)
    index = [mutant.after for mutant in found].index("kept.sort()")
    lines = ast.unparse(mutations.mutated(SOURCE, index)).splitlines()
    whole = ast.unparse(ast.parse(SOURCE)).splitlines()

    assert [(old, new) for old, new in zip(whole, lines, strict=True) if old != new] == [
        ("    kept.sort(key=len)", "    kept.sort()")
    ]


# ── which are run, and against what ──────────────────────────────────────────────────────────────────────────────


def test_a_sample_is_the_same_for_a_seed_and_changes_only_with_the_code_around(tool, mutations):
    mutants = mutations.mutants_of("core/x.py", SOURCE)
    edited = mutations.mutants_of("core/x.py", SOURCE.replace("LIMIT = 5", "LIMIT = 7"))
    chosen = tool.sample(mutants, 6, seed="1")

    assert tool.sample(reversed(mutants), 6, seed="1") == chosen
    assert tool.sample(mutants, 6, seed="2") != chosen
    assert len(set(tool.sample(edited, 6, seed="1")) - set(chosen)) <= 1
    assert [mutant.first_line for mutant in chosen] == sorted(mutant.first_line for mutant in chosen)


def a_case(tool, name, duration_s, lines):
    return tool.Case(name, duration_s, {file: frozenset(numbers) for file, numbers in lines.items()})


def test_the_tests_that_execute_its_lines_run_those_of_its_package_first_then_the_quickest(tool, mutations):
    mutant = mutations.mutants_of("core/x.py", SOURCE)[2]
    cases = [
        a_case(tool, "tests/engine/a", 0.1, {"core/x.py": [8]}),
        a_case(tool, "tests/core/slow", 5.0, {"core/x.py": [8, 9]}),
        a_case(tool, "tests/core/too_slow", 6.0, {"core/x.py": [8]}),
        a_case(tool, "tests/core/quick", 0.2, {"core/x.py": [7, 8]}),
        a_case(tool, "tests/core/elsewhere", 0.1, {"core/x.py": [7], "core/y.py": [8]}),
    ]

    chosen = [case.id for case in tool.cases_for(mutant, cases, source=lambda file: "")]
    assert chosen == ["tests/core/quick", "tests/core/slow", "tests/engine/a"]


def test_a_test_that_takes_longer_than_there_is_time_runs_when_it_is_the_only_one(tool, mutations):
    mutant = mutations.mutants_of("core/x.py", SOURCE)[2]
    cases = [a_case(tool, "tests/core/long", 60.0, {"core/x.py": [8]})]

    assert [case.id for case in tool.cases_for(mutant, cases, source=lambda file: "")] == ["tests/core/long"]


def test_a_constant_belongs_to_the_lines_and_the_tests_that_name_it(tool, mutations):
    mutant = mutations.mutants_of("core/x.py", SOURCE)[0]
    texts = {
        "core/x.py": SOURCE,
        "engine/y.py": "from x import LIMIT\n\nLIMITS = LIMIT\n",
        "tests/core/table": "LIMIT = 5",
    }
    cases = [
        a_case(tool, "tests/core/same", 0.1, {"core/x.py": [12]}),
        a_case(tool, "tests/engine/other", 0.1, {"engine/y.py": [3]}),
        a_case(tool, "tests/engine/neither", 0.1, {"core/x.py": [8], "engine/y.py": [2]}),
        a_case(tool, "tests/core/table::its_test", 0.2, {}),
    ]

    chosen = [case.id for case in tool.cases_for(mutant, cases, source=lambda file: texts.get(file, ""))]
    assert chosen == ["tests/core/same", "tests/core/table::its_test", "tests/engine/other"]


# ── what came of it ──────────────────────────────────────────────────────────────────────────────────────────────


def results(tool, mutations, killed):
    mutants = mutations.mutants_of("core/x.py", SOURCE)
    return [tool.Result(mutant, is_killed=n < killed, tests=n) for n, mutant in enumerate(mutants[:10])]


def test_below_the_limit_it_fails(tool, mutations):
    assert tool.below("core", results(tool, mutations, 9)) == []
    assert tool.below("core", results(tool, mutations, 8)) == ["core: 80.0% of the mutants were killed, 90% must be"]
    assert tool.below("engine", results(tool, mutations, 8)) == []


def test_survivors_are_listed_with_their_reason(tool, mutations):
    outcome = results(tool, mutations, 8)
    reasons = {outcome[9].mutant.name: "nobody can tell"}

    kept = "kept = [name for name in names if name] → kept = [name for name in names]"
    assert tool.report("core", outcome, reasons) == [
        "core: 8 of 10 killed (80.0%)",
        "  line 9, 8 tests\n    core/x.py taken: raise ValueError(f'fewer than {least}') → pass",
        f"  line 10, it stays: nobody can tell\n    core/x.py taken: {kept}",
    ]


def test_a_reason_without_its_mutant_and_one_for_a_killed_mutant_are_errors(tool, mutations):
    outcome = results(tool, mutations, 9)
    text = f"# why\n\n{outcome[0].mutant.name} # once\ncore/gone.py: a → b # # c\n{outcome[9].mutant.name} # still\n"
    reasons = tool.read_reasons(text)

    assert reasons == {outcome[0].mutant.name: "once", "core/gone.py: a → b #": "c", outcome[9].mutant.name: "still"}
    assert tool.stale(reasons, {result.mutant.name for result in outcome}, outcome) == [
        "mutants.txt: there is no such mutant any more: core/gone.py: a → b #",
        "mutants.txt: a test kills it: core/x.py: LIMIT = 5 → LIMIT = 6",
    ]


def test_a_mutant_is_killed_by_a_test_of_its_line_and_survives_where_there_is_none():
    """The tool itself, over one small file of the tree, which it does not change."""
    test = "tests/core/test_lifecycle.py::TestMoves::test_a_move_is_made_or_refused"
    options = ["--only", "core/lifecycle.py", "--tests", test]
    ran = subprocess.run([sys.executable, TOOLS / "mutants.py", *options], capture_output=True, text=True, check=False)

    assert (ran.returncode, ran.stderr) == (0, "")
    assert "core: 6 of 15 killed (40.0%)" in ran.stdout
    assert ran.stdout.count("no test executes it\n    core/lifecycle.py diagram: ") == 9
