"""What pages, messages and examples name exists: methods, variables, paths of the API, loggers, targets of make."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from command_lines import EXAMPLES, PAGES, ROOT, SOURCES

from shiftboss import Context, Orchestrator, RunHandle
from shiftboss.app.handle import Trigger, Worker
from shiftboss.app.sync import SyncFace
from shiftboss.web.table import OPERATIONS

CODE = "\n".join(path.read_text(encoding="utf-8") for path in SOURCES)
TEXTS = {path: path.read_text(encoding="utf-8") for path in PAGES + EXAMPLES + SOURCES}
NOT_OURS = {"SHIFTBOSS_COMMAND_OPTION"}  # a pattern: click reads one for each option of each command


def named(pattern: str, *, only_pages: bool = False) -> Iterator[tuple[str, str]]:
    for path, text in TEXTS.items():
        if not only_pages or path.suffix == ".md":
            for found in re.finditer(pattern, text):
                line = text.count("\n", 0, found.start()) + 1
                yield f"{path.relative_to(ROOT)}:{line}", found[1]


@pytest.mark.parametrize(
    ("pattern", "kind"),
    [
        (r"\bboss\.(?!sync\b)([a-z]\w*)", Orchestrator),
        (r"\bboss\.sync\.([a-z]\w*)", SyncFace),
        (r"`ctx\.([a-z]\w*)", Context),
        (r"`run\.(\w+)\(", RunHandle),
        (r"`Worker\.([a-z]\w*)", Worker),
        (r"\.options\([^()]*\)\.(\w+)", Trigger),
    ],
)
def test_every_method_that_a_page_names_exists(pattern, kind):
    there = {*dir(kind)}
    if kind is Orchestrator:
        there |= {*dir(Orchestrator("memory:")), "db"}  # boss.db is a file
    wrong = [f"{place}: {name}" for place, name in named(pattern, only_pages=True) if name not in there]

    assert wrong == []


def test_every_environment_variable_that_is_named_is_read():
    read = set(re.findall(r"SHIFTBOSS_[A-Z_]+", CODE)) | NOT_OURS
    wrong = [f"{place}: {name}" for place, name in named(r"\b(SHIFTBOSS_[A-Z_]+[A-Z])\b") if name not in read]
    tests = set(re.findall(r"SHIFTBOSS_[A-Z_]+", "".join(p.read_text() for p in (ROOT / "tests").glob("*.py"))))
    build = set(re.findall(r"SHIFTBOSS_[A-Z_]+", (ROOT / "hatch_build.py").read_text(encoding="utf-8")))

    assert [each for each in wrong if each.rpartition(" ")[2] not in tests | build] == []


def test_every_path_of_the_api_that_a_page_names_exists():
    there = [re.sub(r"\{\w+\}", r"[^/]+", operation.path) for operation in OPERATIONS]
    wrong = []
    for place, path in named(r"/api/v1(/[a-z][\w/{}-]*)", only_pages=True):
        if not any(re.fullmatch(each, path.rstrip("/")) for each in there):
            wrong.append(f"{place}: {path}")

    assert wrong == []


def test_every_target_of_make_that_a_page_names_exists():
    there = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    wrong = [
        f"{place}: {name}" for place, name in named(r"(?:`|^\$ )make ([a-z-]+)", only_pages=True) if name not in there
    ]

    assert wrong == []


def test_every_logger_that_a_page_names_exists():
    there = set(re.findall(r'get_logger\(f?"(shiftboss[\w.]*)', CODE)) | {"shiftboss.worker.NAME"}
    wrong = [
        f"{place}: {name}"
        for place, name in named(r"getLogger\(\"(shiftboss[\w.]+)\"\)", only_pages=True)
        if name not in there
    ]
    page = TEXTS[ROOT / "docs/how-to/logging.md"]
    told = set(re.findall(r"`(shiftboss\.[\w.]+)`", page))

    assert wrong == []
    assert told - there == set()
    assert {each for each in there if each.count(".") == 1} - told - {"shiftboss.worker."} == set()
