"""What is asked and done over HTTP is what the orchestrator knows and does."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner
from starlette.requests import Request

from shiftboss import Orchestrator
from shiftboss.cli.root import root
from shiftboss.core.redact import redaction
from shiftboss.executors.body import FunctionBody
from shiftboss.executors.parameters import plain_payload
from shiftboss.web import list_queries
from shiftboss.web.actions import TriggerBody
from shiftboss.web.application import Application
from shiftboss.web.request_parsing import read_body
from shiftboss.web.status_queries import without_secret_defaults
from shiftboss.web.table import OPERATIONS

from .conftest import SAME_ORIGIN, Api, open_authenticator, started


async def a_dead_letter(api, to="broken", **more) -> int:
    run = (await api.post("/workers/send/trigger", 202, payload={"to": to, **more}))["run"]
    await ended(api, run)
    return run


async def ended(api, run: int) -> None:
    """Wait until a run has ended, by the orchestrator's notifications."""
    await api.boss.wait_for(run, timeout=30)


@pytest.fixture
async def api(shop):
    async with started(shop) as api:
        api.boss = shop
        yield api


# ── seeing ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_status_names_every_worker_and_this_node(api):
    found = await api.get("/status")

    assert {worker["name"] for worker in found["workers"]} == {"fetch", "tidy", "send", "pick", "report"}
    assert [node["live"] for node in found["nodes"]] == [True]


async def test_health_comes_with_its_reasons(api):
    await api.post("/workers/pick/disable", reason="moving house")

    found = await api.get("/health")

    assert found["status"] == "degraded"
    assert [reason["worker"] for reason in found["reasons"]] == ["pick"]


async def test_workers_are_filtered_by_health_mode_and_part_of_the_name(api):
    await api.post("/workers/pick/disable")

    by_health = await api.get("/workers", health="disabled")
    by_mode = await api.get("/workers", mode="scheduled")
    by_name = await api.get("/workers", q="EN")

    assert [each["name"] for each in by_health["workers"]] == ["pick"]
    assert {each["name"] for each in by_mode["workers"]} == {"fetch", "tidy"}
    assert [each["name"] for each in by_name["workers"]] == ["send"]


async def test_a_status_is_read_page_by_page_and_says_how_many_there_are(api):
    await api.post("/workers/pick/disable")

    first = await api.get("/status", limit=2)
    rest = await api.get("/status", limit=10, cursor=first["next"])
    some = await api.get("/workers", mode=["scheduled", "continuous"], limit=1)

    assert first["workers"][0]["name"] == "pick"
    assert (len(first["workers"]), len(rest["workers"]), rest["next"]) == (2, 3, None)
    assert {each["name"] for each in (*first["workers"], *rest["workers"])} == set(api.boss.definitions)
    assert first["totals"] == rest["totals"] == some["totals"]
    assert (first["totals"]["workers"], first["totals"]["health"]["disabled"]) == (5, 1)
    assert (len(some["workers"]), some["matching"]) == (1, 2)
    assert some["next"] is not None


async def test_a_cursor_that_no_page_gave_is_refused(api):
    found = await api.get("/status", 400, cursor="pick")

    assert "cursor" in found["detail"]


async def test_the_page_of_a_worker_says_why_it_waits_what_comes_and_how_it_is_set(api):
    found = await api.get("/workers/tidy", instants=3)

    assert found["worker"]["schedule"] == "every day at 02:30 (Europe/Berlin)"
    assert len(found["next"]) == 3
    assert found["definition"]["depends_on"][0]["worker"] == "fetch"
    assert found["definition"]["schedule"]["type"] == "cron"
    assert found["blocked_with"] == ["pick"]
    assert [hold["gate"] for hold in found["why"]["holds"]][:1] == ["not_due"]


