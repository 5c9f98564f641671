"""The graph of workers: all of a few, and a bounded choice of many."""

from __future__ import annotations

import contextlib

import pytest

from shiftboss import Orchestrator, UnknownWorker
from shiftboss.app import worker_graph
from shiftboss.app.views import Views
from shiftboss.app.worker_graph import graph


def nothing() -> None: ...


@pytest.fixture
def views():
    """A chain of ten, a group of thirty that share a resource, two with one breaker, and 200 without relations."""
    boss = Orchestrator("memory:", resources={"database": 5, "unused": 1})
    for number in range(10):
        boss.worker(name=f"chain-{number}", after=[f"chain-{number - 1}"] if number else [])(nothing)
    for number in range(30):
        boss.worker(name=f"sharing-{number:02}", uses={"database": 1})(nothing)
    for number in range(2):
        boss.worker(name=f"mail-{number}", breaker="mailer")(nothing)
    for number in range(200):
        boss.worker(name=f"alone-{number:03}")(nothing)
    boss.sync.start()
    with contextlib.closing(Views(boss.store, boss.clock)) as views:
        yield views
    boss.sync.stop()


def workers(drawn) -> list[str]:
    return [node.name for node in drawn.nodes if node.kind == "worker"]


def test_a_graph_that_fits_is_whole(views):
    whole = graph(views, limit=242)

    assert len(workers(whole)) == whole.workers == 242
    assert (whole.complete, whole.components, whole.alone, whole.groups) == (True, (), 200, 3)
    assert {node.name for node in whole.nodes if node.kind == "resource"} == {"database", "unused"}


def test_of_more_workers_whole_components_are_shown_then_a_part_of_one_and_all_are_counted(views):
    drawn = graph(views, limit=15)

    shown = workers(drawn)
    assert (drawn.complete, drawn.workers, drawn.alone, drawn.groups, len(shown)) == (False, 242, 200, 3, 15)
    assert [name for name in shown if name.startswith("chain-")] == [f"chain-{number}" for number in range(10)]
    assert [name for name in shown if name.startswith("sharing-")] == ["sharing-00", "sharing-01", "sharing-02"]
    assert [(each.first, each.workers, each.shown) for each in drawn.components] == [
        ("chain-0", 10, True),
        ("mail-0", 2, True),
        ("sharing-00", 30, False),
    ]
    assert {edge.kind for edge in drawn.edges} == {"after", "breaker", "uses"}
    assert all({edge.source, edge.target} <= {*shown, "mailer", "database"} for edge in drawn.edges)


def test_where_no_component_fits_a_part_of_one_is_shown():
    boss = Orchestrator("memory:", resources={"database": 5})
    for number in range(30):
        boss.worker(name=f"sharing-{number:02}", uses={"database": 1})(nothing)
    boss.sync.start()
    with contextlib.closing(Views(boss.store, boss.clock)) as views:
        drawn = graph(views, limit=4)
    boss.sync.stop()

    assert workers(drawn) == ["sharing-00", "sharing-01", "sharing-02", "sharing-03"]


def test_around_a_worker_are_those_that_are_nearest_to_it(views):
    drawn = graph(views, around="chain-4", limit=5)

    assert workers(drawn) == [f"chain-{number}" for number in range(2, 7)]
    assert [(each.first, each.workers, each.shown) for each in drawn.components] == [("chain-0", 10, False)]


def test_around_a_worker_are_those_that_share_something_with_it(views):
    assert workers(graph(views, around="mail-1", limit=5)) == ["mail-0", "mail-1"]
    assert len(workers(graph(views, around="sharing-03", limit=20))) == 20


def test_around_a_worker_that_nobody_knows_is_refused(views):
    with pytest.raises(UnknownWorker, match="chian-4"):
        graph(views, around="chian-4", limit=5)


def test_edges_have_a_bound(views, monkeypatch):
    monkeypatch.setattr(worker_graph, "MAX_EDGES", 7)

    drawn = graph(views, limit=1_000)

    assert (len(drawn.edges), drawn.complete) == (7, False)


def test_the_graph_makes_no_row_of_a_worker(views, monkeypatch):
    made = []
    monkeypatch.setattr(views._rows, "_make", lambda name, known: made.append(name))

    graph(views, limit=50)

    assert made == []
