"""Whatever is sent to whichever operation: no 5xx, nothing of it comes back as markup, every refusal is a problem.

The operations, their parameters and bodies come from the table: what is added there is fuzzed here.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from functools import cache
from urllib.parse import quote, urlencode

import httpx
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from examples import examples
from shiftboss.web.application import Application
from shiftboss.web.table import OPERATIONS, PREFIX

from .conftest import BASE, SAME_ORIGIN, a_shop, open_authenticator

FUZZED = [operation for operation in OPERATIONS if operation.id != "events"]  # a stream: its parameters below
HOSTILE = (
    "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "' OR 1=1 --", "\0", "\x1b]0;x\x07", "%00",
    "%2e%2e/", "../../etc/passwd", "${jndi:ldap://x}", "{{7*7}}", "-1", "0", "1", "9" * 30, "1e999", "NaN", "null",
    "true", "", " ", "\n", "a" * 5000, "\u202e\u0000", "\ud7ff", "1970-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "[]",
    "{}", "9999-12-31T23:59:59.999999+14:00", "9999-12-31T23:59:59Z", "2026-01-01T00:00:00", "pick", "send", "dead",
    "open",
)  # fmt: skip
text = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=50))
value = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), text),
    lambda each: st.one_of(st.lists(each, max_size=4), st.dictionaries(text, each, max_size=4)),
    max_leaves=8,
)


class Fuzzed:
    """An orchestrator on a loop that outlives the examples."""

    def __init__(self, url: str) -> None:
        self.loop = asyncio.new_event_loop()
        self.boss = a_shop(url, durability="process")
        self.loop.run_until_complete(self.boss.start())
        transport = httpx.ASGITransport(Application(self.boss, open_authenticator()))
        self.http = httpx.AsyncClient(transport=transport, base_url=BASE, headers=SAME_ORIGIN)

    def send(self, method: str, path: str, **kwargs) -> httpx.Response:
        return self.loop.run_until_complete(self.http.request(method, path, **kwargs))

    def close(self) -> None:
        self.loop.run_until_complete(self.http.aclose())
        self.loop.run_until_complete(self.boss.stop())
        self.loop.close()


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory):
    with contextlib.closing(Fuzzed(f"sqlite:///{tmp_path_factory.mktemp('fuzz') / 'fuzz.db'}")) as fuzzed:
        yield fuzzed


@cache
def requests(operation) -> st.SearchStrategy:
    """(path, query, body): known names with hostile values, and hostile names."""
    fields = list(msgspec.structs.fields(operation.params))
    in_path = {f.encode_name for f in fields if f.encode_name in operation.path_params}
    query = [f.encode_name for f in fields if f.encode_name not in in_path]
    names = st.one_of(st.sampled_from(query), text) if query else text
    pairs = st.lists(st.tuples(names, text), max_size=3)
    paths = st.fixed_dictionaries({name: st.one_of(text, st.sampled_from(("pick", "1", "2"))) for name in in_path})
    if operation.body is None:
        bodies = st.just(b"")
    else:
        known = [f.encode_name for f in msgspec.structs.fields(operation.body)] or ["x"]
        objects = st.dictionaries(st.one_of(st.sampled_from(known), text), value, max_size=4)
        bodies = st.one_of(
            objects.map(lambda each: json.dumps(each).encode()), value.map(lambda v: json.dumps(v).encode()),
            st.binary(max_size=50), st.just(b'{"payload":' + b"[" * 5000),
        )  # fmt: skip
    return st.tuples(paths, pairs, bodies)


def check(found: httpx.Response, sent: object) -> None:
    assert found.status_code < 500, (sent, found.status_code, found.text)
    assert "<script" not in found.text.lower(), sent
    assert "<img" not in found.text.lower(), sent
    assert found.headers["x-content-type-options"] == "nosniff"
    if found.status_code >= 400:
        assert found.headers["content-type"] == "application/problem+json", sent
        assert found.json()["status"] == found.status_code, sent


@pytest.mark.parametrize("operation", FUZZED, ids=lambda each: f"{each.method} {each.path}")
@settings(max_examples=examples(8, of=60), deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_no_request_brings_an_operation_down(fuzzed, operation, data):
    paths, query, body = data.draw(requests(operation))
    filled = operation.path.format(**{name: quote(each, safe="") or "x" for name, each in paths.items()})
    url = f"{PREFIX}{filled}?{urlencode(query, errors='replace')}"

    found = fuzzed.send(operation.method, url, content=body, headers={"content-type": "application/json"})

    check(found, (url, body))


@settings(max_examples=examples(25, of=200), deadline=None, suppress_health_check=list(HealthCheck))
@given(topics=text, worker=text, run=text, last=text)
def test_no_parameter_brings_the_stream_down(fuzzed, topics, worker, run, last):
    query = urlencode({"topics": f"x{topics}", "worker": worker, "run": run, "last_event_id": last}, errors="replace")

    check(fuzzed.send("GET", f"{PREFIX}/events?{query}"), query)


@settings(max_examples=examples(25, of=200), deadline=None, suppress_health_check=list(HealthCheck))
@given(path=text, method=st.sampled_from(("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE")))
def test_no_path_and_no_method_brings_it_down(fuzzed, path, method):
    found = fuzzed.send(method, f"/{quote(path)}")
    if method != "HEAD" and found.text != fuzzed.send("GET", "/").text:  # many a path leads to our own page, as built
        check(found, path)


@pytest.fixture
def fresh(tmp_path):
    """Untouched: after the fuzzer a worker may be disabled, and every trigger of it is refused for that."""
    with contextlib.closing(Fuzzed(f"sqlite:///{tmp_path / 'fresh.db'}")) as fresh:
        yield fresh


@pytest.mark.parametrize("key", ["a" * 501, "\x7f", "\x85"])
def test_a_strange_idempotency_key_is_refused(fresh, key):
    found = trigger(fresh, key)

    assert found.status_code == 400
    assert found.json()["type"].endswith("wrong-key")
    assert "Idempotency-Key is too long, not printable" in found.json()["detail"]


@pytest.mark.parametrize("key", ["é", "a" * 500])
def test_a_key_that_can_be_read_is_taken(fresh, key):
    assert trigger(fresh, key).status_code == 202


def trigger(fuzzed, key: str) -> httpx.Response:
    headers = {"idempotency-key": key.encode("latin-1"), "content-type": "application/json"}
    return fuzzed.send("POST", f"{PREFIX}/workers/pick/trigger", content=b"{}", headers=headers)
