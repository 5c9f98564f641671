"""Nothing is open by default; roles, tokens, hosts, sites."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import httpx
import pytest

from shiftboss import ConfigurationError, Orchestrator
from shiftboss.app.roles import Role
from shiftboss.testing.clock import VirtualClock
from shiftboss.web import authenticators
from shiftboss.web.access import Mounted, granted
from shiftboss.web.application import Application, application
from shiftboss.web.ended_sessions import EndedSessions
from shiftboss.web.log_throttle import LogThrottle
from shiftboss.web.login_codes import LoginCodes
from shiftboss.web.server import ListenAddress, Server, address_of, free_address
from shiftboss.web.session import Sessions
from shiftboss.web.table import EVERYBODY, OPERATIONS, PREFIX
from shiftboss.web.tokens import WithTokens, given_token

from .conftest import BASE, SAME_ORIGIN, a_shop, open_authenticator, started

TOKEN = "a-secret-of-enough-length"
ALL = [(operation.method, PREFIX + operation.path) for operation in OPERATIONS]
BESIDE = [("GET", path) for path in ("/", "/assets/x.js", "/livez", "/readyz", "/healthz", "/metrics")]
BESIDE.append(("GET", f"{PREFIX}/openapi.json"))
NO_STREAM = [each for each in OPERATIONS if each.id != "events"]  # that is tested with a server
ROLES = ("metrics", "viewer", "operator", "admin")


@pytest.fixture(autouse=True)
def _no_token(monkeypatch):
    for name in ("SHIFTBOSS_AUTH_TOKEN", "SHIFTBOSS_AUTH_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)


def a_client(app, **headers) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, client=("192.0.2.7", 5))
    return httpx.AsyncClient(transport=transport, base_url=BASE, headers=headers)


async def answer(client: httpx.AsyncClient, method: str, path: str, **headers) -> httpx.Response:
    filled = path.format(worker="pick", run=1, node="nobody")
    return await client.request(method, filled, headers=headers, json=None if method == "GET" else {})


@pytest.fixture
async def boss():
    async with (boss := a_shop("memory:")):
        yield boss


# ── closed ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("method", "path"), [*ALL, *BESIDE])
async def test_without_authorize_nothing_is_open(boss, method, path):
    async with a_client(boss.asgi()) as client:
        found = await answer(client, method, path, **SAME_ORIGIN)

    assert found.status_code == 403
    assert "authorize=" in found.json()["detail"]


@pytest.mark.parametrize(("method", "path"), [(m, p) for m, p in ALL if not p.endswith("/session")])
async def test_whom_authorize_does_not_know_may_do_nothing(boss, method, path):
    async with a_client(boss.asgi(lambda request: None)) as client:
        found = await answer(client, method, path, **SAME_ORIGIN)

    assert found.status_code == 403


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("operation", NO_STREAM, ids=lambda each: f"{each.method} {each.path}")
async def test_each_role_may_do_what_the_table_says_and_no_more(boss, role, operation):
    async with a_client(boss.asgi(lambda request: role)) as client:
        found = await answer(client, operation.method, PREFIX + operation.path, **SAME_ORIGIN)

    may = operation.role is EVERYBODY or Role[role.upper()] >= operation.role
    assert (found.status_code == 403) is not may
    if not may:
        assert found.json()["type"] == "urn:shiftboss:problem:role-too-low"


def test_what_is_done_is_never_a_viewers():
    assert all(each.role >= Role.OPERATOR for each in OPERATIONS if each.method != "GET" and each.role is not EVERYBODY)


async def test_authorize_may_be_a_coroutine_and_say_the_name(boss):
    async def authorize(request):
        return ("operator", f"{request.headers['x-user']}\nforged")

    async with a_client(boss.asgi(authorize), **{"x-user": "ada"}) as client:
        found = (await client.get(f"{PREFIX}/session")).json()

    assert (found["role"], found["name"]) == ("operator", "adaforged")


def test_a_role_that_is_none_is_refused_with_the_nearest():
    with pytest.raises(ConfigurationError, match="did you mean 'operator'"):
        granted("operater")


# ── alone ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "example.org"])  # noqa: S104  # refused
def test_an_address_that_others_reach_is_refused_without_a_token(host):
    with pytest.raises(ConfigurationError, match="SHIFTBOSS_AUTH_TOKEN"):
        Server(Orchestrator("memory:"), ListenAddress(host, 0))


def test_a_token_comes_from_the_environment_or_a_file(monkeypatch, tmp_path):
    boss = Orchestrator("memory:")

    def own():
        return authenticators.alone("0.0.0.0", boss, authenticators.DEFAULT).authenticator.own  # noqa: S104  # with a token

    monkeypatch.setenv("SHIFTBOSS_AUTH_TOKEN", TOKEN)
    assert own() == given_token(TOKEN)

    monkeypatch.delenv("SHIFTBOSS_AUTH_TOKEN")
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    monkeypatch.setenv("SHIFTBOSS_AUTH_TOKEN_FILE", str(file))
    assert own() == given_token(TOKEN)

    for weak in ("short", "a" * 40):
        file.write_text(weak)
        with pytest.raises(ConfigurationError, match="too short"):
            own()
    file.write_text("")
    with pytest.raises(ConfigurationError, match="is empty"):
        own()


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("8420", ("127.0.0.1", 8420)),
        (":9", ("127.0.0.1", 9)),
        ("0.0.0.0:80", ("0.0.0.0", 80)),  # noqa: S104  # only read
        ("[::1]:80", ("::1", 80)),
        ("example.org", ("example.org", 8420)),
        ("[::1]", ("::1", 8420)),
    ],
)
def test_addresses_are_read(text, address):
    assert address_of(text) == address


@pytest.mark.parametrize("text", ["", "a b:1", "x:99999", "1:2:3", "host:port"])
def test_what_is_no_address_is_refused(text):
    with pytest.raises(ConfigurationError, match="is not an address"):
        address_of(text)


def test_a_port_that_is_taken_is_refused_at_once():
    first = Server(Orchestrator("memory:"), ListenAddress("127.0.0.1", 0))
    try:
        with pytest.raises(ConfigurationError, match="cannot listen on"):
            Server(Orchestrator("memory:"), first.address)
        free = Server(Orchestrator("memory:"), first.address, or_free=True)
        free.stop()
        assert free.address.port != first.address.port
    finally:
        first.stop()


def test_a_server_that_cannot_be_made_gives_its_port_back(monkeypatch):
    def full(*_):
        raise OSError("no space left on device")

    address = free_address(ListenAddress("127.0.0.1", 0), or_any=False)
    with monkeypatch.context() as patch:
        patch.setattr(authenticators, "alone", full)
        with pytest.raises(OSError, match="no space left") as kept:
            Server(Orchestrator("memory:"), address)
    Server(Orchestrator("memory:"), address).stop()

    assert kept.traceback  # whose frames hold the server


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8420", "localhost:1", "LOCALHOST", "[::1]:8420"])
async def test_this_machine_is_called_by_its_names(boss, host):
    async with a_client(
        Application(boss, authenticators.alone("127.0.0.1", boss, authenticators.DEFAULT).authenticator)
    ) as client:
        assert (await client.get("/livez", headers={"host": host})).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8420", "127.0.0.1.evil.example", "127.0.0.1@evil", "", "localhost.", "::1"]
)
async def test_a_name_that_was_rebound_to_us_is_refused_before_anything_else(boss, host):
    async with a_client(
        Application(boss, authenticators.alone("127.0.0.1", boss, authenticators.DEFAULT).authenticator)
    ) as client:
        for method, path in (("GET", "/livez"), ("POST", f"{PREFIX}/workers/pick/disable")):
            assert (await client.request(method, path, headers={"host": host})).status_code == 421


# ── tokens ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def client(boss):
    async with a_client(Application(boss, an_authenticator(boss.clock))) as client:
        yield client


async def test_a_token_opens_everything_and_a_wrong_one_nothing(client):
    none = await client.get(f"{PREFIX}/status")
    wrong = await client.get(f"{PREFIX}/status", headers={"authorization": "Bearer wrong"})
    basic = await client.get(f"{PREFIX}/status", headers={"authorization": f"Basic {TOKEN}"})
    in_query = await client.get(f"{PREFIX}/status?token={TOKEN}")
    right = await client.get(f"{PREFIX}/status", headers={"authorization": f"Bearer {TOKEN}"})

    assert [each.status_code for each in (none, wrong, basic, in_query, right)] == [401, 401, 401, 401, 200]
    assert none.headers["www-authenticate"] == "Bearer"


async def test_a_browser_exchanges_the_token_for_a_cookie_that_no_script_reads(client):
    assert (await client.get("/")).status_code == 200  # the page that asks for it
    entered = await client.post(f"{PREFIX}/session", json={"token": TOKEN}, headers=SAME_ORIGIN)
    cookie = entered.headers["set-cookie"].lower()
    inside = await client.get(f"{PREFIX}/status")
    left = await client.delete(f"{PREFIX}/session", headers=SAME_ORIGIN)
    outside = await client.get(f"{PREFIX}/status")

    assert (entered.status_code, inside.status_code, left.status_code, outside.status_code) == (204, 200, 204, 401)
    assert "httponly" in cookie
    assert "samesite=strict" in cookie


def an_authenticator(clock) -> WithTokens:
    """With the token of the environment, on a clock of the test's."""
    return WithTokens(
        Sessions(lambda: TOKEN, clock, EndedSessions(clock)), LoginCodes(clock), own=lambda: given_token(TOKEN)
    )


