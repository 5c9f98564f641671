"""Pages of a status: what they show, what they count, and that they cost what they show."""

from __future__ import annotations

import contextlib
from datetime import timedelta

import pytest

from shiftboss import ConfigurationError, Orchestrator, WorkerFilter
from shiftboss.app import pages, worker_page
from shiftboss.app.json_format import encoded, rows_kept
from shiftboss.app.views import Views
from shiftboss.web import frames
from shiftboss.web.frames import LiveStatus

MANY = 1_200


def nothing() -> None: ...


@pytest.fixture
def boss(tmp_path):
    """A store of many workers, a third of them scheduled, whose processes are gone; one is disabled."""
    url = f"sqlite:///{tmp_path / 'boss.db'}"
    many = Orchestrator(url)
    for number in range(MANY):
        options = {"every": "1h", "start": "next"} if number % 3 == 0 else {}
        many.worker(name=f"worker-{number:05}", **options)(nothing)
    many.sync.start()
    many.sync.stop()
    with (client := Orchestrator(url)).sync:
        client.sync.disable("worker-00700", reason="moving house")
        yield client


@pytest.fixture
def views(boss):
    with contextlib.closing(Views(boss.store, boss.clock)) as views:
        yield views


def names(status) -> list[str]:
    return [worker.name for worker in status.workers]


def test_pages_put_together_are_the_whole_and_begin_with_what_is_wrong(views):
    """K6"""
    whole = views.status()
    first = page = views.status(WorkerFilter(limit=500))
    together = names(page)
    while page.next is not None:
        page = views.status(WorkerFilter(limit=500, cursor=page.next))
        together += names(page)

    assert together == names(whole)
    assert together[0] == "worker-00700"
    assert (whole.next, whole.matching, len(whole.workers)) == (None, MANY, MANY)
    assert first.totals == whole.totals == page.totals
    assert {reason.worker for reason in first.reasons} <= {"", *names(first)}


def test_a_page_goes_on_behind_a_worker_that_has_moved(boss, views):
    page = views.status(WorkerFilter(limit=2))
    boss.sync.enable("worker-00700")
    boss.sync.disable(page.workers[-1].name)

    following = views.status(WorkerFilter(limit=2, cursor=page.next))

    assert names(page) == ["worker-00700", "worker-00000"]
    assert names(following) == ["worker-00001", "worker-00002"]