async def test_every_face_explains_the_run_that_starts_first(request, api):
    """A3, P2: the critical one, although a low one was due before it."""
    await api.boss.drain((await api.boss.nodes())[0].id)
    low = (await api.post("/workers/pick/trigger", 202, priority="low"))["run"]
    critical = (await api.post("/workers/pick/trigger", 202, priority="critical"))["run"]

    page, (row,) = await api.get("/workers/pick"), (await api.get("/workers", q="pick"))["workers"]
    explained, status = await api.boss.why("pick"), (await api.boss.status()).worker("pick")

    assert low < critical
    assert page["why"]["run"]["id"] == page["worker"]["next_run"] == row["next_run"] == critical
    assert explained.run.id == status.next_run == critical
    assert [hold.gate for hold in explained.holds] == [hold.gate for hold in status.holds] == ["draining"]
    assert page["worker"]["next_due_at"] == (await api.get(f"/runs/{low}"))["run"]["due_at"]
    if request.node.callspec.params["shop"] == "sqlite":
        command = await asyncio.to_thread(
            CliRunner().invoke, root, ["why", "pick", "--json", "--store", api.boss.store.url]
        )
        assert json.loads(command.stdout)["run"]["id"] == critical


async def test_the_page_of_a_worker_has_its_last_durations(api):
    for to in ("ada", "broken"):
        await a_dead_letter(api, to)

    found = await api.get("/workers/send")

    assert [each["ok"] for each in found["durations"]] == [True, False]


async def test_the_form_of_a_payload_is_its_schema(api):
    found = await api.get("/workers/send/payload")

    assert found["declared"]
    properties = found["schema"]["$defs"]["Parameters"]["properties"]
    assert list(properties) == ["to", "password", "copies"]


def test_the_form_of_a_payload_shows_no_default_that_is_a_secret():
    """A12: what is left out of a form counts all the same."""

    def connect(
        to: str = "ada",
        password: str = "hunter2",  # noqa: S107  # made up
        url: str = "amqp://ada:hunter2@mq",
        db: dict[str, str] = {"token": "hunter2"},  # noqa: B006  # never written to
        note: str = "by hunter3",
    ) -> None: ...

    mask = redaction(()).knowing(["hunter3"])
    body = FunctionBody(connect, worker="connect")

    shown = without_secret_defaults(body.schema(), mask)

    assert "hunter" not in str(shown)
    properties = shown["$defs"]["Parameters"]["properties"]
    assert {name: each.get("default") for name, each in properties.items()} == {
        "to": "ada",
        "password": None,
        "url": None,
        "db": None,
        "note": None,
    }
    assert properties["password"]["type"] == "string"
    assert "hunter" not in body.signature


async def test_runs_come_page_by_page_each_once(api):
    stored = [(await api.post("/workers/pick/trigger", 202, delay=3600))["run"] for _ in range(7)]

    pages, cursor = [], {}
    while True:
        page = await api.get("/runs", worker="pick", limit=3, **cursor)
        pages.append([run["id"] for run in page["runs"]])
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}

    assert [run for page in pages for run in page] == stored[::-1]
    assert max(map(len, pages)) == 3


async def test_runs_are_filtered_by_several_statuses(api):
    await a_dead_letter(api)
    await api.post("/workers/pick/trigger", 202, delay=3600)

    found = await api.http.get("/api/v1/runs?status=dead&status=pending&worker=pick&limit=5")

    assert [run["status"] for run in found.json()["runs"]] == ["pending"]


async def test_the_page_of_a_run_has_attempts_log_and_a_payload_without_its_secrets(api):
    run = await a_dead_letter(api, password="hunter2-hunter2")

    found = await api.get(f"/runs/{run}")

    assert found["run"]["payload"] == {"to": "broken", "password": "[redacted]"}
    assert found["run"]["error"]["message"] == "cannot send with [redacted]"
    assert "hunter2" not in str(found)
    assert found["letter"]["state"] == "open"
    assert [line["text"] for line in found["log"]] == ["sending to broken"]


async def test_a_result_is_stored_without_its_secrets(api):
    run = await a_dead_letter(api, to="ada")

    found = await api.get(f"/runs/{run}")

    assert found["run"]["result"] == {"to": "ada", "token": "[redacted]"}


