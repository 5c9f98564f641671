"""Metrics have the names that are promised, and values that are true."""

from __future__ import annotations

import asyncio
from collections import Counter

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from shiftboss import Context, RetryPolicy, Status, StoreUnavailable, WorkerFilter
from shiftboss.ports.faces import HistoryFilter, LetterFilter
from shiftboss.web import metrics
from shiftboss.web.application import Application

from .conftest import BASE, PATIENCE_S, a_shop, open_authenticator, started

NAMES = {
    "shiftboss_runs", "shiftboss_attempts", "shiftboss_run_duration_seconds", "shiftboss_start_delay_seconds",
    "shiftboss_runs_running", "shiftboss_runs_pending", "shiftboss_oldest_due_age_seconds", "shiftboss_dead_letters",
    "shiftboss_last_success_timestamp_seconds", "shiftboss_breaker_state", "shiftboss_worker_health",
    "shiftboss_node_slots", "shiftboss_worker_enabled", "shiftboss_node_slots_used",
    "shiftboss_event_loop_lag_seconds", "shiftboss_build_info",
    "shiftboss_cycle_duration_seconds", "shiftboss_store_errors", "shiftboss_store_up",
    "shiftboss_store_contact_age_seconds", "shiftboss_store_log_bytes", "shiftboss_workers",
}  # fmt: skip


def values(text: str) -> dict[tuple, float]:
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_the_promised_names_are_there_with_true_values(shop):
    app = Application(shop, open_authenticator())
    async with shop, httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE) as http:
        for to in ("ada", "ada", "broken"):
            await (await shop.trigger("send", {"to": to})).wait(timeout=30)
        await shop.disable("pick")
        text = (await http.get("/metrics")).text

    told = {family.name for family in text_string_to_metric_families(text)}
    assert told == NAMES
    found = values(text)
    assert found["shiftboss_runs_total", "send", "succeeded"] == 2
    assert found["shiftboss_runs_total", "dead", "send"] == 1
    assert found["shiftboss_attempts_total", "error", "send"] == 1
    assert found["shiftboss_run_duration_seconds_count", "send"] == 3
    assert found["shiftboss_start_delay_seconds_count", "send"] == 3
    assert found["shiftboss_dead_letters", "send"] == 1
    assert found["shiftboss_worker_enabled", "pick"] == 0
    assert found["shiftboss_worker_health", "disabled", "pick"] == 1
    assert found["shiftboss_worker_health", "healthy", "pick"] == 0
    assert found["shiftboss_breaker_state", "closed", "send"] == 1
    assert found["shiftboss_cycle_duration_seconds_count",] > 0
    assert found["shiftboss_store_errors_total",] == 0
    assert found["shiftboss_store_up",] == 1
    assert found["shiftboss_store_contact_age_seconds",] < PATIENCE_S


async def test_many_workers_are_counted_and_only_the_worst_have_series_of_their_own(shop, monkeypatch):
    monkeypatch.setattr(metrics, "MOST_WORKERS", WorkerFilter(limit=2))
    app = Application(shop, open_authenticator())
    async with shop, httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE) as http:
        await shop.disable("pick")
        found = values((await http.get("/metrics")).text)

    named = {key[1] for key in found if key[0] == "shiftboss_worker_enabled"}
    assert (len(named), "pick" in named) == (2, True)
    assert found["shiftboss_workers", "disabled"] == 1
    assert sum(count for key, count in found.items() if key[0] == "shiftboss_workers") == len(shop.definitions)


async def test_every_count_is_a_count_of_rows(shop):
    began = asyncio.Event()

    @shop.worker(retry=RetryPolicy(max_retries=2, first_s=0.01))
    async def moody(ctx: Context, good: int) -> None:
        if ctx.attempt < good:
            raise ValueError("not yet")

    @shop.worker(timeout=None)
    async def endless() -> None:
        began.set()
        await asyncio.Event().wait()

    app = Application(shop, open_authenticator())
    async with shop, httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE) as http:
        for good in (1, 2, 3, 4):  # the last is dead
            await (await moody.trigger(good)).wait(timeout=PATIENCE_S)
        for to in ("ada", "broken"):
            await (await shop.trigger("send", {"to": to})).wait(timeout=PATIENCE_S)
        await shop.cancel((await pending(shop)).id)
        running = await endless.trigger()
        await began.wait()
        await shop.cancel(running.id)
        await running.wait(timeout=PATIENCE_S)
        began.clear()
        await endless.trigger()
        await began.wait()  # this one goes on
        await pending(shop)
        text = (await http.get("/metrics")).text
        runs = await shop.ask(lambda views: views.history(HistoryFilter(limit=500)))
        letters = await shop.ask(lambda views: views.letters(LetterFilter()))

    attempts = [(run.worker, attempt) for run in runs for attempt in run.attempts]
    rows = {
        "shiftboss_runs_total": Counter((run.worker, run.status.value) for run in runs if run.status.is_final),
        "shiftboss_attempts_total": Counter((w, a.cause.value if a.cause else "succeeded") for w, a in attempts),
        "shiftboss_run_duration_seconds_count": Counter((r.worker,) for r in runs if r.status.is_final and r.attempts),
        "shiftboss_start_delay_seconds_count": Counter(
            (run.worker,) for run in runs for _ in range(len(run.attempts) + (run.status is Status.RUNNING))
        ),
        "shiftboss_runs_running": Counter((run.worker,) for run in runs if run.status is Status.RUNNING),
        "shiftboss_runs_pending": Counter((run.worker,) for run in runs if run.status is Status.PENDING),
        "shiftboss_dead_letters": Counter((letter.worker,) for letter in letters),
    }
    told = {name: {} for name in rows}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name in told and sample.value:
                labels = (sample.labels.get(each) for each in ("worker", "outcome"))
                told[sample.name][tuple(each for each in labels if each is not None)] = sample.value
    assert told == rows
    assert rows["shiftboss_runs_total"]["moody", "dead"] == 1
    assert rows["shiftboss_attempts_total"]["moody", "error"] == 1 + 2 + 3
    assert rows["shiftboss_runs_total"]["endless", "cancelled"] == 1
    assert rows["shiftboss_runs_total"]["pick", "cancelled"] == 1
    assert ("pick", "cancelled") not in rows["shiftboss_attempts_total"]  # it had not begun


async def pending(boss):
    """A run that waits."""
    return await boss.trigger("pick", delay=3600)


async def test_what_the_store_does_not_take_is_counted(monkeypatch):
    boss = a_shop("memory:")

    def away(**_: object):
        raise StoreUnavailable("the disk is away")

    app = Application(boss, open_authenticator())
    async with boss, httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE) as http:
        with monkeypatch.context() as patch:
            patch.setattr(boss.opened().engine._session, "begin", away)
            with pytest.raises(StoreUnavailable):
                await boss.trigger("send", {"to": "ada"})
        found = values((await http.get("/metrics")).text)

    assert found["shiftboss_store_errors_total",] >= 1


async def test_metrics_are_for_viewers(shop):
    async with started(shop, lambda request: request.headers.get("x-role")) as api:
        stranger = await api.http.get("/metrics")
        viewer = await api.http.get("/metrics", headers={"x-role": "viewer"})

    assert (stranger.status_code, viewer.status_code) == (403, 200)


async def test_where_the_extra_is_missing_the_answer_says_what_to_install(shop, monkeypatch):
    monkeypatch.setattr(metrics, "_counting", lambda boss: None)
    async with started(shop) as api:
        found = await api.http.get("/metrics")

    assert found.status_code == 501
    assert "shiftboss[metrics]" in found.json()["detail"]
