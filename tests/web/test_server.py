"""The server alone, in real processes: it is there when it says so, and keeps no process from ending."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from shiftboss.web import request_parsing
from shiftboss.web.server import ListenAddress

from .conftest import PATIENCE_S, Served, Sse, a_shop, serving

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")

APP = """
import threading
from shiftboss import Context, Orchestrator

boss = Orchestrator("sqlite:///shop.db")

@boss.worker()
def greet(name: str) -> str:
    return f"hello {name}"

@boss.worker(timeout=None)
def lasts(ctx: Context) -> None:
    while not ctx.stopping:
        threading.Event().wait(0.01)
"""


class Running:
    """A command that serves; where it says it listens."""

    def __init__(self, *args: str, cwd: Path, **env: str) -> None:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("SHIFTBOSS")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "shiftboss", *args],
            cwd=cwd,
            env={**kept, "SHIFTBOSS_USER": "ada", **env},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.said: list[str] = []
        for line in self.process.stderr:
            self.said.append(line)
            if found := re.search(r"http://(.+):(\d+)/", line):
                self.address = Served(found[1], int(found[2]))
                if file := re.search(r"\(token: (.+)\)", line):
                    self.address.token = Path(file[1]).read_text().strip()
                break
        else:
            raise subprocess.CalledProcessError(self.process.wait(), self.process.args, stderr="".join(self.said))

    def ask(self, path: str, *, token: str | None = None, **body):
        data = json.dumps(body).encode() if body else None
        request = urllib.request.Request(f"{self.address.url}{path}", data=data)  # noqa: S310  # our own address
        request.add_header("content-type", "application/json")
        request.add_header("authorization", f"Bearer {token or self.address.token or 'x'}")
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:  # noqa: S310  # our own address
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def ready(self):
        """Wait until it answers: connections wait in the backlog from the first."""
        return self.ask("readyz")

    def ends(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        self.process.stderr.read()
        return self.process.wait(PATIENCE_S)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stderr.close()


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "app.py").write_text(APP)
    return tmp_path


def test_run_with_http_serves_beside_the_workers_and_ends_with_a_stream_open(folder):
    with Running("run", "app.py", "--http", "127.0.0.1:0", cwd=folder) as running:
        status, told = running.ready()
        assert (status, told["status"], told["reasons"]) == (200, "ready", [])
        assert told["last_contact_age_s"] < PATIENCE_S
        code, stored = running.ask("api/v1/workers/greet/trigger", payload={"name": "ada"})
        with Sse(running.address) as sse:
            sse.until("status")
            running.ask("api/v1/workers/lasts/trigger", force=False)
            sse.until("status", lambda status: status["running"] != [])
            ended = running.ends()

            assert sse.until("bye")

    assert (code, stored["worker"], ended) == (202, "greet", 0)


def test_web_serves_a_store_and_runs_nothing(folder):
    with Running("run", "app.py", "--http", "127.0.0.1:0", cwd=folder) as running:
        running.ready()
        running.ends()
    with Running("web", "-s", "shop.db", "--http", "127.0.0.1:0", cwd=folder) as running:
        _, status = running.ask("api/v1/status")
        _, stored = running.ask("api/v1/workers/greet/trigger", payload={"name": "ada"})
        _, run = running.ask(f"api/v1/runs/{stored['run']}")
        with Sse(running.address) as sse:
            sse.until("status")
            ended = running.ends()

    assert {worker["health"] for worker in status["workers"]} == {"offline"}
    assert (run["run"]["status"], run["run"]["by"]) == ("pending", "local")
    assert ended == 0


def test_web_makes_the_store_where_that_is_asked_for_and_waits_for_it_otherwise(folder):
    early = subprocess.Popen(
        [sys.executable, "-m", "shiftboss", "web", "-s", "shop.db", "--http", "127.0.0.1:0"],
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert "there is no store" in early.stderr.readline()
        with Running(
            "web", "-s", "shop.db", "-a", "app.py", "--create", "--http", "127.0.0.1:0", cwd=folder
        ) as running:
            code, _ = running.ask("api/v1/workers/greet/trigger", payload={"name": "ada"})
        assert "dashboard and API: http://127.0.0.1:" in early.stderr.readline()
    finally:
        early.kill()
        early.communicate()
    assert code == 202


def test_another_address_needs_a_token_and_then_asks_for_it(folder):
    before = (folder / "shop.db").exists()
    refused = subprocess.run(
        [sys.executable, "-m", "shiftboss", "run", "app.py", "--http", "0.0.0.0:0"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    after = (folder / "shop.db").exists()
    token = "a-secret-of-enough-length"
    with Running("run", "app.py", "--http", "0.0.0.0:0", cwd=folder, SHIFTBOSS_AUTH_TOKEN=token) as running:
        running.address = running.address._replace(host="127.0.0.1")
        without = running.ask("api/v1/status")[0]
        with_it = running.ask("api/v1/status", token=token)[0]
        running.ends()

    assert refused.returncode == 2
    assert "SHIFTBOSS_AUTH_TOKEN" in refused.stderr
    assert after == before, "no store is made"
    assert (without, with_it) == (401, 200)


def test_a_port_that_is_taken_is_said_before_anything_starts(folder):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        found = subprocess.run(
            [sys.executable, "-m", "shiftboss", "run", "app.py", "--http", str(taken.getsockname()[1])],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )

    assert found.returncode == 2
    assert "cannot listen on" in found.stderr
    assert not (folder / "shop.db").exists()


# ── limits ───────────────────────────────────────────────────────────────────────────────────────────────────────


def answer_of(connection: socket.socket) -> tuple[int, dict]:
    """The status and the problem of an answer, read to its end."""
    with connection.makefile("rb") as file:
        status = int(file.readline().split()[1])
        length = 0
        while line := file.readline().strip():
            if line.lower().startswith(b"content-length:"):
                length = int(line.split()[1])
        return status, json.loads(file.read(length))


def begun(address: ListenAddress, length: int, sent: bytes) -> socket.socket:
    """A POST whose body of *length* bytes has come as far as *sent*."""
    connection = socket.create_connection((address.host, address.port), timeout=PATIENCE_S)
    connection.sendall(
        f"POST /api/v1/workers/pick/trigger HTTP/1.1\r\nHost: {address.host}\r\n"
        f"Authorization: Bearer {address.token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n".encode()
        + sent
    )
    return connection


def test_a_body_that_dribbles_is_given_up(file_shop, monkeypatch):
    monkeypatch.setattr(request_parsing, "BODY_WITHIN_S", 0.1)
    with serving(file_shop) as address, begun(address, 100, b'{"payl') as connection:
        assert answer_of(connection)[0] == 408


def test_a_body_that_is_too_large_is_refused_before_it_is_read(file_shop):
    with serving(file_shop) as address, begun(address, 1 << 40, b"{") as connection:
        status, problem = answer_of(connection)

    assert status == 413
    assert problem["type"] == "urn:shiftboss:problem:too-large"


def test_a_body_that_says_no_length_is_counted(file_shop, monkeypatch):
    monkeypatch.setattr("shiftboss.web.operation.MIN_BODY_BYTES", 100)
    monkeypatch.setattr("shiftboss.web.operation.BESIDE_PAYLOAD_BYTES", -(1 << 20) + 100)
    with serving(file_shop) as address:
        connection = socket.create_connection((address.host, address.port), timeout=PATIENCE_S)
        connection.sendall(
            f"POST /api/v1/workers/pick/trigger HTTP/1.1\r\nHost: {address.host}\r\n"
            f"Authorization: Bearer {address.token}\r\n"
            "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
            + b"40\r\n"
            + b"x" * 64
            + b"\r\n40\r\n"
            + b"x" * 64
            + b"\r\n"
        )
        with connection:
            assert answer_of(connection)[0] == 413


@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_who_has_shown_nothing_may_send_a_few_kilobytes(tmp_path, monkeypatch, method):
    """Whatever the largest payload is."""
    monkeypatch.setenv("SHIFTBOSS_AUTH_TOKEN", "a-secret-of-enough-length")
    boss = a_shop(f"sqlite:///{tmp_path / 'shop.db'}")
    boss.worker(max_payload=64 << 20)(large)
    answers = []
    with serving(boss) as address:
        for head in ("Content-Length: 8193", "Transfer-Encoding: chunked"):
            connection = socket.create_connection((address.host, address.port), timeout=PATIENCE_S)
            connection.sendall(
                f"{method} /api/v1/session HTTP/1.1\r\nHost: {address.host}\r\nSec-Fetch-Site: same-origin\r\n"
                f"Content-Type: application/json\r\n{head}\r\n\r\n".encode()
                + (b"2001\r\n" if "chunked" in head else b"")
                + b" " * 8193
            )
            with connection:
                answers.append(answer_of(connection)[0])

    assert answers == [413, 413]


def large(text: str) -> None: ...