def is_valid(authenticator: WithTokens, name: str, cookie: str) -> bool:
    return authenticator.sessions.read(name, cookie, authenticator._named) is not None


async def test_a_session_ends_and_cannot_be_forged(boss):
    clock = VirtualClock("2026-03-01")
    authenticator = an_authenticator(clock)
    async with a_client(Application(boss, authenticator)) as client:
        await client.post(f"{PREFIX}/session", json={"token": TOKEN}, headers=SAME_ORIGIN)
        (name, cookie), *_ = client.cookies.items()
        token, until, rest = cookie.split(".", 2)
        unsigned = cookie.rpartition(".")[0]

        assert is_valid(authenticator, name, cookie)
        for forged in (
            f"{token}.{int(until) + 1}.{rest}",
            f"{unsigned}.",
            f"x.{until}.{rest}",
            "",
            "a.b.c",
            "٣.x.y.z.a.b",
        ):
            assert not is_valid(authenticator, name, forged)
        assert not is_valid(authenticator, f"{name}0", cookie)  # that of the server beside us
        clock.advance(13 * 3600)
        assert not is_valid(authenticator, name, cookie)
        assert name.startswith("shiftboss_session_")


@pytest.mark.parametrize("seconds", [3 * 86_400, -3 * 86_400, 3600, -3600])
async def test_a_session_lasts_as_long_when_the_clock_is_set(boss, seconds):
    """O4"""
    clock = VirtualClock("2026-03-01")
    authenticator = an_authenticator(clock)
    async with a_client(Application(boss, authenticator)) as client:
        await client.post(f"{PREFIX}/session", json={"token": TOKEN}, headers=SAME_ORIGIN)
        (name, cookie), *_ = client.cookies.items()
    clock.step_wall(seconds)
    clock.advance(11 * 3600)
    held = is_valid(authenticator, name, cookie)
    clock.advance(3600)

    assert (held, is_valid(authenticator, name, cookie)) == (True, False)