def test_a_filter_is_applied_before_the_page_is_cut_and_totals_are_of_all(views):
    found = views.status(WorkerFilter(mode=["scheduled"], q="R-0000", limit=3))

    assert names(found) == ["worker-00000", "worker-00003", "worker-00006"]
    assert found.matching == 4
    assert found.totals.workers == MANY
    assert found.totals.mode == {"scheduled": MANY // 3, "triggered": MANY - MANY // 3}
    assert found.totals.health["disabled"] == 1


@pytest.mark.parametrize(
    "fields", [{"cursor": "worker-00001"}, {"cursor": "ill:high:a"}, {"limit": 0}, {"health": ["ill"]}]
)
def test_a_strange_page_is_refused_with_the_field(views, fields):
    with pytest.raises(ConfigurationError, match=next(iter(fields))):
        views.status(WorkerFilter(**fields))


def test_totals_are_kept_as_they_would_be_counted(boss, views):
    views.status()
    boss.sync.trigger("worker-00001", delay=3600)
    boss.sync.trigger("worker-00002")
    boss.sync.disable("worker-00003")
    boss.sync.enable("worker-00700")
    boss.sync.forget("worker-00900")

    kept = views.status().totals
    with contextlib.closing(Views(boss.store, boss.clock)) as cold:
        status = cold.status()

    assert kept == status.totals
    assert kept.workers == MANY - 1
    assert kept.pending == sum(worker.pending for worker in status.workers)
    assert kept.due == sum(worker.due for worker in status.workers) >= 1


def test_the_health_has_the_same_pages(boss, views):
    """H3"""
    whole = views.health()
    first = page = views.health(WorkerFilter(limit=500))
    together = list(page.workers)
    while page.next is not None:
        page = views.health(WorkerFilter(limit=500, cursor=page.next))
        together += page.workers
    found = views.health(WorkerFilter(q="R-0070", health=["disabled"]))

    assert together == list(whole.workers)
    assert (whole.next, whole.matching, whole.counts["disabled"]) == (None, MANY, 1)
    assert (first.status, first.counts) == (whole.status, whole.counts)
    assert list(dict.fromkeys(reason.worker for reason in first.reasons)) == list(first.workers)
    assert (list(found.workers), found.matching, found.status) == (["worker-00700"], 1, whole.status)


def test_the_page_of_a_worker_names_so_many_related_ones_and_counts_the_others(monkeypatch):
    monkeypatch.setattr(pages, "MAX_RELATED", 2)
    boss = Orchestrator("memory:")
    boss.worker(name="first")(nothing)
    for number in range(5):
        boss.worker(name=f"later-{number}", after=["first"], blocks=["first"] if number < 3 else [])(nothing)
    boss.sync.start()
    with contextlib.closing(Views(boss.store, boss.clock)) as views:
        page = pages.page_of_worker(views, "first")
    boss.sync.stop()

    assert (page.triggers, page.blocked_with) == (("later-0", "later-1"), ("later-0", "later-1"))
    assert page.related_left_out == 3 + 1


# ── what it costs ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_page_encodes_its_own_rows_alone(views):
    before = rows_kept()

    data = encoded(views.status(WorkerFilter(limit=200)))

    assert rows_kept() - before == 200
    assert len(data) <= 300_000


@pytest.fixture
def work(views, monkeypatch):
    """The workers that are judged, and those whose rows are made, from now on."""
    judged, made = [], []
    judge, make = views._rows._assess, views._rows._make
    monkeypatch.setattr(views._rows, "_assess", lambda name: judged.append(name) or judge(name))
    monkeypatch.setattr(views._rows, "_make", lambda name, known: made.append(name) or make(name, known))
    return judged, made


def test_the_first_page_makes_its_own_rows_alone(views, work):
    judged, made = work

    page = views.status(WorkerFilter(limit=20))

    assert made == names(page)
    assert sorted(judged) == sorted(views.seen.workers)


def test_the_health_of_all_makes_no_row(views, work):
    judged, made = work

    views.health()

    assert (len(judged), made) == (MANY, [])


def test_the_first_frame_makes_its_own_rows_and_the_one_for_which_it_had_no_room(views, work):
    _, made = work

    status, _ = views.live_status()

    assert made[: len(status.workers)] == names(status)
    assert len(made) <= len(status.workers) + 1 < MANY // 4


def test_a_second_page_judges_only_workers_that_may_have_changed(boss, views, work):
    judged, made = work
    views.status(WorkerFilter(limit=200))
    boss.sync.disable("worker-00003")
    judged.clear()
    made.clear()

    page = views.status(WorkerFilter(limit=200))

    assert judged == made == ["worker-00003"]
    assert page.workers[0].name == "worker-00003"


def test_a_worker_is_judged_again_when_a_run_of_it_becomes_due(views, work, monkeypatch):
    judged, made = work
    views.status(WorkerFilter(limit=1))
    later = views.now() + timedelta(hours=2)
    monkeypatch.setattr(views._clock, "now", lambda: later)
    judged.clear()
    made.clear()

    status = views.status(WorkerFilter(limit=1))

    assert len(judged) == MANY // 3  # those that have a schedule
    assert made == []
    assert status.totals.due == MANY // 3


def test_the_first_frame_of_the_stream_has_a_bound(views):
    before = rows_kept()
    frame = frames.status_frame(frames.full_status(LiveStatus(*views.live_status())))

    assert len(frame.data) <= 300_000
    assert rows_kept() - before <= worker_page.MAX_LIVE_ROWS + worker_page.MAX_LIVE_OTHERS


def test_long_rows_make_a_live_page_shorter(boss, views):
    for number in range(100):
        boss.sync.disable(f"worker-{number:05}", reason="x" * 2_000)

    status, _ = views.live_status()
    frame = frames.status_frame(frames.full_status(LiveStatus(status, 0)))

    assert 0 < len(status.workers) < 100
    assert len(frame.data) <= 300_000


def test_a_change_out_of_sight_tells_only_that_there_was_one(boss, views):
    before = LiveStatus(*views.live_status())
    unseen = names(views.status())[-1]
    boss.sync.trigger(unseen, delay=3600)

    now = LiveStatus(*views.live_status())
    change = frames.status_change(before, now)

    assert unseen not in names(before.status)
    assert change is not None
    assert [worker.name for worker in change.workers] == [] == list(change.forgotten)
    assert change.revision > before.revision
    assert change.totals.pending == before.status.totals.pending + 1
    assert frames.status_change(now, now) is None


def test_what_enters_and_leaves_the_live_page_is_told(boss, views):
    before = LiveStatus(*views.live_status())
    last = before.status.workers[-1].name
    unseen = names(views.status())[-1]
    boss.sync.disable(unseen)

    change = frames.status_change(before, LiveStatus(*views.live_status()))

    assert change is not None
    assert [worker.name for worker in change.workers] == [unseen]
    assert last in change.forgotten
    assert change.order[:2] == ("worker-00700", unseen)