async def test_lists_carry_no_tracebacks(api):
    await a_dead_letter(api)

    found = await api.get("/runs", status="dead")

    assert found["runs"][0]["error"]["type"] == "ValueError"
    assert found["runs"][0]["error"]["traceback"] == ""
    assert found["runs"][0]["attempts"][0]["error"]["traceback"] == ""


async def test_log_lines_are_asked_for_after_the_last_one(api):
    run = await a_dead_letter(api)
    first = (await api.get(f"/runs/{run}/log"))["lines"]

    after = await api.get(f"/runs/{run}/log", fence=first[-1]["fence"], number=first[-1]["number"])

    assert [line["text"] for line in first] == ["sending to broken"]
    assert after["lines"] == []


async def test_the_graph_has_nodes_and_edges_of_every_kind(api):
    found = await api.get("/graph")

    edges = {(edge["kind"], edge["source"], edge["target"]) for edge in found["edges"]}
    assert edges == {
        ("depends_on", "fetch", "tidy"),
        ("after", "send", "report"),
        ("blocks", "pick", "tidy"),
        ("uses", "pick", "warehouse"),
        ("breaker", "send", "mailer"),
    }
    kinds = {(node["kind"], node["name"]) for node in found["nodes"]}
    assert {("breaker", "mailer"), ("resource", "warehouse"), ("worker", "send")} <= kinds


async def test_the_graph_around_a_worker_has_a_bound(api):
    near = await api.get("/graph", worker="fetch", limit=2)
    one = await api.get("/graph", limit=1)

    assert [node["name"] for node in near["nodes"] if node["kind"] == "worker"] == ["fetch", "tidy"]
    assert (one["complete"], len([node for node in one["nodes"] if node["kind"] == "worker"])) == (False, 1)
    assert one["workers"] > 1
    assert "fetch" in [component["first"] for component in one["components"]]


async def test_the_health_is_answered_in_pages(api):
    first = await api.get("/health", limit=2)
    second = await api.get("/health", limit=2, cursor=first["next"])

    assert (len(first["workers"]), len(second["workers"])) == (2, 2)
    assert first["workers"].keys().isdisjoint(second["workers"])
    assert first["matching"] == sum(first["counts"].values()) > 2


async def test_the_timeline_has_the_runs_of_its_window_and_what_is_planned(api):
    run = await a_dead_letter(api)
    until = datetime.now(UTC) + timedelta(hours=3)

    found = await api.get("/timeline", until=until.isoformat())

    rows = {row["worker"]: row for row in found["rows"]}
    assert [each["id"] for each in rows["send"]["runs"]] == [run]
    assert len(rows["fetch"]["planned"]) >= 2
    assert found["complete"]


async def test_the_timeline_refuses_a_window_that_nobody_can_read(api):
    found = await api.get("/timeline", 400, since="2020-01-01T00:00:00Z", until="2026-01-01T00:00:00Z")

    assert found["type"] == "urn:shiftboss:problem:wrong-parameter"


async def test_the_minutes_count_what_ended_well_and_what_died(api):
    await a_dead_letter(api)

    found = await api.get("/minutes")

    assert sum(minute["failed"] for minute in found["minutes"]) == 1
    assert found["complete"]


async def test_activity_is_newest_first_and_by_worker(api):
    await api.post("/workers/pick/disable", reason="one")
    await api.post("/workers/pick/enable")

    page = await api.get("/activity", worker="pick", limit=2)
    rest = await api.get("/activity", worker="pick", cursor=page["next"])

    seen = [each["event"]["type"] for each in (*page["events"], *rest["events"])]
    assert seen == ["audit", "worker_enabled", "audit", "worker_disabled", "worker_declared"]


# ── doing ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_key_makes_a_trigger_idempotent_in_the_body_or_the_header(api):
    first = await api.post("/workers/pick/trigger", 202, key="order-7")
    again = await api.post("/workers/pick/trigger", 202, headers={**SAME_ORIGIN, "idempotency-key": "order-7"})
    other = await api.post("/workers/pick/trigger", 409, key="order-7", payload={"parcels": 5})

    assert first == again
    assert other["type"] == "urn:shiftboss:problem:duplicate-key"