async def test_over_a_reboot_a_session_ends_by_the_wall_clock(boss):
    """O4"""
    clock = VirtualClock("2026-03-01")
    async with a_client(Application(boss, an_authenticator(clock))) as client:
        await client.post(f"{PREFIX}/session", json={"token": TOKEN}, headers=SAME_ORIGIN)
        (name, cookie), *_ = client.cookies.items()
    rebooted = VirtualClock("2026-03-01T11:59:59", boot="another")
    authenticator = an_authenticator(rebooted)
    held = is_valid(authenticator, name, cookie)
    rebooted.advance(1)

    assert (held, is_valid(authenticator, name, cookie)) == (True, False)


async def test_wrong_tokens_lock_nobody_out_however_many_and_from_wherever(boss):
    app = Application(boss, an_authenticator(boss.clock))
    transports = [httpx.ASGITransport(app, client=(f"192.0.2.{number}", 5)) for number in range(3)]
    codes = set()
    for transport in transports:
        async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
            for number in range(150):
                wrong = {"authorization": f"Bearer guess-{number}"}
                codes.add((await client.get(f"{PREFIX}/status", headers=wrong)).status_code)
            right = await client.get(f"{PREFIX}/status", headers={"authorization": f"Bearer {TOKEN}"})

    assert codes == {401}
    assert right.status_code == 200


