"""A verb or a question is written once: both faces take the same, say the same and answer the same."""

from __future__ import annotations

import inspect
from typing import get_type_hints

import pytest

from shiftboss import Orchestrator
from shiftboss.app.methods import Method
from shiftboss.app.questions import Questions
from shiftboss.app.sync import SyncFace
from shiftboss.app.verbs import Verbs
from shiftboss.core.model import DeadLetter

WRITTEN_ONCE = {
    name: each for kind in (Verbs, Questions) for name, each in vars(kind).items() if isinstance(each, Method)
}
WITHOUT_TWIN = {"ask", "start", "stop"}  # a question of any kind; what opens and closes is said for each face
ANSWERS_A_HANDLE = {  # where it is awaited; a run where it blocks
    "trigger": ("RunHandle[Any]", "Run"),
    "trigger_many": ("list[RunHandle[Any]]", "list[Run]"),
    "replay": ("RunHandle[Any]", "Run"),
}

TWINS = sorted(
    name
    for name, each in inspect.getmembers(Orchestrator, inspect.iscoroutinefunction)
    if not name.startswith("_") and name not in WITHOUT_TWIN
)


def test_verbs_and_questions_are_among_the_twins():
    assert len(WRITTEN_ONCE) > 20
    assert WRITTEN_ONCE.keys() < set(TWINS)


@pytest.mark.parametrize("name", TWINS)
def test_both_faces_take_the_same(name):
    awaited, blocking = (inspect.signature(getattr(face, name)) for face in (Orchestrator, SyncFace))

    assert awaited.parameters == blocking.parameters  # names, kinds, defaults, annotations
    assert inspect.iscoroutinefunction(getattr(Orchestrator, name))
    assert not inspect.iscoroutinefunction(getattr(SyncFace, name))


@pytest.mark.parametrize("name", TWINS)
def test_both_faces_answer_the_same(name):
    awaited, blocking = (getattr(face, name).__annotations__["return"] for face in (Orchestrator, SyncFace))

    assert (awaited, blocking) == ANSWERS_A_HANDLE.get(name, (awaited, awaited))


@pytest.mark.parametrize("name", WRITTEN_ONCE)
def test_what_is_written_once_has_its_words_and_its_name_on_both_faces(name):
    for face in (Orchestrator, SyncFace):
        assert inspect.getdoc(getattr(face, name)) == inspect.getdoc(WRITTEN_ONCE[name].function)
        assert getattr(face, name).__name__ == name


def test_the_types_of_a_method_can_be_had_at_run_time():
    assert get_type_hints(Orchestrator.resolve) == {"run_id": int, "note": str | None, "return": DeadLetter}
    assert get_type_hints(SyncFace.resolve) == {"run_id": int, "note": str | None, "return": DeadLetter}


@pytest.mark.parametrize(
    ("face", "name", "expected"),
    [
        (Orchestrator, "disable", "(worker: 'Named', *, reason: 'str | None' = None) -> 'WorkerState'"),
        (SyncFace, "disable", "(worker: 'Named', *, reason: 'str | None' = None) -> 'WorkerState'"),
        (Orchestrator, "replay", "(run_id: 'int', *, delay: 'Duration' = 0.0) -> 'RunHandle[Any]'"),
        (SyncFace, "replay", "(run_id: 'int', *, delay: 'Duration' = 0.0) -> 'Run'"),
        (Orchestrator, "prefer", "(node: 'str', worker: 'Named | None' = None) -> 'tuple[str, ...]'"),
        (SyncFace, "verify_audit", "(*heads: 'Head') -> 'AuditVerdict'"),
        (SyncFace, "forget", "(worker: 'Named') -> 'None'"),
    ],
)
def test_a_method_is_shown_as_it_is_called(face, name, expected):
    boss = Orchestrator("memory:")

    assert str(inspect.signature(getattr(boss if face is Orchestrator else boss.sync, name))) == expected