async def test_many_are_triggered_by_one_request_and_answered_in_order(api):
    """O6"""
    later = {"delay": "1h", "priority": "high"}
    triggers = [
        {"worker": "send", "payload": {"to": "ada"}, "key": "a", **later},
        {"worker": "pick", **later},
        {"worker": "send", "payload": {"to": "ada"}, "key": "a", **later},
    ]
    found = await api.post("/workers/trigger", 202, triggers=triggers)
    runs = [(await api.get(f"/runs/{run}"))["run"] for run in found["runs"]]
    acts = (await api.get("/audit", action="trigger"))["acts"]

    assert [(run["worker"], run["key"], run["priority"]) for run in runs] == [
        ("send", "a", "high"),
        ("pick", None, "high"),
        ("send", "a", "high"),
    ]
    assert found["runs"][0] == found["runs"][2]
    assert sorted(act["worker"] for act in acts) == ["pick", "send"]
    assert await api.post("/workers/trigger", 202, triggers=[]) == {"runs": []}


async def test_if_one_of_many_is_refused_the_problem_names_all_of_them(api):
    """O6: nothing is stored."""
    triggers = [
        {"worker": "pick"},
        {"worker": "send", "payload": {"too": "ada"}},
        {"worker": "nobody"},
    ]
    found = await api.post("/workers/trigger", 422, triggers=triggers)

    assert (found["type"], found["refused_count"]) == ("urn:shiftboss:problem:triggers-refused", 2)
    assert [(each["place"], each["worker"], each["type"].rpartition(":")[2]) for each in found["refused"]] == [
        (1, "send", "wrong-payload"),
        (2, "nobody", "unknown-worker"),
    ]
    assert (await api.get("/runs", worker="pick"))["runs"] == []


@pytest.mark.parametrize(
    ("triggers", "said"),
    [
        ([{"payload": {}}], "worker"),
        ([{"worker": "pick", "payload": [1]}], "payload=[1] is not an object"),
        ([{"worker": "pick", "kye": "a"}], "kye"),
        ([{"worker": "pick", "priority": "urgent"}], "priority"),
        ({}, "triggers"),
        ([{"worker": "pick"}] * 50_001, "50,000"),
    ],
)
async def test_many_triggers_of_a_wrong_shape_are_refused_before_anything(api, triggers, said):
    assert said in (await api.post("/workers/trigger", 400, triggers=triggers))["detail"]


async def test_the_body_of_many_may_be_large_and_is_bounded(api):
    """O6: 8 MiB."""
    padded = {"worker": "send", "payload": {"to": "x" * 1_000_000}, "delay": 3600}

    assert len((await api.post("/workers/trigger", 202, triggers=[padded] * 3))["runs"]) == 3
    assert (await api.post("/workers/trigger", 413, triggers=[padded] * 9))["type"].endswith(":too-large")


async def test_a_payload_that_does_not_fit_is_refused_with_what_it_takes(api):
    found = await api.post("/workers/send/trigger", 422, payload={"too": "ada"})

    assert found["type"] == "urn:shiftboss:problem:wrong-payload"
    assert "did you mean 'to'?" in found["detail"]


async def test_a_payload_is_the_bytes_that_were_sent():
    """Q2, W5."""
    sent = b'{"payload": {"price": 0.12345678901234567890, "n": [1.10, 2]}, "delay": 1.5}'

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": sent, "more_body": False}

    request = Request({"type": "http", "method": "POST", "headers": [(b"content-type", b"application/json")]}, receive)
    body = await read_body(TriggerBody, request, limit=1000)

    assert plain_payload("pay", bytes(body.payload), "why") == b'{"price": 0.12345678901234567890, "n": [1.10, 2]}'
    assert body.delay == 1.5


