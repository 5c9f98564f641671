"""Who may do what: names and roles from a file, sessions that end, what a host refuses."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
import uvicorn

from shiftboss import ConfigurationError, Orchestrator
from shiftboss.app.roles import Role
from shiftboss.testing.clock import VirtualClock
from shiftboss.web import authenticators, watched_file
from shiftboss.web.access import Mounted
from shiftboss.web.access_file import AccessFile, line_of, parsed
from shiftboss.web.application import Application
from shiftboss.web.login_codes import HOLDS_S, MAX_CODES, LoginCodes
from shiftboss.web.server import ListenAddress
from shiftboss.web.table import EVERYBODY, OPERATIONS, PREFIX
from shiftboss.web.watched_file import WatchedFile

from .conftest import PATIENCE_S, SAME_ORIGIN, Sse, a_shop, serving

ADA, BOB, PROM = ("ada-has-a-token-of-her-own", "bob-has-a-token-of-his-own", "prometheus-has-one-as-well")


@pytest.fixture(autouse=True)
def _no_token(monkeypatch):
    for name in ("SHIFTBOSS_AUTH_TOKEN", "SHIFTBOSS_AUTH_TOKEN_FILE", "SHIFTBOSS_ACCESS_FILE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def file(tmp_path) -> Path:
    """Where the server looks for it by itself."""
    found = tmp_path / "shop.db.access"
    write(found, line_of("ada", Role.ADMIN, ADA), line_of("bob", Role.VIEWER, BOB), line_of("prom", Role.METRICS, PROM))
    return found


def write(file: Path, *lines: str) -> None:
    draft = file.with_suffix(".draft")
    draft.write_text("".join(f"{line}\n" for line in lines))
    draft.replace(file)


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def client_of(app, **options) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, client=("127.0.0.1", 5))
    return httpx.AsyncClient(transport=transport, base_url=options.pop("base", "http://127.0.0.1:8420"), **options)


@contextlib.asynccontextmanager
async def opened(boss: Orchestrator, **options):
    """*boss* running, and a client of a server that stands alone on loopback."""
    async with boss:
        doors = authenticators.alone("127.0.0.1", boss, authenticators.Options(**options))
        async with client_of(
            Application(boss, doors.authenticator, authenticators.Options(**options).proxies())
        ) as client:
            client.authenticator = doors.authenticator
            yield client


# ── roles ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_each_token_may_what_its_role_may_and_acts_by_its_name(file_shop, file):
    async with opened(file_shop) as client:
        for token, name, role in ((ADA, "ada", "admin"), (BOB, "bob", "viewer"), (PROM, "prom", "metrics")):
            me = (await client.get(f"{PREFIX}/session", headers=bearer(token))).json()
            assert (me["name"], me["role"]) == (name, role)
        seen = [(await client.get(f"{PREFIX}/status", headers=bearer(token))).status_code for token in (ADA, BOB, PROM)]
        done = [
            (await client.post(f"{PREFIX}/workers/pick/trigger", headers=bearer(token), json={})).status_code
            for token in (ADA, BOB, PROM)
        ]
        run = (await client.get(f"{PREFIX}/runs?worker=pick", headers=bearer(ADA))).json()["runs"][0]

    assert (seen, done) == ([200, 200, 403], [202, 403, 403])
    assert run["by"] == "ada"


async def test_the_token_of_prometheus_opens_metrics_and_nothing_else(file_shop, file):
    async with opened(file_shop) as client:
        metrics = await client.get("/metrics", headers=bearer(PROM))
        health = await client.get("/healthz", headers=bearer(PROM))
        entered = await client.post(f"{PREFIX}/session", headers=SAME_ORIGIN, json={"token": PROM})
        codes = {
            operation.id: (
                await client.request(
                    operation.method,
                    PREFIX + operation.path.format(worker="pick", run=1, node="x"),
                    headers=bearer(PROM),
                    json=None if operation.method == "GET" else {},
                )
            ).status_code
            for operation in OPERATIONS
            if operation.role is not EVERYBODY
        }

    assert metrics.status_code in (200, 501)  # 501: the extra is not installed
    assert health.json().get("reasons") in (None, [])
    assert set(codes.values()) == {403}, codes
    assert entered.status_code == 403


# ── the access file ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_who_is_taken_out_or_put_in_is_so_at_once(file_shop, file):
    async with opened(file_shop) as client:
        write(file, line_of("bob", Role.OPERATOR, ADA), line_of("eve", Role.VIEWER, BOB))
        rotated = (await client.get(f"{PREFIX}/session", headers=bearer(ADA))).json()
        new = (await client.get(f"{PREFIX}/session", headers=bearer(BOB))).json()
        gone = await client.get(f"{PREFIX}/session", headers=bearer(PROM))

    assert (rotated["name"], rotated["role"]) == ("bob", "operator")
    assert (new["name"], new["role"]) == ("eve", "viewer")
    assert gone.status_code == 401


@pytest.mark.parametrize(
    "break_it",
    [
        lambda file: write(file, line_of("ada", Role.ADMIN, ADA), "bob viewer"),
        lambda file: write(file, "ada owner sha256:00"),
        lambda file: file.write_bytes(b"\xff\xfe"),
        lambda file: file.unlink(),
        lambda file: (file.unlink(), file.mkdir()),
        lambda file: file.chmod(0o666),
        lambda file: write(file, "# " + "x" * (2 << 20)),
    ],
    ids=["half a line", "no role", "no text", "gone", "a folder", "everybody's", "too large"],
)
async def test_a_broken_file_changes_nothing_is_said_once_and_is_mended(file_shop, file, caplog, break_it):
    async with opened(file_shop) as client:
        break_it(file)
        during = [
            (await client.get(f"{PREFIX}/status", headers=bearer(each))).status_code for each in (ADA, BOB, "x" * 20)
        ]
        said = [record.getMessage() for record in caplog.records if "last valid version applies" in record.getMessage()]
        with contextlib.suppress(OSError):
            file.rmdir()
        write(file, line_of("bob", Role.VIEWER, BOB))
        after = [(await client.get(f"{PREFIX}/status", headers=bearer(each))).status_code for each in (ADA, BOB)]

    assert during == [200, 200, 401]
    assert len(said) == 1
    assert str(file) in said[0]
    assert after == [401, 200]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ada admin", "line 1: a line is NAME ROLE"),
        ("\nada owner user", "line 2: 'owner' is not a role"),
        ("ada admin sha256:12", "64 digits"),
        (f"local admin sha256:{'0' * 64}", "cannot be the name of a token"),
        (f"a/b admin sha256:{'0' * 64}", "cannot be the name of a token"),
        ("ada admin user\nada viewer user", "listed twice"),
        (f"ada admin user\nada viewer sha256:{'0' * 64}", "listed twice"),
    ],
)
def test_a_wrong_line_is_named(text, message):
    with pytest.raises(ConfigurationError, match=message):
        parsed(text)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="only root makes files of others")
def test_a_file_that_somebody_else_put_beside_the_store_is_refused(file_shop, file):
    os.chown(file, 12345, 12345)
    with pytest.raises(ConfigurationError, match="another user"):
        authenticators.alone("127.0.0.1", file_shop, authenticators.DEFAULT)

    os.chown(file.parent, 12345, 12345)  # whose folder it is, his store is it as well
    assert [
        each.name
        for each in authenticators.alone("127.0.0.1", file_shop, authenticators.DEFAULT).authenticator._tokens()
    ][1:] == [
        "ada",
        "bob",
        "prom",
    ]


def test_a_change_of_the_same_size_within_a_tick_is_seen(tmp_path, monkeypatch):
    """In its place, so that only its times could tell; here they are as coarse as those of an old file system."""

    def coarse(path):
        facts = os.stat(path)
        second = int(facts.st_ctime)
        return SimpleNamespace(
            st_mtime_ns=second * 10**9,
            st_ctime_ns=second * 10**9,
            st_ctime=float(second),
            st_size=facts.st_size,
            st_ino=facts.st_ino,
        )

    file = tmp_path / "one-token"
    file.write_text("000")
    watched = WatchedFile(file, file.read_text)
    monkeypatch.setattr(watched_file, "os", SimpleNamespace(stat=coarse))
    for number in range(100):
        file.write_text(f"{number:03}")
        assert watched.content() == f"{number:03}"


def test_a_named_file_must_be_there(tmp_path):
    with pytest.raises(ConfigurationError, match="cannot be read: No such file"):
        AccessFile(tmp_path / "nowhere", is_given=True)


def test_a_token_that_is_taken_away_ends_its_stream(file_shop, file):
    with serving(file_shop) as address:
        address.token = BOB
        with Sse(address) as sse:
            sse.until("status")
            write(file, line_of("ada", Role.ADMIN, ADA))

            assert sse.until("bye")["reason"] == "your access has ended"
            assert sse.frame() is None


async def test_the_file_of_the_one_token_is_read_again_and_a_wrong_one_changes_nothing(
    file_shop, tmp_path, monkeypatch
):
    file = tmp_path / "one-token"
    file.write_text(f"{ADA}\n")
    monkeypatch.setenv("SHIFTBOSS_AUTH_TOKEN_FILE", str(file))
    async with opened(file_shop) as client:

        async def codes() -> list[int]:
            return [(await client.get(f"{PREFIX}/status", headers=bearer(each))).status_code for each in (ADA, BOB)]

        await client.post(f"{PREFIX}/session", headers=SAME_ORIGIN, json={"token": ADA})
        first = [*await codes(), (await client.get(f"{PREFIX}/status")).status_code]
        for wrong in ("short", "", "a" * 40):
            file.write_text(wrong)
            assert await codes() == [200, 401], wrong
        file.unlink()
        assert await codes() == [200, 401]
        file.write_text(BOB)
        rotated = [*await codes(), (await client.get(f"{PREFIX}/status")).status_code]
        await client.post(f"{PREFIX}/session", headers=SAME_ORIGIN, json={"token": BOB})
        again = authenticators.alone("127.0.0.1", file_shop, authenticators.DEFAULT).authenticator
        async with client_of(Application(file_shop, again), cookies=dict(client.cookies)) as restarted:
            after = (await restarted.get(f"{PREFIX}/status")).status_code

    assert first == [200, 401, 200]
    assert rotated == [401, 200, 401]
    assert after == 200


def test_a_user_without_a_home_needs_none_where_a_token_was_given(monkeypatch):
    def no_home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setattr(Path, "home", no_home)
    with pytest.raises(ConfigurationError, match="SHIFTBOSS_AUTH_TOKEN"):
        authenticators.alone("127.0.0.1", Orchestrator("memory:"), authenticators.DEFAULT)
    monkeypatch.setenv("SHIFTBOSS_AUTH_TOKEN", ADA)

    doors = authenticators.alone("0.0.0.0", Orchestrator("memory:"), authenticators.DEFAULT)  # noqa: S104
    assert doors.authenticator.own.name == "token"


# ── sessions ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_logging_out_ends_a_session_for_its_copies_too_and_over_a_restart(file_shop):
    async with opened(file_shop) as client:
        token = (Path(file_shop.store_url.removeprefix("sqlite:///") + ".token")).read_text().strip()
        entered = await client.post(f"{PREFIX}/session", headers=SAME_ORIGIN, json={"token": token})
        copy = dict(client.cookies)
        inside = (await client.get(f"{PREFIX}/session")).json()
        await client.delete(f"{PREFIX}/session", headers=SAME_ORIGIN)
        async with client_of(Application(file_shop, client.authenticator), cookies=copy) as thief:
            stolen = await thief.get(f"{PREFIX}/status")
        again = Application(
            file_shop, authenticators.alone("127.0.0.1", file_shop, authenticators.DEFAULT).authenticator
        )
        async with client_of(again, cookies=copy) as thief:
            restarted = await thief.get(f"{PREFIX}/status")

    assert entered.status_code == 204
    assert inside["name"].startswith("local/")
    assert (stolen.status_code, restarted.status_code) == (401, 401)


async def test_the_servers_own_token_is_read_again_too(file_shop):
    async with opened(file_shop) as client:
        file = Path(file_shop.store_url.removeprefix("sqlite:///") + ".token")
        old = file.read_text().strip()
        file.unlink()
        gone = (await client.get(f"{PREFIX}/status", headers=bearer(old))).status_code
        authenticators.alone("127.0.0.1", file_shop, authenticators.DEFAULT)  # another server makes it anew
        new = file.read_text().strip()
        codes = [(await client.get(f"{PREFIX}/status", headers=bearer(each))).status_code for each in (old, new)]

    assert gone == 200
    assert codes == [401, 200]


async def test_a_secret_may_be_any_text(file_shop, monkeypatch):
    monkeypatch.setenv("SHIFTBOSS_AUTH_TOKEN", "schöne-grüße-aus-köln")
    async with opened(file_shop) as client:
        sent = {"authorization": "Bearer schöne-grüße-aus-köln".encode()}
        assert (await client.get(f"{PREFIX}/status", headers=sent)).status_code == 200


async def test_a_session_lasts_over_a_restart_and_ends_with_its_token(file_shop, file):
    async with opened(file_shop) as client:
        await client.post(f"{PREFIX}/session", headers=SAME_ORIGIN, json={"token": BOB})
        cookies = dict(client.cookies)
        app = Application(file_shop, authenticators.alone("127.0.0.1", file_shop, authenticators.DEFAULT).authenticator)
        async with client_of(app, cookies=cookies) as client:
            before = (await client.get(f"{PREFIX}/session")).json()
            write(file, line_of("bob", Role.OPERATOR, BOB))
            promoted = (await client.get(f"{PREFIX}/session")).json()
            write(file, line_of("bob", Role.OPERATOR, "another-token-of-the-same-name"))
            rotated = (await client.get(f"{PREFIX}/session")).json()

    assert [each["role"] for each in (before, promoted, rotated)] == ["viewer", "operator", None]


async def test_servers_on_one_host_do_not_share_a_session(tmp_path, monkeypatch):
    """Browsers send a host's cookies to each of its ports; here they even have one token."""
    monkeypatch.setenv("SHIFTBOSS_AUTH_TOKEN", ADA)
    one, other = (a_shop(f"sqlite:///{tmp_path / name}.db") for name in ("one", "other"))
    async with opened(one) as first, opened(other) as second:
        for client in (first, second):
            await client.post(f"{PREFIX}/session", headers=SAME_ORIGIN, json={"token": ADA})
        (mine, mine_value), (theirs, theirs_value) = (*first.cookies.items(), *second.cookies.items())

        async def status(client, base="http://127.0.0.1:8420", **cookies) -> int:
            app = Application(boss=one if client is first else other, authenticator=client.authenticator)
            async with client_of(app, base=base, cookies=cookies) as browser:
                return (await browser.get(f"{PREFIX}/status")).status_code

        assert mine != theirs
        assert await status(first, **{mine: mine_value, theirs: theirs_value}) == 200
        assert await status(second, **{mine: mine_value, theirs: theirs_value}) == 200
        assert await status(second, **{mine: mine_value}) == 401
        assert await status(second, **{theirs: mine_value}) == 401  # renamed by who has it
        assert await status(first, base="http://127.0.0.1:9000", **{mine: mine_value}) == 401