# ── refusals are said ────────────────────────────────────────────────────────────────────────────────────────────


def refusals(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "shiftboss.web.access"]


async def test_the_first_refusal_is_said_and_the_next_within_a_minute_are_counted(boss, caplog):
    clock = VirtualClock("2026-03-01")
    app = Application(boss, an_authenticator(clock))
    app._refusals._throttle._clock = clock
    async with a_client(app) as client:
        for _ in range(3):
            await client.get(f"{PREFIX}/status", headers={"authorization": "Bearer guess"})
        clock.advance(61)
        await client.get(f"{PREFIX}/status", headers={"authorization": "Bearer guess"})

    assert refusals(caplog) == [
        "refused (401 wrong-token): GET /api/v1/status from 192.0.2.7",
        "refused (401 wrong-token): GET /api/v1/status from 192.0.2.7; 2 more like this since the last line",
    ]
    assert "guess" not in caplog.text


async def test_whose_role_is_too_low_is_named_and_so_is_what_was_tried(boss, caplog):
    app = Application(boss, Mounted(lambda request: ("viewer", "ada")))
    async with a_client(app) as client:
        await answer(client, "POST", f"{PREFIX}/workers/{{worker}}/disable", **SAME_ORIGIN)
        await answer(client, "POST", f"{PREFIX}/workers/{{worker}}/enable")

    assert refusals(caplog) == [
        "refused (403 role-too-low, ada): POST /api/v1/workers/pick/disable from 192.0.2.7",
        "refused (403 cross-site): POST /api/v1/workers/pick/enable from 192.0.2.7",
    ]


async def test_no_request_writes_a_line_of_its_own(boss, caplog):
    async with a_client(boss.asgi()) as client:
        await client.get(f"{PREFIX}/workers/x%0a2026-03-01%20WARNING%20forged" + "y" * 1000)

    (line,) = refusals(caplog)
    assert "\n" not in line
    assert len(line) < 300


def test_many_addresses_get_a_bounded_number_of_lines_and_room():
    said = LogThrottle(VirtualClock("2026-03-01"))

    lines = sum(said.counted((f"address {number}", "wrong-host")) is not None for number in range(3000))

    assert lines == 60
    assert len(said._known) == 1024


# ── sites ────────────────────────────────────────────────────────────────────────────────────────────────────────


HERE, SPELT, ELSEWHERE = "http://127.0.0.1:8420", "HTTP://127.0.0.1:8420", "https://evil.example"
BEARER = {"authorization": f"Bearer {TOKEN}"}
SITES = [  # Sec-Fetch-Site, Origin, whether a bearer was sent → whether it passes
    ("same-origin", None, False, True),
    ("same-origin", HERE, False, True),
    ("same-origin", "https://jobs.example", False, True),  # through a proxy that sends a Host of its own
    ("none", None, False, True),
    ("none", HERE, False, True),
    ("none", ELSEWHERE, False, False),
    (None, HERE, False, True),  # plain http away from loopback
    (None, SPELT, False, True),
    (None, ELSEWHERE, False, False),
    (None, "http://127.0.0.1:8421", False, False),
    (None, "http://127.0.0.1", False, False),
    (None, "http://127.0.0.1:8420.evil.example", False, False),
    (None, "http://evil.example#127.0.0.1:8420", False, False),
    (None, "ftp://127.0.0.1:8420", False, False),
    (None, "127.0.0.1:8420", False, False),
    (None, "null", False, False),
    (None, "", False, False),
    (None, None, False, False),
    (None, None, True, True),
    (None, HERE, True, True),
    (None, ELSEWHERE, True, False),
    (None, "null", True, False),
    ("", None, False, False),
    ("Same-Origin", HERE, False, False),
    ("same-site", HERE, False, False),
    ("same-site", None, True, False),
    ("cross-site", HERE, False, False),
    ("cross-site", ELSEWHERE, True, False),
    ("cross-site", None, True, False),
]


