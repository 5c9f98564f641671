"""A1: what is done over HTTP and at the door stands in the audit, by the name that the authenticator knows."""

from __future__ import annotations

import json

import httpx
import pytest

from shiftboss.ports.faces import AuditFilter
from shiftboss.testing.clock import VirtualClock
from shiftboss.web.door_audit import EVERY_S, MANY, RefusalCounter
from shiftboss.web.problems import Problem

from .conftest import SAME_ORIGIN, serving, started


def acts(boss, **wanted) -> list[tuple[str, str, str]]:
    return [(act.by, act.action, act.after) for act in boss.sync.audit(AuditFilter(**wanted))][::-1]


def somebody(request):
    """A host that knows its users by a header, which it sets itself."""
    name = request.headers.get("x-user", "")
    return (("operator" if name == "bob" else "admin"), name) if name else None


async def test_who_triggers_cancels_and_switches_over_http_is_named(shop):
    """A1: triggers too, also those that pass over a switch."""
    async with started(shop, somebody, **{"x-user": "ada"}) as api:
        run = await api.post("/workers/send/trigger", 202, payload={"to": "bob"}, delay=3600)
        await api.post(f"/runs/{run['run']}/cancel", reason="no need")
        await api.post("/workers/pick/disable", reason="flood")
        await api.post("/workers/pick/trigger", 202, force=True, delay=3600)
        found = await api.get("/audit")
        only = await api.get("/audit", worker="pick", action="disable", by="ada", since="2020-01-01T00:00:00Z")
        page = await api.get("/audit", limit=1)
        rest = await api.get("/audit", cursor=page["next"])

    assert [(act["by"], act["action"], act["before"]) for act in found["acts"]] == [
        ("ada", "trigger", "disabled by ada: flood"),
        ("ada", "disable", "enabled"),
        ("ada", "cancel", "pending"),
        ("ada", "trigger", ""),
    ]
    assert found["acts"][0]["after"].startswith("forced, due ")
    assert [act["action"] for act in only["acts"]] == ["disable"]
    assert [act["id"] for act in page["acts"] + rest["acts"]] == [act["id"] for act in found["acts"]]


async def test_code_that_triggers_is_nobody(shop):
    """A1: without a name, a trigger is no act of a person."""
    async with shop:
        await shop.trigger("send", {"to": "bob"}, delay=3600)
        await shop.disable("pick")
        await shop.trigger("pick", delay=3600, force=True)

        assert [act.action for act in await shop.audit()] == ["trigger", "disable"]


async def test_what_is_sealed_can_be_verified_over_http_by_an_administrator(file_shop):
    """A8."""
    async with started(file_shop, somebody) as api:
        await api.http.post("/api/v1/workers/pick/disable", json={}, headers={**SAME_ORIGIN, "x-user": "ada"})
        refused = await api.http.get("/api/v1/audit/verify", headers={"x-user": "bob"})
        verdict = (await api.http.get("/api/v1/audit/verify", headers={"x-user": "ada"})).json()

    assert refused.status_code == 403
    assert (verdict["doubts"], verdict["proven"] + verdict["unsealed"]) == ([], verdict["rows"])


async def test_the_activity_is_what_people_did_or_what_came_of_itself(shop):
    async with started(shop, somebody, **{"x-user": "ada"}) as api:
        await api.post("/workers/pick/disable")
        people, system = await api.get("/activity", by="people"), await api.get("/activity", by="system")

    assert {each["event"]["type"] for each in people["events"]} == {"audit"}
    assert "worker_disabled" in {each["event"]["type"] for each in system["events"]}
    assert "audit" not in {each["event"]["type"] for each in system["events"]}


async def test_a_name_that_a_stranger_sends_is_nobodys(shop):
    """A1: who is not let in has no name, whatever the request says."""
    async with started(shop, lambda request: None, **{"x-user": "ada", "x-forwarded-user": "ada"}) as api:
        await api.post("/workers/pick/disable", 403)
        found = [(act.by, act.action, act.after) for act in await noted(shop)]

    assert found == [("", "refused", "1 × no-access from 127.0.0.1 (1)")]