async def test_an_unknown_field_or_parameter_is_named_with_the_nearest(api):
    field = await api.post("/workers/send/trigger", 400, paylod={})
    parameter = await api.get("/runs", 400, stauts="dead")

    assert field["detail"] == "the body has no field 'paylod'; did you mean 'payload'?"
    assert parameter["detail"] == "there is no parameter 'stauts'; did you mean 'status'?"


async def test_a_run_is_cancelled_with_a_reason_and_by_whom(shop):
    """A1: who is whom `authorize` says."""
    async with started(shop, lambda request: ("operator", "ada")) as api:
        run = (await api.post("/workers/pick/trigger", 202, delay=3600))["run"]

        found = await api.post(f"/runs/{run}/cancel", reason="not needed")
        audits = (await api.get("/activity", limit=1))["events"]

    assert found["status"] == "cancelled"
    assert (found["by"], found["cancel"]["by"], found["cancel"]["reason"]) == ("ada", "ada", "not needed")
    assert (audits[0]["event"]["by"], audits[0]["event"]["action"]) == ("ada", "cancel")


async def test_a_worker_is_disabled_refuses_and_is_enabled(api):
    await api.post("/workers/pick/disable", reason="moving house")
    refused = await api.post("/workers/pick/trigger", 409)
    enabled = await api.post("/workers/pick/enable")

    assert refused["type"] == "urn:shiftboss:problem:worker-disabled"
    assert enabled == {"worker": "pick", "enabled": True, "paused": False}


async def test_a_worker_that_failures_have_disabled_takes_triggers_and_says_what_they_wait_for(shop):
    """K4, K5"""

    @shop.worker(max_retries=0, max_consecutive_failures=1, probation="1h")
    async def bill() -> None:
        raise ValueError("no connection")

    async with started(shop) as api:
        await shop.wait_for((await api.post("/workers/bill/trigger", 202))["run"], timeout=30)
        run = (await api.post("/workers/bill/trigger", 202))["run"]
        (hold,) = (await api.get(f"/runs/{run}"))["why"]["holds"]
        worker = (await api.get("/workers/bill"))["worker"]

    assert (hold["gate"], hold["by"]) == ("disabled", "auto")
    assert (worker["enabled"], worker["accepts"]) == (False, True)


async def test_what_does_not_exist_is_404(api):
    for path in ("/workers/nobody", "/runs/999", "/runs/999/log", "/dead-letters/999", "/workers/nobody/payload"):
        await api.get(path, 404)
    for path in ("/workers/nobody/trigger", "/workers/nobody/enable", "/runs/999/cancel", "/nodes/nobody/drain"):
        await api.post(path, 404)


async def test_a_declared_worker_is_not_forgotten(api):
    found = await api.post("/workers/pick/forget", 409)

    assert found["type"] == "urn:shiftboss:problem:not-allowed"


async def test_a_node_is_drained_by_name_or_id(api):
    node = (await api.get("/nodes"))["nodes"][0]

    found = await api.post(f"/nodes/{node['id']}/drain")

    assert found == {"id": node["id"], "name": node["name"], "mode": "draining"}


async def test_what_a_node_declares_is_chosen_by_name_or_id(api):
    """M7."""
    node = (await api.get("/nodes"))["nodes"][0]

    assert await api.post(f"/nodes/{node['id']}/prefer", worker="pick") == {"names": []}
    assert (await api.get("/workers/pick"))["declared_otherwise"] == []
    refused = await api.post(f"/nodes/{node['name']}/prefer", 404, worker="nobody")
    assert refused["type"] == "urn:shiftboss:problem:unknown-worker"


# ── dead letters ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_dead_letters_are_grouped_shown_and_listed(api):
    runs = [await a_dead_letter(api) for _ in range(2)] + [await a_dead_letter(api, "nobody")]

    groups = await api.get("/dead-letters/groups")
    fatal = await api.get("/dead-letters", error="Fatal")
    one = await api.get(f"/dead-letters/{runs[0]}")

    assert groups["total"] == 3
    assert [(each["error_type"].rpartition(".")[2], each["count"]) for each in groups["groups"]] == [
        ("ValueError", 2),
        ("Fatal", 1),
    ]
    assert [letter["run"] for letter in fatal["letters"]] == [runs[2]]
    assert one["run"]["id"] == runs[0]