@pytest.mark.parametrize(("site", "origin", "has_bearer", "passes"), SITES)
@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT", "PATCH", "QUERY"])
async def test_what_changes_something_comes_from_this_site(boss, method, site, origin, has_bearer, passes):
    given = {"sec-fetch-site": site, "origin": origin, **(BEARER if has_bearer else {})}
    headers = {name: value for name, value in given.items() if value is not None}
    async with a_client(boss.asgi(lambda request: "admin")) as client:
        found = await client.request(method, f"{PREFIX}/session", headers=headers)

    is_refused = found.status_code == 403 and found.json()["type"] == "urn:shiftboss:problem:cross-site"
    assert is_refused is not passes


@pytest.mark.parametrize(
    ("host", "origin", "passes"),
    [
        ("jobs.example", "http://jobs.example", True),
        ("jobs.example:80", "http://jobs.example", True),
        ("jobs.example", "https://jobs.example", True),  # a proxy has the TLS
        ("jobs.example:443", "https://jobs.example", True),
        ("jobs.example:8420", "http://jobs.example:8420", True),
        ("[2001:db8::1]:8420", "http://[2001:db8::1]:8420", True),
        ("Jobs.Example", "http://jobs.example", True),
        ("jobs.example:443", "http://jobs.example", False),
        ("jobs.example", "http://jobs.example:8420", False),
        ("jobs.example", "http://sub.jobs.example", False),
        ("", "http://", False),
    ],
)
async def test_an_origin_is_the_host_and_its_port(boss, host, origin, passes):
    async with a_client(Application(boss, an_authenticator(boss.clock))) as client:
        found = await client.post(f"{PREFIX}/session", json={"token": TOKEN}, headers={"host": host, "origin": origin})

    assert found.status_code == (204 if passes else 403)


async def test_two_words_about_the_site_are_none(boss):
    app = Application(boss, Mounted(lambda request: "admin"))
    twice = [("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")]
    origins = [("origin", HERE), ("origin", ELSEWHERE)]
    async with a_client(app) as client:
        for headers in (twice, origins, [*origins, *BEARER.items()]):
            assert (await client.delete(f"{PREFIX}/session", headers=headers)).status_code == 403


@pytest.mark.parametrize("origin", ["http://evil.example:8420", "http://evil.example"])
async def test_an_origin_that_matches_a_host_that_is_not_ours_is_refused_all_the_same(boss, origin):
    async with a_client(
        Application(boss, authenticators.alone("127.0.0.1", boss, authenticators.DEFAULT).authenticator)
    ) as client:
        headers = {"host": origin.removeprefix("http://"), "origin": origin}
        assert (await client.post(f"{PREFIX}/workers/pick/disable", headers=headers)).status_code == 421


async def test_a_form_of_another_site_is_no_json(boss):
    async with a_client(boss.asgi(lambda request: "admin"), **SAME_ORIGIN) as client:
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""):
            found = await client.post(
                f"{PREFIX}/workers/pick/disable", content=b'{"reason": ""}', headers={"content-type": kind}
            )
            assert found.status_code == 415


@pytest.mark.parametrize(("method", "path"), [*BESIDE, *ALL[:2], ("GET", "/nowhere"), ("POST", "/livez")])
async def test_every_answer_is_framed_and_sniffed_by_nobody(boss, method, path):
    async with a_client(boss.asgi(lambda request: "viewer")) as client:
        found = await client.request(method, path, headers=SAME_ORIGIN)

    assert "default-src 'none'" in found.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in found.headers["content-security-policy"]
    assert "unsafe" not in found.headers["content-security-policy"]
    assert found.headers["x-frame-options"] == "DENY"
    assert found.headers["x-content-type-options"] == "nosniff"
    kept = ("no-cache", "no-store") if path == "/" else ("no-store",)  # the built page tells nothing of anybody's
    assert found.headers["cache-control"] in kept
    assert "access-control-allow-origin" not in found.headers


async def test_no_file_outside_of_the_dashboard_is_served(boss, tmp_path):
    async with a_client(boss.asgi(lambda request: "viewer")) as client:
        for path in ("../site.py", "%2e%2e/site.py", "..%2fsite.py", "/etc/passwd", "%00", "a" * 3000, ".", ""):
            assert (await client.get(f"/assets/{path}")).status_code == 404