async def test_who_may_not_is_named_when_refused(shop):
    async with started(shop, somebody, **{"x-user": "bob"}) as api:
        await api.post("/workers/pick/forget", 403)
        found = [(act.by, act.action, act.after) for act in await noted(shop)]

    assert found == [("bob", "refused", "1 × role-too-low")]


async def noted(boss):
    """Nobody waits for what is noted at the door; what stands behind it in the engine's queue is waited for."""
    await boss.disable("report")
    return (await boss.audit())[1:]


def test_log_ins_and_log_outs_are_acts_of_the_session(file_shop):
    """A1: on loopback too, by the session and not by who runs the server."""
    with serving(file_shop) as address, httpx.Client(base_url=address.url, headers=SAME_ORIGIN) as browser:
        assert browser.post("api/v1/session", json={"token": "wrong" * 8}).status_code == 401
        assert browser.post("api/v1/session", json={"token": address.token}).status_code == 204
        name = browser.get("api/v1/session").json()["name"]
        assert browser.post("api/v1/workers/pick/disable", json={}).status_code == 200
        assert browser.request("DELETE", "api/v1/session", json={}).status_code == 204
        file_shop.sync.status()
        file_shop.sync.enable("pick")  # behind all of them in the engine's queue
        found = acts(file_shop)

    assert name.startswith("local/")
    assert found[:-1] == [
        ("", "refused", "1 × wrong-token from 127.0.0.1 (1)"),
        (name, "log in", "admin from 127.0.0.1"),
        (name, "disable", "disabled: "),
        (name, "log out", "from 127.0.0.1"),
    ]


def test_who_may_come_in_from_now_on_is_noted_where_the_file_is_read(file_shop, tmp_path):
    from shiftboss.app.roles import Role
    from shiftboss.web.access_file import line_of

    file = tmp_path / "shop.db.access"
    file.write_text(line_of("ci", Role.OPERATOR, "a token of the ci, long enough") + "\n")
    file.chmod(0o600)
    with serving(file_shop) as address, httpx.Client(base_url=address.url) as client:
        file.write_text(line_of("ada", Role.VIEWER, "a token of ada's, long enough") + "\n")
        client.get("api/v1/status", headers={"authorization": f"Bearer {address.token}"})
        file_shop.sync.disable("pick")
        found = [(act.by, act.action, act.before, act.after) for act in file_shop.sync.audit()][::-1]

    assert found[0] == ("", "access changed", "ci operator", "ada viewer")


# ── counting refusals ────────────────────────────────────────────────────────────────────────────────────────────


class Noted:
    """A counter on a clock of the test, and the rows that it writes."""

    def __init__(self) -> None:
        self.clock = VirtualClock("2026-03-01")
        self.rows: list[tuple[str, str]] = []
        self.counts = RefusalCounter(self.clock, lambda action, *, by, after: self.rows.append((by, after)))

    def refuse(self, kind: str = "wrong-token", *, by: str = "", address: str = "192.0.2.1", times: int = 1) -> None:
        problem = Problem(401, kind, "…", by=by)
        for _ in range(times):
            self.counts.count({"type": "http", "client": (address, 1)}, problem)

    def wait(self) -> None:
        """Until the counter looks again."""
        self.clock.advance_to_us(self.clock.elapsed_us + int(EVERY_S * 1e6))
        self.counts._look()


async def test_a_flood_of_refusals_is_one_row_a_minute():
    """A1: the first at once, then what came in each minute; nobody fills a store by trying."""
    noted = Noted()
    for minute in range(3):
        for number in range(2000):
            noted.refuse(address=f"10.0.{minute}.{number % 200}")
            noted.refuse("role-too-low", address="10.9.9.9")
        noted.wait()

    first, *rest = noted.rows
    assert first == ("", "1 × wrong-token from 10.0.0.0 (1)")
    assert len(rest) == 3
    assert rest[0][1].startswith("2000 × role-too-low, 1999 × wrong-token from 10.9.9.9 (2000), 10.0.0.1 (10)")
    assert rest[0][1].endswith("and 196 more addresses")
    assert all(len(text) < 300 for _, text in noted.rows)


