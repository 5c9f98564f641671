"""Metrics have the names that are promised, and values that are true."""

from __future__ import annotations

import httpx
from prometheus_client.parser import text_string_to_metric_families

from shiftboss.web import metrics
from shiftboss.web.access import Local
from shiftboss.web.application import Application

from .conftest import BASE, started

NAMES = {
    "shiftboss_runs", "shiftboss_attempts", "shiftboss_run_duration_seconds", "shiftboss_start_delay_seconds",
    "shiftboss_runs_running", "shiftboss_runs_pending", "shiftboss_oldest_due_age_seconds", "shiftboss_dead_letters",
    "shiftboss_last_success_timestamp_seconds", "shiftboss_breaker_state", "shiftboss_worker_health",
    "shiftboss_node_slots", "shiftboss_worker_enabled", "shiftboss_node_slots_used",
    "shiftboss_event_loop_lag_seconds", "shiftboss_build_info",
}  # fmt: skip


def values(text: str) -> dict[tuple, float]:
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_the_promised_names_are_there_with_true_values(shop):
    app = Application(shop, Local())
    async with shop, httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE) as http:
        for to in ("ada", "ada", "broken"):
            await (await shop.trigger("send", {"to": to})).wait(timeout=30)
        await shop.disable("pick")
        text = (await http.get("/metrics")).text

    told = {family.name for family in text_string_to_metric_families(text)}
    assert {name for name in told if not name.endswith("_created")} == NAMES
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
