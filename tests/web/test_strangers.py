"""Who has shown nothing costs neither memory nor time, and keeps nobody out: a real server, sockets, and figures."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from shiftboss.web import connection
from shiftboss.web.server import ListenAddress, Server

from .conftest import PATIENCE_S, Sse, a_shop
from .test_server import Running

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")

TOKEN = "a-secret-of-enough-length"
BEARER = f"Authorization: Bearer {TOKEN}\r\n"
FROM_HERE = "Sec-Fetch-Site: same-origin\r\nContent-Type: application/json\r\n"
MANY = 520  # more than there may be connections
MB = 1 << 20

APP = """
from shiftboss import Orchestrator

boss = Orchestrator("sqlite:///shop.db")

@boss.worker(max_payload=64 << 20)
def large(text: str) -> None: ...

for number in range(300):
    def work() -> None: ...
    work.__name__ = f"worker_{number}"
    boss.worker(every="1h")(work)
"""


@pytest.fixture
def running(tmp_path) -> Iterator[Running]:
    """A process of its own, with a token."""
    (tmp_path / "app.py").write_text(APP)
    with Running("run", "app.py", "--http", "127.0.0.1:0", cwd=tmp_path, SHIFTBOSS_AUTH_TOKEN=TOKEN) as running:
        reading = threading.Thread(target=lambda: running.said.extend(running.process.stderr))
        reading.start()  # whoever logs into a pipe that is full stands still
        try:
            assert running.ready()[0] == 200
            yield running
        finally:
            running.process.kill()
            reading.join()


@contextmanager
def server_of(tmp_path, monkeypatch) -> Iterator[Server]:
    """A server in this process, whose limits a test may set."""
    monkeypatch.setenv("SHIFTBOSS_AUTH_TOKEN", TOKEN)
    boss = a_shop(f"sqlite:///{tmp_path / 'shop.db'}")
    boss.sync.start()
    try:
        server = Server(boss, ListenAddress("127.0.0.1", 0))
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        boss.sync.stop()


@pytest.fixture
def server(tmp_path, monkeypatch) -> Iterator[Server]:
    with server_of(tmp_path, monkeypatch) as server:
        yield server


def connected(address: ListenAddress, *, receives: int | None = None) -> socket.socket:
    found = socket.socket()
    if receives is not None:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receives)
    found.settimeout(PATIENCE_S)
    found.connect((address.host, address.port))
    return found


def head(method: str, path: str, headers: str = "", *, version: str = "1.1") -> bytes:
    return f"{method} {path} HTTP/{version}\r\nHost: 127.0.0.1\r\n{headers}\r\n".encode()


def read_all(connection: socket.socket) -> bytes:
    """Until the server ends it; a deadline that passes is a failure."""
    parts = []
    with contextlib.suppress(ConnectionError):
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)


def statuses(answers: bytes) -> list[int]:
    return [int(each) for each in re.findall(rb"HTTP/1\.1 (\d{3})", answers)]


def asked(address: ListenAddress, path: str = "/livez", headers: str = "") -> int:
    with connected(address) as one:
        one.sendall(head("GET", path, f"Connection: close\r\n{headers}"))
        return statuses(read_all(one))[0]


def memory(running: Running) -> int:
    """The most that it ever had, in bytes."""
    text = Path(f"/proc/{running.process.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", text)[1]) * 1024


def open_sockets(running: Running) -> int:
    links = Path(f"/proc/{running.process.pid}/fd").iterdir()
    found = 0
    for link in links:
        with contextlib.suppress(OSError):
            found += os.readlink(link).startswith("socket:")
    return found


def until(fits: Callable[[], bool]) -> bool:
    """Whether it came to that in time: nobody tells when a server has let somebody go who does not read."""
    waiting = threading.Event()
    return any(fits() or waiting.wait(0.02) for _ in range(int(PATIENCE_S / 0.02)))


@contextmanager
def all_of(sockets: list[socket.socket]) -> Iterator[list[socket.socket]]:
    try:
        yield sockets
    finally:
        for each in sockets:
            each.close()


# ── places ───────────────────────────────────────────────────────────────────────────────────────────────────────

SILENT = {
    "nothing": b"",
    "half a line": b"GET /liv",
    "half the headers": b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: ",
    "no body": head("POST", "/api/v1/session", f"{FROM_HERE}Content-Length: 100\r\n"),
    "half a body": head("POST", "/api/v1/session", f"{FROM_HERE}Content-Length: 100\r\n") + b"{",
    "a body that nobody wants": head("POST", "/api/v1/runs/cancel", f"{FROM_HERE}Content-Length: 100\r\n"),
    "nothing more": head("GET", "/livez"),
    "no end of chunks": head("POST", "/api/v1/session", f"{FROM_HERE}Transfer-Encoding: chunked\r\n") + b"1\r\n{",
}


def test_five_hundred_who_say_nothing_more_keep_nobody_out(running, record_property):
    before = memory(running)
    with Sse(running.address, headers=BEARER) as sse, all_of([]) as silent:
        sse.until("status")
        for number in range(MANY):
            one = connected(running.address)
            silent.append(one)
            with contextlib.suppress(ConnectionError):
                one.sendall(list(SILENT.values())[number % len(SILENT)])
        codes = [asked(running.address), asked(running.address, "/api/v1/status", BEARER)]
        running.ask("api/v1/workers/worker-7/disable", token=TOKEN, reason="a change")
        still_told = sse.until("event", lambda event: event["type"] == "audit")
        sockets, grown = open_sockets(running), memory(running) - before

    record_property("bytes", grown)
    assert codes == [200, 200]
    assert still_told["worker"] == "worker-7"
    assert sockets <= 500 + 50
    assert grown < 32 * MB


# ── deadlines ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def hurried(monkeypatch):
    for name in ("REQUEST_WITHIN_S", "ANSWER_WITHIN_S", "TAKE_WITHIN_S", "IDLE_S", "REST_WITHIN_S"):
        monkeypatch.setattr(connection, name, 0.3)


@pytest.mark.parametrize(
    ("what", "last"),
    [
        ("nothing", []),
        ("half a line", [408]),
        ("half the headers", [408]),
        ("no body", []),
        ("half a body", []),
        ("a body that nobody wants", [401]),
        ("nothing more", [200]),
        ("no end of chunks", []),
    ],
)
def test_whoever_says_nothing_more_is_let_go(server, hurried, what, last):
    with connected(server.address) as one:
        one.sendall(SILENT[what])

        assert statuses(read_all(one)) == last


@pytest.mark.parametrize("what", ["half the headers", "half a body", "a body that nobody wants", "no end of chunks"])
def test_whoever_dribbles_is_let_go_as_well(server, hurried, what):
    """A byte now and then is no progress: the deadline is for the whole."""
    is_over = threading.Event()

    def dribble(one: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while not is_over.wait(0.02):
                one.sendall(b"1\r\nx\r\n" if "chunks" in what else b"x")

    with connected(server.address) as one:
        one.sendall(SILENT[what])
        thread = threading.Thread(target=dribble, args=(one,))
        thread.start()
        try:
            read_all(one)
        finally:
            is_over.set()
            thread.join()


def test_who_was_let_in_may_be_silent_for_longer(server, hurried):
    with connected(server.address) as known, connected(server.address) as stranger:
        for one, headers in ((known, BEARER), (stranger, "")):
            one.sendall(head("GET", "/api/v1/session", headers))
            assert one.recv(65536)
            one.sendall(head("GET", "/api/v1/health", headers))
            assert one.recv(65536)
        read_all(stranger)
        known.sendall(head("GET", "/api/v1/health", f"{BEARER}Connection: close\r\n"))

        assert statuses(read_all(known))[-1] == 200


@pytest.mark.parametrize("what", ["many small answers", "one large answer"])
def test_who_takes_no_answer_is_let_go(server, hurried, monkeypatch, tmp_path, what):
    from shiftboss.web import site

    (tmp_path / "index.html").write_bytes(b"x" * 8 * MB)
    monkeypatch.setattr(site.DashboardFiles.__init__, "__defaults__", (tmp_path,))
    with server_of(tmp_path, monkeypatch) as server, connected(server.address, receives=4096) as deaf:
        connections = server._server.server_state.connections
        with contextlib.suppress(OSError):
            deaf.sendall(head("GET", "/livez") * 5000 if what == "many small answers" else head("GET", "/"))
        assert until(lambda: connections != set())
        assert until(lambda: connections == set())


# ── memory ───────────────────────────────────────────────────────────────────────────────────────────────────────


LENGTHS = ("Content-Length: 10485760", "Transfer-Encoding: chunked", "Content-Length: 8000")


def test_a_hundred_large_tokens_cost_next_to_nothing(running, record_property):
    """100 of 10 MB each made 1 GB."""
    before = memory(running)
    got = []

    def send(number: int) -> None:
        length = LENGTHS[number % len(LENGTHS)]
        body = b"10000\r\n" + b" " * 65536 + b"\r\n" if "chunked" in length else b" " * MB
        with connected(running.address) as one, contextlib.suppress(OSError):
            one.sendall(head("POST", "/api/v1/session", f"{FROM_HERE}{length}\r\n"))
            got.append(number)
            for _ in range(10 * MB // len(body)):
                one.sendall(body)

    threads = [threading.Thread(target=send, args=(each,)) for each in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    grown = memory(running) - before

    record_property("bytes", grown)
    assert len(got) == 100
    assert asked(running.address) == 200
    assert grown < 32 * MB


@pytest.mark.parametrize("path", ["/api/v1/runs/cancel", "/api/v1/session", "/livez", "/nowhere"])
def test_a_body_without_end_after_the_answer_is_not_listened_to(server, hurried, path, record_property):
    taken = 0
    with connected(server.address) as one:
        one.sendall(head("POST", path, f"{FROM_HERE}Content-Length: 1099511627776\r\n"))
        with contextlib.suppress(ConnectionError):
            while taken < 256 * MB:
                taken += one.send(b"x" * 65536)

    record_property("bytes", taken)
    assert taken < 16 * MB  # most of it in the kernel of whoever sends it


@pytest.mark.parametrize("count", [50, pytest.param(200, marks=pytest.mark.chaos)])
def test_streams_that_do_not_read_cost_a_bounded_queue_each(running, count, record_property):
    before = memory(running)
    request = head("GET", "/api/v1/events?topics=status,event,run", BEARER)
    with all_of([connected(running.address, receives=4096) for _ in range(count - 1)]) as deaf:
        for one in deaf:
            one.sendall(request)
        with Sse(running.address, headers=BEARER) as sse:
            sse.until("status")
            for number in range(20):
                running.ask(f"api/v1/workers/worker-{number}/disable", token=TOKEN, reason="x" * 1900)
                sse.until("event", lambda event: event["type"] == "audit")
            grown = memory(running) - before
        assert asked(running.address, "/api/v1/status", BEARER) == 200

    record_property("bytes", grown)
    assert grown < count * 512 * 1024


# ── strange words ────────────────────────────────────────────────────────────────────────────────────────────────

GET, POST = head("GET", "/livez"), head("POST", "/api/v1/session", f"{FROM_HERE}Content-Length: 2\r\n")
CHUNKED = f"{FROM_HERE}Transfer-Encoding: chunked\r\n"
UPGRADE = "Connection: Upgrade\r\nUpgrade: {}\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n"
WORDS = {  # what is sent → the first status
    "tls": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)) * 2 + b"\r\n\r\n", 400),
    "h2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 403),
    "nonsense": (b"nonsense\r\n\r\n", 400),
    "line breaks": (b"\r\n" * 1000, 400),
    "zeros": (b"\0" * 100_000, 400),
    "socks": (b"\x05\x01\x00\r\n\r\n", 400),
    "ssh": (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", 400),
    "a line without end": (b"GET /" + b"x" * 300_000, 400),
    "a header without end": (b"GET / HTTP/1.1\r\nX: " + b"x" * 300_000, 400),
    "huge headers": (head("GET", "/livez", f"X: {'x' * 200_000}\r\n"), 400),
    "thousands of headers": (head("GET", "/livez", "".join(f"X{n}: 1\r\n" for n in range(20_000))), 400),
    "some headers": (head("GET", "/livez", "".join(f"X{n}: 1\r\n" for n in range(1000))), 200),
    "no host": (b"GET /livez HTTP/1.1\r\n\r\n", 400),
    "two hosts": (b"GET /livez HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    "1.0": (b"GET /livez HTTP/1.0\r\n\r\n", 200),
    "1.0 kept alive": (head("GET", "/livez", "Connection: keep-alive\r\n", version="1.0"), 200),
    "0.9": (b"GET /livez\r\n\r\n", 400),
    "9.9": (head("GET", "/livez", version="9.9"), 200),
    "long method": (b"X" * 1000 + b" /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 403),
    "odd method": (b"G{T /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 400),
    "odd path": (b"GET /\xff\xfe HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 400),
    "escaped path": (head("GET", "/%00%ff%0a../livez"), 404),
    "whole address": (head("GET", "http://127.0.0.1/livez"), 404),
    "star": (head("OPTIONS", "*"), 404),
    "connect": (head("CONNECT", "example.org:443"), 403),
    "trace": (head("TRACE", "/livez"), 403),
    "bare cr": (b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nX: a\rb\r\n\r\n", 400),
    "folded header": (b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nX: a\r\n b\r\n\r\n", 200),
    "space before colon": (b"GET /livez HTTP/1.1\r\nHost : 127.0.0.1\r\n\r\n", 400),
    "length of letters": (head("POST", "/api/v1/session", f"{FROM_HERE}Content-Length: ten\r\n"), 400),
    "negative length": (head("POST", "/api/v1/session", f"{FROM_HERE}Content-Length: -1\r\n"), 400),
    "long length": (head("POST", "/api/v1/session", f"{FROM_HERE}Content-Length: {'9' * 5000}\r\n"), 400),
    "two lengths": (head("POST", "/api/v1/session", f"{FROM_HERE}Content-Length: 2\r\nContent-Length: 3\r\n"), 400),
    "length and chunks": (head("POST", "/api/v1/session", f"{CHUNKED}Content-Length: 2\r\n") + b"0\r\n\r\n", 400),
    "unknown coding": (head("POST", "/api/v1/session", f"{FROM_HERE}Transfer-Encoding: gzip, chunked\r\n"), 400),
    "no chunks": (head("POST", "/api/v1/session", CHUNKED) + b"ZZZ\r\n", 400),
    "no chunks, for nobody": (head("POST", "/api/v1/runs/cancel", CHUNKED) + b"ZZZ\r\n", 400),
    "huge chunk": (head("POST", "/api/v1/session", CHUNKED) + b"FFFFFFFFFFFFFFFF\r\nx", 408),
    "chunk extension": (head("POST", "/api/v1/session", CHUNKED) + b"1;" + b"x" * 300_000, 400),
    "chunks of a byte": (head("POST", "/api/v1/session", CHUNKED) + b"1\r\nx\r\n" * 20_000, 413),
    "trailers": (head("POST", "/api/v1/session", CHUNKED) + b"0\r\n" + b"X: 1\r\n" * 50_000, 400),
    "short length": (head("POST", "/api/v1/session", f"{FROM_HERE}Content-Length: 2\r\n") + b"{}{}{}\r\n\r\n", 400),
    "body of get": (head("GET", "/livez", "Content-Length: 5\r\n") + b"hello", 200),
    "body of head": (head("HEAD", "/livez", "Content-Length: 5\r\n") + b"hello", 200),
    "body of options": (head("OPTIONS", "/livez", "Content-Length: 5\r\n") + b"hello", 405),
    "much body of get": (head("GET", "/livez", f"Content-Length: {4 * MB}\r\n") + b"x" * 4 * MB, 200),
    "pipelined": (GET * 20, 200),
    "pipelined posts": ((POST + b"{}") * 20, 400),
    "pipelined nonsense": (GET + b"nonsense\r\n\r\n", 200),
    "websocket": (head("GET", "/livez", UPGRADE.format("websocket")), 200),
    "websocket elsewhere": (head("GET", "/api/v1/events", UPGRADE.format("websocket")), 401),
    "h2c": (head("GET", "/livez", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n"), 200),
    "100-continue": (
        head("POST", "/api/v1/runs/cancel", f"{FROM_HERE}Expect: 100-continue\r\nContent-Length: 9\r\n"),
        401,
    ),
    "100-continue, large": (
        head("POST", "/api/v1/session", f"{FROM_HERE}Expect: 100-continue\r\nContent-Length: 99999\r\n"),
        413,
    ),
    "other expectation": (head("GET", "/livez", "Expect: a miracle\r\n"), 200),
    "long query": (head("GET", f"/api/v1/session?{'a&' * 10_000}"), 400),
    "long cookie": (head("GET", "/api/v1/session", f"Cookie: shiftboss_session={'a.' * 10_000}\r\n"), 200),
    "many cookies": (head("GET", "/api/v1/session", f"Cookie: {'a=b;' * 5000}\r\n"), 200),
    "deep json": (head("POST", "/api/v1/session", f"{FROM_HERE}Content-Length: 8000\r\n") + b"[" * 8000, 400),
    "long path": (head("GET", "/" + "a/" * 10_000), 404),
    "no json": (head("POST", "/api/v1/session", f"{FROM_HERE}Content-Length: 3\r\n") + b"\xff\xfe\xfd", 400),
    "half a pair": (
        head("POST", "/api/v1/session", f"{FROM_HERE}Content-Length: 18\r\n") + b'{"token":"\\ud800"}',
        400,
    ),
}


@pytest.fixture(scope="module")
def talked_to(tmp_path_factory) -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as patch, server_of(tmp_path_factory.mktemp("shop"), patch) as server:
        patch.setattr(connection, "REQUEST_WITHIN_S", 1.0)
        patch.setattr(connection, "IDLE_S", 0.03)
        patch.setattr(connection, "REST_WITHIN_S", 0.1)
        patch.setattr("shiftboss.web.request_parsing.BODY_WITHIN_S", 1.0)
        yield server


@pytest.mark.parametrize("closes", [False, True], ids=["open", "half-closed"])
@pytest.mark.parametrize("word", WORDS)
def test_no_word_of_a_stranger_is_a_mistake_of_ours(talked_to, caplog, word, closes):
    sent, first = WORDS[word]
    with connected(talked_to.address) as one:
        with contextlib.suppress(ConnectionError):  # it was answered before it was at its end
            one.sendall(sent)
        if closes:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_WR)
        answers = statuses(read_all(one))

    assert answers[:1] in ([[first], []] if closes else [[first]])
    assert [code for code in answers if code >= 500 and code != first] == []
    assert "Traceback" not in caplog.text
    assert "mistake" not in caplog.text
    assert asked(talked_to.address) == 200


def test_a_thousand_bad_requests_are_a_few_lines_in_the_log(running, record_property):
    words = ("nonsense", "websocket", "tls", "no chunks", "no chunks, for nobody", "no host", "100-continue")
    for number in range(1000):
        with connected(running.address) as one, contextlib.suppress(OSError):
            one.sendall(WORDS[words[number % len(words)]][0])
            one.recv(1000)
    lines = [line for line in running.said if " INFO " not in line]

    record_property("lines", len(lines))
    assert len(lines) < 20