async def test_the_token_of_the_environment_stands_in_for_authorize(boss, monkeypatch):
    monkeypatch.setenv("SHIFTBOSS_AUTH_TOKEN", TOKEN)
    async with a_client(application(boss), authorization=f"Bearer {TOKEN}") as client:
        assert (await client.get(f"{PREFIX}/session")).json()["role"] == "admin"


# ── probes ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_probes_are_open_and_tell_reasons_to_viewers_alone():
    async with started(a_shop("memory:"), lambda request: request.headers.get("x-role")) as api:
        await api.post("/workers/pick/disable", headers={**SAME_ORIGIN, "x-role": "operator"}, reason="moving house")
        stranger = await api.http.get("/healthz")
        viewer = await api.http.get("/healthz", headers={"x-role": "viewer"})

    assert (stranger.status_code, stranger.json()) == (200, {"status": "degraded", "reasons": []})
    assert "moving house" in viewer.json()["reasons"][0]


@pytest.mark.parametrize("way", ["address", "option"])
async def test_durability_of_the_process_is_said_in_healthz_status_doctor_and_log(tmp_path, caplog, way):
    """W1"""
    url = f"sqlite:///{tmp_path}/jobs.db"
    boss = Orchestrator(f"{url}?durability=process") if way == "address" else Orchestrator(url, durability="process")
    said = "durability='process' on "

    async def shiftboss(command: str) -> str:
        words = [sys.executable, "-m", "shiftboss", command, "--store", url]
        return (await asyncio.to_thread(subprocess.run, words, capture_output=True, text=True, check=False)).stdout

    async with boss, a_client(Application(boss, open_authenticator())) as client:
        health = (await client.get("/healthz")).json()
        told = [await shiftboss(command) for command in ("status", "health", "doctor")]
        status = await boss.status()

    assert health["status"] == "healthy"
    assert [said in each for each in (*health["reasons"], *told)] == [True] * 4
    assert [node.durability for node in status.nodes] == ["process"]
    assert sum("a power cut may lose the last" in line for line in caplog.messages) == 1


async def test_readyz_is_503_before_the_start_and_after_the_stop():
    boss = a_shop("memory:")
    async with a_client(Application(boss, open_authenticator())) as client:
        before = (await client.get("/readyz")).status_code
        async with boss:
            during = (await client.get("/readyz")).status_code
        after = await client.get("/readyz")
        alive = (await client.get("/livez")).status_code
        refused = await client.get(f"{PREFIX}/status")

    assert (before, during, after.status_code, alive, refused.status_code) == (503, 200, 503, 200, 503)
    assert after.json()["status"] == "stopping"
    assert "retry-after" in refused.headers


async def test_healthz_is_503_when_a_high_worker_is_unwell():
    boss = Orchestrator("memory:")
    boss.worker(priority="high", expect_success_within="1ms", every="1h", start="next")(lambda_named())
    async with boss, a_client(Application(boss, open_authenticator())) as client:
        found = await client.get("/healthz")

    assert found.status_code == 503
    assert found.json()["status"] == "unhealthy"


async def test_a_node_that_ends_on_purpose_is_draining_and_not_unhealthy():
    boss = Orchestrator("memory:", shutdown_timeout=30)
    began, go_on = asyncio.Event(), asyncio.Event()

    @boss.worker(priority="critical", timeout=None)
    async def lasts() -> None:
        began.set()
        await go_on.wait()

    async with a_client(Application(boss, open_authenticator())) as client:
        await boss.start()
        await lasts.trigger()
        await began.wait()
        stopping = asyncio.create_task(boss.stop())
        while (await client.get("/readyz")).status_code == 200 or (await client.get("/healthz")).json()[
            "reasons"
        ] == []:
            await asyncio.sleep(0)
        during = await client.get("/healthz")
        go_on.set()
        await stopping
        after = await client.get("/healthz")

    assert (during.status_code, during.json()["status"]) == (200, "draining")
    assert during.json()["reasons"] == ["lasts: every live node that could run it is draining"]
    assert (after.status_code, after.json()["status"]) == (503, "stopping")


def lambda_named():
    def nightly() -> None: ...

    return nightly
