"""Every public name is on the page of the library, with words for whatever it has."""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path

import pytest

import shiftboss

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
