"""What pages, examples, alerts, help texts, messages and the dashboard tell somebody to type can be typed."""

from __future__ import annotations

import re
import tomllib

import command_lines
import pytest
from command_lines import PAGES, ROOT, SOURCES, Line, all_lines, wrong_with


def test_every_command_line_parses():
    lines = list(all_lines())

    assert [f"{line}: {wrong}" for line in lines if (wrong := wrong_with(line))] == []
    assert len(lines) > 300  # they are found at all
    for folder in ("docs/", "README", "examples/", "src/shiftboss/cli/doctor", "dashboard/"):
        assert any(line.place.startswith(folder) for line in lines), folder


@pytest.mark.parametrize(
    ("words", "is_typed", "said"),
    [
        (["dead", "show", "--worker", "send-mail"], False, "No such option '--worker'"),
        (["show"], True, "Missing argument"),
        (["show"], False, None),
        (["trigger", "--create"], False, None),
        (["statsu"], False, "there is no command 'statsu'"),
        (["run", "app.py", "more"], False, "unexpected extra argument"),
        (["prune", "--older-than", "soon"], False, "not understood"),
        (["runs", "--status", "done"], True, "is not one of"),
    ],
)
def test_a_wrong_line_is_noticed(words, is_typed, said):
    found = wrong_with(Line("here", words, is_typed))

    assert found is None if said is None else said in (found or "")


def test_a_line_that_is_wrong_in_an_alert_is_found(tmp_path, monkeypatch):
    alerts = tmp_path / "alerts.yml"
    alerts.write_text('description: "`shiftboss dead show --worker {{ $labels.worker }}` has the errors."\n')
    monkeypatch.setattr(command_lines, "ROOT", tmp_path)
    monkeypatch.setattr(command_lines, "EXAMPLES", [alerts])
    for others in ("PAGES", "SOURCES", "DASHBOARD"):
        monkeypatch.setattr(command_lines, others, [])

    (line,) = all_lines()

    assert str(line) == "alerts.yml:1: shiftboss dead show --worker send-mail"
    assert wrong_with(line)


def test_every_extra_that_is_named_exists():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = {
        extra
        for file in PAGES + SOURCES
        for found in re.findall(r"pip install ['\"](?:shiftboss|\.)\[([\w,]+)\]", file.read_text(encoding="utf-8"))
        for extra in found.split(",")
    }

    assert named - project["optional-dependencies"].keys() == set()
    assert "postgres" in named