def test_a_log_out_ends_the_streams_of_the_session(file_shop):
    with serving(file_shop) as address, httpx.Client(base_url=address.url, headers=SAME_ORIGIN) as client:
        client.post(f"{PREFIX}/session", json={"token": address.token})
        with client.stream("GET", f"{PREFIX}/events", timeout=PATIENCE_S) as stream:
            lines = stream.iter_lines()
            while "hello" not in next(lines):
                pass
            leaving = threading.Thread(target=client.delete, args=(f"{PREFIX}/session",))
            leaving.start()

            assert any("your access has ended" in line for line in lines)
        leaving.join()


# ── links that log in ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_code_is_taken_once_and_for_ten_minutes():
    clock = VirtualClock("2026-03-01")
    codes = LoginCodes(clock)
    first, late = codes.new(), codes.new()

    assert (codes.use(first), codes.use(first), codes.use("wrong")) == (True, False, False)
    clock.advance(HOLDS_S)
    assert (codes.holds(late), codes.use(late)) == (False, False)
    for _ in range(3 * MAX_CODES):
        codes.new()
    assert len(codes._until) == MAX_CODES


def test_of_many_who_use_a_code_at_once_one_comes_in():
    codes = LoginCodes(VirtualClock("2026-03-01"))
    code = codes.new()
    came_in = []
    threads = [threading.Thread(target=lambda: came_in.append(codes.use(code))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(came_in) == [False] * 19 + [True]


async def test_a_links_code_gives_a_session_and_no_bearer(file_shop):
    async with opened(file_shop) as client:
        code = client.authenticator.codes.new()
        as_bearer = await client.get(f"{PREFIX}/status", headers=bearer(code))
        as_token = await client.post(f"{PREFIX}/session", headers=SAME_ORIGIN, json={"token": code})
        both = await client.post(f"{PREFIX}/session", headers=SAME_ORIGIN, json={"token": code, "code": code})
        entered = await client.post(f"{PREFIX}/session", headers=SAME_ORIGIN, json={"code": code})
        twice = await client.post(f"{PREFIX}/session", headers=SAME_ORIGIN, json={"code": code})
        inside = await client.get(f"{PREFIX}/status")

    codes = [each.status_code for each in (as_bearer, as_token, both, entered, twice, inside)]
    assert codes == [401, 401, 400, 204, 401, 200]


# ── what a host refuses ──────────────────────────────────────────────────────────────────────────────────────────────


async def _dead(boss: Orchestrator) -> None:
    for to in ("nobody", "broken"):
        handle = await boss.trigger("send", {"to": to})
        with contextlib.suppress(Exception):
            await boss.wait_for(handle.id, timeout=PATIENCE_S)


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_host_refuses_by_action_and_worker_and_is_asked_about_each(shop, is_async):
    asked = []

    def may(action, worker):
        asked.append((action, worker))
        return (action, worker) == ("trigger", "pick")

    async def may_later(action, worker):
        return may(action, worker)

    answer = ("admin", "ada", may_later if is_async else may)
    async with shop, client_of(Application(shop, Mounted(lambda request: answer)), headers=SAME_ORIGIN) as client:
        await _dead(shop)
        run = (await shop.trigger("pick")).id
        codes = {}
        for operation in OPERATIONS:
            if operation.method == "GET" or operation.role is EVERYBODY:
                continue
            path = PREFIX + operation.path.format(worker="send", run=run, node="x")
            has_filter = operation.id.endswith("_many") and operation.id != "trigger_many"
            body = {"filter": {"worker": "send"}} if has_filter else {}
            codes[operation.id] = (await client.post(path, json=body)).status_code
        allowed = await client.post(f"{PREFIX}/workers/pick/trigger", json={})
        seen = await client.get(f"{PREFIX}/runs")

    assert set(codes.values()) == {403}, codes
    assert {action for action, _ in asked} == set(codes)
    assert {worker for action, worker in asked if action.endswith("_many")} == {"send", None}
    assert [action for action, worker in asked if action.endswith("_many") and worker is None] == ["trigger_many"]
    assert ("cancel", "pick") in asked
    assert (allowed.status_code, seen.status_code) == (202, 200)


async def test_of_many_triggers_a_host_is_asked_about_each_worker_and_nothing_is_stored_if_it_refuses_one(shop):
    def may(action, worker):
        return action == "trigger_many" or (action, worker) == ("trigger", "pick")

    app = Application(shop, Mounted(lambda request: ("operator", "ada", may)))
    mine, theirs = {"worker": "pick"}, {"worker": "send", "payload": {"to": "ada"}}
    async with shop, client_of(app, headers=SAME_ORIGIN) as client:
        refused = await client.post(f"{PREFIX}/workers/trigger", json={"triggers": [mine, theirs]})
        stored = await client.post(f"{PREFIX}/workers/trigger", json={"triggers": [mine, mine]})
        runs = [run for run in await shop.runs() if run.worker in ("pick", "send")]

    assert (refused.status_code, stored.status_code) == (403, 202)
    assert "trigger send" in refused.json()["detail"]
    assert [run.worker for run in runs] == ["pick", "pick"]


async def test_bulk_is_refused_whole_where_it_would_touch_a_worker_that_is_refused(shop):
    def may(action, worker):
        return action == "cancel_many" or worker == "pick"

    app = Application(shop, Mounted(lambda request: ("admin", "ada", may)))
    async with shop, client_of(app, headers=SAME_ORIGIN) as client:
        mine = (await shop.trigger("pick", delay=3600)).id
        theirs = (await shop.trigger("send", {"to": "ada"}, delay=3600)).id
        everything = {"filter": {"status": ["pending"]}}
        dry = await client.post(f"{PREFIX}/runs/cancel", json={**everything, "dry_run": True})
        all_ = await client.post(f"{PREFIX}/runs/cancel", json={**everything, "expect": 2})
        before = [(await client.get(f"{PREFIX}/runs/{run}")).json()["run"]["status"] for run in (mine, theirs)]
        own = await client.post(f"{PREFIX}/runs/cancel", json={"filter": {"worker": "pick"}, "expect": 1})

    assert (dry.status_code, all_.status_code) == (403, 403)
    assert before == ["pending", "pending"]
    assert own.json()["done"] == 1


@pytest.mark.parametrize("answer", [None, "yes", 1, (), "raises"])
async def test_what_is_not_true_is_a_refusal(shop, answer):
    def may(action, worker):
        if answer == "raises":
            raise LookupError("the host's own")
        return answer

    app = Application(shop, Mounted(lambda request: ("admin", "ada", may)))
    async with shop, client_of(app, headers=SAME_ORIGIN) as client:
        assert (await client.post(f"{PREFIX}/workers/pick/disable", json={})).status_code == 403


def test_a_role_that_the_host_takes_away_ends_its_streams(monkeypatch):
    monkeypatch.setattr(Mounted, "recheck_s", 0.0)
    roles = ["viewer"]
    boss = a_shop("memory:")
    boss.sync.start()
    app = boss.asgi(lambda request: roles[0])
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, lifespan="off", timeout_graceful_shutdown=1))
    listening = server.config.bind_socket()
    listening.listen()
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    try:
        with Sse(ListenAddress("127.0.0.1", listening.getsockname()[1])) as sse:
            sse.until("hello")
            roles[0] = None

            assert sse.until("bye")["reason"] == "your access has ended"
    finally:
        server.should_exit = True
        thread.join(PATIENCE_S)
        listening.close()
        boss.sync.stop()