async def test_of_very_many_groups_of_dead_letters_the_largest_are_shown(api, monkeypatch):
    monkeypatch.setattr(list_queries, "MAX_GROUPS", 1)
    for to in ("broken", "broken", "nobody"):
        await a_dead_letter(api, to)

    groups = await api.get("/dead-letters/groups")

    assert (groups["total"], groups["left_out"]) == (3, 1)
    assert [each["count"] for each in groups["groups"]] == [2]


async def test_a_run_that_is_no_dead_letter_says_so(api):
    run = await a_dead_letter(api, "ada")

    await api.get(f"/dead-letters/{run}", 409)


async def test_a_dead_letter_is_replayed_resolved_discarded(api):
    first, second, third = [await a_dead_letter(api) for _ in range(3)]

    replayed = await api.post(f"/dead-letters/{first}/replay", 202)
    resolved = await api.post(f"/dead-letters/{second}/resolve", note="booked by hand")
    discarded = await api.post(f"/dead-letters/{third}/discard")
    again = await api.post(f"/dead-letters/{first}/replay", 409)

    assert (await api.get(f"/runs/{replayed['run']}"))["run"]["replay_of"] == first
    assert (resolved["state"], resolved["note"], discarded["state"]) == ("resolved", "booked by hand", "discarded")
    assert again["type"] == "urn:shiftboss:problem:not-allowed"


async def test_bulk_acts_only_on_as_many_as_were_expected(api):
    runs = [await a_dead_letter(api) for _ in range(3)]
    choice = {"worker": "send", "error": "ValueError"}

    dry = await api.post("/dead-letters/resolve", filter=choice, dry_run=True)
    none = await api.post("/dead-letters/resolve", 400, filter=choice)
    wrong = await api.post("/dead-letters/resolve", 409, filter=choice, expect=2)
    right = await api.post("/dead-letters/resolve", filter=choice, expect=3, note="the gateway was down")

    assert (dry["matched"], dry["done"], dry["runs"]) == (3, 0, runs)
    assert none["type"] == "urn:shiftboss:problem:no-expect"
    assert (wrong["type"], wrong["matched"]) == ("urn:shiftboss:problem:count-changed", 3)
    assert (right["matched"], right["done"], right["refused"]) == (3, 3, [])
    assert (await api.get("/dead-letters/groups"))["total"] == 0


async def test_a_bulk_replay_keeps_its_pace_by_due_instants(api):
    dead = [await a_dead_letter(api) for _ in range(3)]

    await api.post("/dead-letters/replay", filter={"runs": dead}, expect=3, rate="1/h")

    found = (await api.get("/runs", worker="send", limit=3))["runs"]
    due = [datetime.fromisoformat(run["due_at"]) for run in reversed(found)]
    assert [run["replay_of"] for run in reversed(found)] == dead
    assert [round((at - due[0]).total_seconds() / 3600, 2) for at in due] == [0, 1, 2]


async def test_a_bulk_discard_and_a_rate_that_is_none(api):
    await a_dead_letter(api)

    refused = await api.post("/dead-letters/replay", 400, filter={}, expect=1, rate="fast")
    done = await api.post("/dead-letters/discard", filter={}, expect=1)

    assert "rate='fast' is not understood" in refused["detail"]
    assert done["done"] == 1


async def test_a_bulk_cancel_takes_what_waits(api):
    for _ in range(3):
        await api.post("/workers/pick/trigger", 202, delay=3600)

    found = await api.post("/runs/cancel", filter={"worker": "pick"}, expect=3, reason="all of them")

    assert found["done"] == 3
    assert {run["status"] for run in (await api.get("/runs", worker="pick"))["runs"]} == {"cancelled"}


async def test_an_unknown_word_in_a_filter_is_refused(api):
    found = await api.post("/runs/cancel", 400, filter={"wroker": "pick"}, expect=0)

    assert "wroker" in found["detail"]


