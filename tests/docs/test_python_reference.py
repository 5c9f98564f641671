"""Every public name is on the page of the library, with words for whatever it has."""

from __future__ import annotations

import ast
import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import shiftboss
from shiftboss import NotStarted, WaitTimeout, errors, testing
from shiftboss.core.kinds import Duration

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def page() -> str:
    return (ROOT / "docs/reference/python.md").read_text(encoding="utf-8")


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import python_reference

    yield python_reference
    sys.modules.pop("python_reference", None)


def test_every_public_name_is_on_the_page(page):
    headings = set(re.findall(r"^### (\w+)$", page, re.MULTILINE))
    errors = set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))

    assert set(shiftboss.__all__) - headings - errors == set()


def test_every_public_method_is_on_the_page_and_has_a_docstring(page, tool):
    lacking = []
    for things in tool.GROUPS.values():
        for kind in filter(inspect.isclass, things):
            for name, member in tool.public_members(kind):
                is_there = f"#### {kind.__name__}.{name}\n" in page or f"| `{name}`: " in page
                if not is_there or not inspect.getdoc(member):
                    lacking.append(f"{kind.__name__}.{name}")

    assert lacking == []


def test_the_blocking_twins_are_all_there(tool):
    """What can be awaited of an orchestrator can be called by `boss.sync`."""
    awaited = {
        name
        for name, member in tool.public_members(shiftboss.Orchestrator)
        if inspect.iscoroutinefunction(member) and name != "ask"
    }
    blocking = {name for name, _ in tool.public_members(tool.sync.SyncFace)}

    assert awaited - blocking == set()


def test_what_is_public_and_has_no_words_is_refused(tool):
    class Silent:
        __module__ = "shiftboss.made_up"

        def method(self) -> None: ...

    wordless: list[str] = []
    list(tool.described(Silent, wordless))

    assert [each.rpartition(".")[2] for each in wordless] == ["Silent", "method"]


def test_a_public_name_that_is_not_on_the_page_is_refused(tool, monkeypatch):
    monkeypatch.setattr(shiftboss, "__all__", [*shiftboss.__all__, "Newcomer"])

    with pytest.raises(SystemExit, match=r"shiftboss\.Newcomer is not on"):
        tool.page()


# ── what a docstring says ────────────────────────────────────────────────────────────────────────────────────────

OF_TESTS = [getattr(testing, name) for name in testing.__all__]


def public(tool) -> Iterator[tuple[str, Callable[..., object]]]:
    """Every public function and method, by its name."""
    for thing in (thing for things in (*tool.GROUPS.values(), OF_TESTS) for thing in things):
        if inspect.isclass(thing):
            yield from ((f"{thing.__name__}.{name}", member) for name, member in tool.public_members(thing))
        elif callable(thing):
            yield thing.__name__, thing


def unsaid_errors(function: Callable[..., object], doc: str) -> set[str]:
    """The errors of ours that *function* itself raises and *doc* does not name."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    raised = {node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise)}
    names = {ast.unparse(each.func if isinstance(each, ast.Call) else each) for each in raised if each is not None}
    return {name for name in names if hasattr(errors, name) and not re.search(rf"\b{name}\b", doc)}


def unsaid_durations(function: Callable[..., object], doc: str) -> set[str]:
    """Its parameters that are durations and that *doc* does not name."""
    parameters = inspect.signature(function).parameters.values()
    durations = {each.name for each in parameters if "Duration" in str(each.annotation)}
    return {name for name in durations if f"*{name}*" not in doc}


def test_an_error_and_a_duration_that_a_docstring_leaves_out_are_noticed():
    def waits(timeout: Duration, delay: Duration) -> None:
        """Wait; *timeout* None: without limit.  Raises NotStarted."""
        if timeout:
            raise NotStarted("")
        raise WaitTimeout("")

    assert unsaid_errors(waits, inspect.getdoc(waits)) == {"WaitTimeout"}
    assert unsaid_durations(waits, inspect.getdoc(waits)) == {"delay"}


def test_a_docstring_names_the_errors_and_the_durations_of_its_function(tool):
    lacking, seen = {}, 0
    for name, member in public(tool):
        function = member.fget if isinstance(member, property) else inspect.unwrap(member)
        if inspect.isclass(function):
            continue
        seen += 1
        doc = inspect.getdoc(member) or ""
        unsaid = unsaid_errors(function, doc) | (unsaid_durations(member, doc) if callable(member) else set())
        if unsaid:
            lacking[name] = unsaid

    assert lacking == {}
    assert seen > 120