async def test_addresses_without_end_take_a_bounded_room():
    noted = Noted()
    noted.refuse()
    for number in range(5000):
        noted.refuse(address=f"10.{number // 65536}.{number // 256 % 256}.{number % 256}")
    noted.wait()

    assert len(noted.counts._addresses) == 0
    assert noted.rows[1][1].startswith("5000 × wrong-token from others (4000)")


async def test_people_without_end_share_a_row():
    noted = Noted()
    noted.refuse()
    for number in range(50):
        noted.refuse("role-too-low", by=f"user {number}")
    noted.wait()

    assert len(noted.rows) == 1 + 11
    assert ("", "40 × role-too-low") in noted.rows


@pytest.mark.parametrize(("times", "rows"), [(1, 0), (MANY - 1, 0), (MANY, 1)])
async def test_a_browser_that_has_yet_to_log_in_is_no_news(times, rows):
    noted = Noted()
    noted.refuse("no-token", times=times)

    assert len(noted.rows) == rows


async def test_what_was_counted_is_written_when_the_server_stops():
    noted = Noted()
    noted.refuse(times=3)
    noted.counts.write()

    assert [text for _, text in noted.rows] == [
        "1 × wrong-token from 192.0.2.1 (1)",
        "2 × wrong-token from 192.0.2.1 (2)",
    ]


def test_a_token_of_the_environment_that_is_another_one_now_is_noted(file_shop, tmp_path, monkeypatch):
    file = tmp_path / "secret"
    file.write_text("the first token of this server\n")
    monkeypatch.setenv("SHIFTBOSS_AUTH_TOKEN_FILE", str(file))
    with serving(file_shop) as address, httpx.Client(base_url=address.url) as client:
        file.write_text("the second token of this server, which is longer\n")
        second = {"authorization": "Bearer the second token of this server, which is longer"}
        assert client.get("api/v1/status", headers=second).status_code == 200
        file_shop.sync.disable("pick")
        found = [(act.action, act.before, act.after) for act in file_shop.sync.audit()][::-1]

    assert found[0] == ("access changed", "token with its previous secret", "token with a new secret")


async def test_an_export_is_one_act_of_who_asks_for_it(shop):
    """A1: the dashboard's button; with its filter and how many; masked (A12), and refused where the host says so."""

    def sees(request):
        name = request.headers.get("x-user", "")
        return "operator", name, lambda action, worker: name == "ada" or (action, worker) != ("export_many", "send")

    async with started(shop, sees, **{"x-user": "ada"}) as api:
        for to in ("broken", "nobody"):
            await (await shop.trigger("send", {"to": to, "password": "open-sesame"})).wait(timeout=30)
        body = {"filter": {"worker": "send", "error": "ValueError"}}
        found = await api.http.post("/api/v1/dead-letters/export", json=body, headers=SAME_ORIGIN)
        refused = await api.http.post(
            "/api/v1/dead-letters/export", json=body, headers={**SAME_ORIGIN, "x-user": "bob"}
        )
        acts = [(act.by, act.action, act.worker, act.after) for act in await shop.audit()]

    (line,) = map(json.loads, found.text.splitlines())
    assert (found.headers["shiftboss-lines"], found.headers["content-type"]) == ("1", "application/x-ndjson")
    assert (line["worker"], line["run"]["payload"]) == ("send", {"password": "[redacted]", "to": "broken"})
    assert line["run"]["attempts"][0]["error"]["message"] == "cannot send with [redacted]"
    assert (refused.status_code, refused.json()["type"].rpartition(":")[2]) == (403, "not-permitted")
    assert ("ada", "export dead letters", "send", "error ValueError, 1 by the API") in acts