WRONG = (
    7,
    1.5,
    True,
    "",
    "x",
    "\0",
    [],
    [7],
    [[]],
    {},
    {"a": 1},
    None,
    10**30,
    -1,
    0,
    "7",
    ["x"],
    "x" * 3000,
    "a\nb",
    "\ud800",
)


def fields_of(kind: type[msgspec.Struct]) -> Iterator[tuple[str, Callable[[Any], dict[str, Any]]]]:
    """Every field of a body, and of the filter in it, with what makes a body of one value."""
    for field in msgspec.structs.fields(kind):
        yield field.name, lambda value, name=field.name: {name: value}
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            for inner in msgspec.structs.fields(field.type):
                yield inner.name, lambda value, outer=field.name, name=inner.name: {outer: {name: value}}


@pytest.mark.parametrize("operation", [each for each in OPERATIONS if each.body], ids=lambda each: each.id)
async def test_a_wrong_value_in_a_body_is_refused_with_field_value_and_remedy(api, operation):
    """W9: also within a filter; the words are those of the library."""
    path = "/api/v1" + operation.path.format(worker="pick", run=1, node="nobody")
    headers = {**SAME_ORIGIN, "content-type": "application/json"}

    given = {"filter": {}} if "filter" in dict(fields_of(operation.body)) else {}
    for name, body_of in fields_of(operation.body):
        for value in WRONG:
            body = {**given, **body_of(value)}
            answer = await api.http.request(operation.method, path, content=json.dumps(body), headers=headers)
            assert answer.status_code < 500, (body, answer.text)
            detail = answer.json()["detail"] if answer.status_code >= 400 else ""
            assert "Expected" not in detail, (body, detail)
            if detail and answer.json()["type"].endswith("wrong-body"):
                assert re.match(rf"{name}(\[.+\])?=.*; ", detail), (body, detail)


async def test_a_client_that_declares_nothing_takes_any_object(file_shop):
    async with file_shop, Orchestrator(file_shop.store_url).client() as client:
        api = Api(Application(client, open_authenticator()))
        form = await api.get("/workers/send/payload")
        stored = await api.post("/workers/send/trigger", 202, payload={"to": "ada"})
        unknown = await api.post("/workers/nobody/trigger", 404, payload={"to": "ada"})

    assert not form["declared"]
    assert stored["worker"] == "send"
    assert unknown["type"] == "urn:shiftboss:problem:unknown-worker"


# ── what is given wrongly ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("given", "detail"),
    [
        ({"key": 7}, 'key=7 is not a string; write key="7"'),
        ({"key": ""}, "key='' is empty; give a text, or leave key= out"),
        ({"key": "a\0b"}, "key='a\\x00b' has a NUL or half a surrogate pair"),
        ({"delay": "soon"}, "delay='soon' is not understood; write it like '90s'"),
        ({"delay": -1}, "delay=-1 is not a usable duration"),
        ({"delay": True}, "delay=True is not a duration"),
        ({"priority": "urgent"}, "priority='urgent' is unknown; use low, normal, high or critical"),
        ({"priority": 2}, "priority=2 is unknown"),
        ({"force": 1}, "force=1 is neither True nor False"),
        ({"force": "yes"}, "force='yes' is neither True nor False"),
    ],
)
async def test_an_option_is_refused_in_the_words_of_the_library(api, given, detail):
    problem = await api.post("/workers/send/trigger", 400, payload={"to": "ada"}, **given)

    assert detail in problem["detail"]


async def test_a_delay_may_be_a_text_and_no_reason_null(api):
    run = (await api.post("/workers/send/trigger", 202, payload={"to": "ada"}, delay="5m"))["run"]
    cancelled = await api.post(f"/runs/{run}/cancel", reason=None)
    refused = await api.post("/workers/send/disable", 400, reason=7)

    assert cancelled["status"] == "cancelled"
    assert refused["detail"] == 'reason=7 is not a string; write reason="7"'
