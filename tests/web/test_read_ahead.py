"""A server reads all workers before the first page is asked for."""

from __future__ import annotations

import pytest

from shiftboss import Orchestrator, StoreUnavailable, WorkerFilter
from shiftboss.app.status_rows import StatusRows
from shiftboss.app.views import Views
from shiftboss.web import application
from shiftboss.web.application import Application

from .conftest import open_authenticator

MANY = 300


def nothing() -> None: ...


@pytest.fixture
def boss(tmp_path):
    """A client of a store of many workers, whose processes are gone."""
    url = f"sqlite:///{tmp_path / 'boss.db'}"
    many = Orchestrator(url)
    for number in range(MANY):
        many.worker(name=f"worker-{number:03}")(nothing)
    many.sync.start()
    many.sync.stop()
    with (client := Orchestrator(url)).sync:
        yield client


@pytest.fixture
def assessed(monkeypatch):
    """The names of the workers that are judged."""
    names = []
    assess = StatusRows._assess_anew
    monkeypatch.setattr(
        StatusRows,
        "_assess_anew",
        lambda rows, name, moved, **facts: names.append(name) or assess(rows, name, moved, **facts),
    )
    return names


def test_the_first_page_and_the_first_stream_judge_no_worker(boss, assessed, monkeypatch):
    monkeypatch.setattr(application, "MANY_WORKERS", MANY - 1)
    app = Application(boss, open_authenticator())
    app.read_ahead()
    read = len(assessed)
    assessed.clear()

    page = boss.sync.status(WorkerFilter(limit=5))
    views = app.hub.spare()
    status, _ = views.live_status()
    views.close()

    assert (len(page.workers), status.totals.workers, read) == (5, MANY, 2 * MANY)
    assert assessed == []


def test_few_workers_are_not_read_for_a_stream_that_nobody_has_opened(boss):
    app = Application(boss, open_authenticator())

    app.read_ahead()

    assert app.hub.spare() is None


def test_a_store_that_does_not_answer_is_left_to_those_who_ask(boss, monkeypatch):
    asked = []

    def fails(views):
        asked.append(views)
        raise StoreUnavailable("no answer")

    monkeypatch.setattr(Views, "assessed", fails)

    Application(boss, open_authenticator()).read_ahead()

    assert len(asked) == 1
