"""The reference of the API names every problem that its code raises."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_every_problem_of_the_api_is_in_the_reference():
    text = (ROOT / "docs/reference/http.md").read_text(encoding="utf-8")
    raised = {
        call.args[1].value
        for file in (ROOT / "src/shiftboss/web").rglob("*.py")
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "Problem" and len(call.args) > 1
        if isinstance(call.args[1], ast.Constant)
    }

    assert len(raised) > 20
    assert sorted(kind for kind in raised if f"`{kind}`" not in text) == []
