"""What a proxy says: believed from those that were named, refused from all others, and short and clean in any case."""

from __future__ import annotations

import logging

import httpx
import pytest

from shiftboss import ConfigurationError
from shiftboss.web import authenticators
from shiftboss.web.application import Application
from shiftboss.web.proxy import Proxies
from shiftboss.web.table import PREFIX

from .conftest import SAME_ORIGIN, a_shop

TOKEN = "a-secret-of-enough-length"
FORWARDING = {
    "forwarded": "for=192.0.2.1;proto=https",
    "x-forwarded-for": "192.0.2.1",
    "x-forwarded-proto": "https",
    "x-forwarded-host": "jobs.example.org",
    "x-forwarded-prefix": "/jobs",
    "x-real-ip": "192.0.2.1",
    "via": "1.1 proxy",
}


@pytest.fixture(autouse=True)
def _no_token(monkeypatch):
    for name in ("SHIFTBOSS_AUTH_TOKEN", "SHIFTBOSS_AUTH_TOKEN_FILE", "SHIFTBOSS_ACCESS_FILE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
async def boss(tmp_path):
    async with (boss := a_shop(f"sqlite:///{tmp_path / 'shop.db'}")):
        yield boss


def a_client(boss, *, peer="127.0.0.1", base="http://127.0.0.1:8420", token=None, **options) -> httpx.AsyncClient:
    """A client whose connection comes from *peer*; with the server's own token unless *token* is ""."""
    chosen = authenticators.Options(**options)
    authenticator, file = authenticators.alone("127.0.0.1", boss, chosen)
    token = file.read_text().strip() if token is None else token
    headers = {"authorization": f"Bearer {token}"} if token else {}
    transport = httpx.ASGITransport(Application(boss, authenticator, chosen.proxies()), client=(peer, 5))
    return httpx.AsyncClient(transport=transport, base_url=base, headers=headers)


@pytest.mark.parametrize("header", FORWARDING)
async def test_a_proxy_that_was_not_named_is_refused_even_with_the_token_and_says_the_remedy(boss, header):
    async with a_client(boss) as client:
        answers = {
            path: await client.get(path, headers={header: FORWARDING[header]})
            for path in (
                "/",
                "/assets/x.js",
                "/healthz",
                "/metrics",
                f"{PREFIX}/status",
                f"{PREFIX}/session",
                "/livez",
                "/readyz",
            )
        }

    codes = {path: each.status_code for path, each in answers.items()}
    assert codes.pop("/livez") == 200
    assert codes.pop("/readyz") == 200
    assert set(codes.values()) == {403}
    assert "--trusted-proxy" in answers["/"].json()["detail"]
    assert answers["/"].json()["type"] == "urn:shiftboss:problem:untrusted-proxy"


@pytest.mark.parametrize("header", FORWARDING)
async def test_a_proxy_that_was_named_is_let_through(boss, header):
    async with a_client(boss, trusted_proxies=("127.0.0.0/8",)) as client:
        found = await client.get(f"{PREFIX}/status", headers={header: FORWARDING[header]})
        direct = await client.get(f"{PREFIX}/status")

    assert (found.status_code, direct.status_code) == (200, 200)


async def test_others_who_say_the_same_are_refused_also_where_a_proxy_was_named(boss):
    async with a_client(boss, peer="192.0.2.9", trusted_proxies=("127.0.0.1, 10.0.0.0/8",)) as client:
        assert (await client.get(f"{PREFIX}/status", headers={"x-forwarded-for": "127.0.0.1"})).status_code == 403
        assert (await client.get(f"{PREFIX}/status")).status_code == 200


@pytest.mark.parametrize(
    ("said", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("6.6.6.6, 192.0.2.1", "192.0.2.1"),  # the first was said by the client
        ("6.6.6.6, 192.0.2.1, 10.1.2.3", "192.0.2.1"),  # through two that were named
        ("192.0.2.1:4711", "192.0.2.1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("2001:DB8:0::0001", "2001:db8::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::1"),
        ("10.1.2.3, 10.1.2.4", "10.1.2.3"),
        ("unknown", "unknown"),
        ("192.0.2.1, evil\x1b[31m", "unknown"),
        ("x" * 5000, "unknown"),
        (", ".join(["192.0.2.1"] * 2000), "192.0.2.1"),
        ("", "127.0.0.1"),
    ],
)
async def test_the_address_is_the_last_that_no_trusted_proxy_has(boss, caplog, said, address):
    caplog.set_level(logging.INFO, "shiftboss.web.access")
    async with a_client(boss, token="", trusted_proxies=("127.0.0.1", "10.0.0.0/8")) as client:
        await client.get(f"{PREFIX}/status", headers={"x-forwarded-for": said, "authorization": "Bearer wrong"})

    assert [record.getMessage() for record in caplog.records if "refused" in record.getMessage()] == [
        f"refused (401 wrong-token): GET /api/v1/status from {address}"
    ]


async def test_a_cookie_is_secure_where_the_trusted_proxy_says_https_and_nowhere_else(boss):
    async with a_client(boss, trusted_proxies=("127.0.0.1",)) as client:
        token = client.headers.pop("authorization").removeprefix("Bearer ")
        body = {"token": token}
        https = {"x-forwarded-proto": "https", "x-forwarded-host": "jobs.example.org", "x-forwarded-for": "192.0.2.1"}
        secure = await client.post(f"{PREFIX}/session", headers={**SAME_ORIGIN, **https}, json=body)
        cookie = secure.headers["set-cookie"]
        client.cookies.clear()
        inside = await client.get(f"{PREFIX}/status", headers={**https, "cookie": cookie.partition(";")[0]})
        plain = await client.post(f"{PREFIX}/session", headers=SAME_ORIGIN, json=body)

    assert cookie.startswith("__Host-shiftboss_session_")
    assert "; Secure" in cookie
    assert inside.status_code == 200
    assert "secure" not in plain.headers["set-cookie"].lower()


# ── single sign-on ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def users(tmp_path):
    file = tmp_path / "shop.db.access"
    file.write_text("ada@example.org admin user\nLöwe viewer user\n")
    return file


async def test_a_user_whom_the_trusted_proxy_names_has_the_role_of_the_file(boss, users):
    options = {"trusted_proxies": ("127.0.0.1",), "user_header": "X-Remote-User", "token": ""}
    async with a_client(boss, **options) as client:
        answers = {}
        for name in ("ada@example.org", "Löwe", "eve", ""):
            headers = {"x-forwarded-for": "192.0.2.1", "x-remote-user": name.encode()}
            answers[name] = await client.get(f"{PREFIX}/session", headers=headers)
        headers = {"x-forwarded-for": "192.0.2.1", "x-remote-user": b"ada@example.org"}
        triggered = await client.post(f"{PREFIX}/workers/pick/trigger", headers={**SAME_ORIGIN, **headers}, json={})
        unasked = await client.post(f"{PREFIX}/workers/pick/trigger", headers=headers, json={})
        unknown = await client.get(f"{PREFIX}/status", headers={"x-remote-user": "eve"})
        run = (await client.get(f"{PREFIX}/runs?worker=pick", headers=headers)).json()["runs"][0]
        users.write_text("* viewer user\n")
        everybody = (await client.get(f"{PREFIX}/session", headers={"x-remote-user": "eve"})).json()
        users.write_text("")
        revoked = await client.get(f"{PREFIX}/status", headers=headers)

    assert {name: each.json()["role"] for name, each in answers.items()} == {
        "ada@example.org": "admin",
        "Löwe": "viewer",
        "eve": None,
        "": None,
    }
    assert (triggered.status_code, unasked.status_code) == (
        202,
        403,
    )  # the proxy adds the user to a page's requests too
    assert (unknown.status_code, unknown.json()["type"]) == (403, "urn:shiftboss:problem:no-role")
    assert run["by"] == "ada@example.org"
    assert (everybody["role"], revoked.status_code) == ("viewer", 403)


async def test_a_header_of_a_stranger_names_nobody(boss, users):
    """From an address that was not named, and where no header was named at all."""
    named = {"trusted_proxies": ("10.0.0.1",), "user_header": "X-Remote-User", "token": ""}
    async with a_client(boss, peer="127.0.0.1", **named) as client:
        assert (await client.get(f"{PREFIX}/status", headers={"x-remote-user": "ada@example.org"})).status_code == 403
        assert (await client.get("/livez", headers={"x-remote-user": "ada@example.org"})).status_code == 200
        healthz = await client.get("/readyz", headers={"x-remote-user": "ada@example.org"})
    async with a_client(boss, trusted_proxies=("127.0.0.1",), token="") as client:
        assert (await client.get(f"{PREFIX}/status", headers={"x-remote-user": "ada@example.org"})).status_code == 401

    assert "last_contact_age_s" not in healthz.json()


async def test_two_names_are_none(boss, users):
    options = {"trusted_proxies": ("127.0.0.1",), "user_header": "X-Remote-User", "token": ""}
    async with a_client(boss, **options) as client:
        twice = [("x-remote-user", "eve"), ("X-Remote-User", "ada@example.org")]
        codes = [(await client.get(f"{PREFIX}/status", headers=twice)).status_code]
        for name in ("ada\x7f", "a" * 300, b"\xff\xfe", "ada\u202e".encode()):
            codes.append((await client.get(f"{PREFIX}/status", headers={"x-remote-user": name})).status_code)

    assert codes == [400] * 5


@pytest.mark.parametrize(
    ("trusted", "header", "message"),
    [
        (("localhost",), None, "is neither an address nor a network"),
        (("0.0.0.0/0",), None, "trusts everybody"),
        (("::/0",), None, "trusts everybody"),
        ((), "X-Remote-User", "only from a trusted proxy"),
        (("127.0.0.1",), "X Remote", "is not a usable header"),
        (("127.0.0.1",), "Authorization", "is not a usable header"),
    ],
)
def test_what_is_no_proxy_and_no_header_is_refused(trusted, header, message):
    with pytest.raises(ConfigurationError, match=message):
        Proxies(trusted, header)
