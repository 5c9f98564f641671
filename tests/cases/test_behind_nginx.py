"""A real nginx before a real server: nobody is an administrator by accident, and what the page says to write works."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from shiftboss import Orchestrator

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 30.0
NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")

pytestmark = [
    pytest.mark.cases,
    pytest.mark.skipif(NGINX is None, reason="NOT TESTED: there is no nginx; apt-get install nginx brings one"),
]

FRAME = """
{user}
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {server}
}}
"""
USER = "user root;" if os.name != "nt" and os.geteuid() == 0 else ""  # a folder of root's, and workers that can read it
BARE = "server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://127.0.0.1:{behind}; {more} }} }}"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


@pytest.fixture
def folder(tmp_path) -> Path:
    boss = Orchestrator(f"sqlite:///{tmp_path / 'shop.db'}")

    @boss.worker
    def greet() -> None: ...

    boss.sync.start()
    boss.sync.stop()
    return tmp_path


class Web:
    """`shiftboss web`, and what it says."""

    def __init__(self, folder: Path, *args: str) -> None:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("SHIFTBOSS")}
        self._log = (folder / "web.log").open("w+")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "shiftboss", "web", "-s", "shop.db", "--http", "127.0.0.1:0", *args],
            cwd=folder,
            env=kept,
            stdout=subprocess.DEVNULL,
            stderr=self._log,
        )
        found = self.says(r"http://127\.0\.0\.1:(\d+)/")
        self.port = int(found[1])
        self.token = (folder / "shop.db.token").read_text().strip()

    def says(self, pattern: str) -> re.Match[str]:
        return until(lambda: re.search(pattern, Path(self._log.name).read_text()), f"{pattern} in the log")

    def end(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE_S)
        self._log.close()


def until(look, what: str):
    deadline = time.monotonic() + PATIENCE_S
    while not (found := look()):
        assert time.monotonic() < deadline, f"no {what}"
        time.sleep(0.01)
    return found


@contextmanager
def web(folder: Path, *args: str) -> Iterator[Web]:
    running = Web(folder, *args)
    try:
        yield running
    finally:
        running.end()


@contextmanager
def nginx(folder: Path, server: str, port: int) -> Iterator[None]:
    (folder / "nginx.conf").write_text(FRAME.format(folder=folder, server=server, user=USER))
    process = subprocess.Popen([NGINX, "-p", str(folder), "-c", str(folder / "nginx.conf")], stderr=subprocess.PIPE)

    def listens() -> bool:
        assert process.poll() is None, process.stderr.read().decode()
        with socket.socket() as tried:
            return tried.connect_ex(("127.0.0.1", port)) == 0

    try:
        until(listens, "nginx")
        yield
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE_S)


def configuration(folder: Path, port: int, behind: int, more: str = "") -> str:
    """That of the page, with our ports and a certificate of our own."""
    page = (ROOT / "docs/how-to/proxy.md").read_text(encoding="utf-8")
    found = re.search(r"```nginx\n(.*?)```", page, re.DOTALL)
    assert found is not None
    name = "/etc/ssl/jobs.example.org"
    subject = ["-subj", "/CN=jobs.example.org", "-addext", "subjectAltName=DNS:jobs.example.org"]
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{folder}/tls.key"]
    made = ["openssl", "req", "-x509", *key, "-out", f"{folder}/tls.pem", *subject]
    subprocess.run(made, check=True, capture_output=True, timeout=PATIENCE_S)
    text = found[1].replace("listen 443 ssl", f"listen 127.0.0.1:{port} ssl").replace(":8420", f":{behind}")
    text = text.replace(f"{name}.pem", f"{folder}/tls.pem").replace(f"{name}.key", f"{folder}/tls.key")
    return text.replace("proxy_buffering off;", f"proxy_buffering off; {more}")


@contextmanager
def browser(folder: Path, port: int, **headers: str) -> Iterator[httpx.Client]:
    """It reaches jobs.example.org by this machine's address, and says where it comes from."""
    trust = ssl.create_default_context(cafile=f"{folder}/tls.pem")
    name = f"jobs.example.org:{port}"

    class Here(httpx.HTTPTransport):
        def handle_request(self, request):
            url = request.url.copy_with(host="127.0.0.1")
            more = {**request.extensions, "sni_hostname": "jobs.example.org"}
            return super().handle_request(
                httpx.Request(request.method, url, headers=request.headers, stream=request.stream, extensions=more)
            )

    origin = {"host": name, "origin": f"https://{name}"}
    transport = Here(verify=trust)
    with httpx.Client(base_url=f"https://{name}", transport=transport, headers={**origin, **headers}) as client:
        yield client


@pytest.mark.parametrize("path", ["/api/v1/status", "/metrics", "/api/v1/session"])
def test_an_nginx_that_says_nothing_makes_nobody_an_administrator(folder, path):
    """Its default `Host` is that of the server behind it, and it adds no header."""
    port = free_port()
    with web(folder) as server, nginx(folder, BARE.format(port=port, behind=server.port, more=""), port):
        found = httpx.get(f"http://127.0.0.1:{port}{path}")

    if path == "/api/v1/session":
        assert found.json()["role"] is None
    else:
        assert found.status_code == 401
        assert "shiftboss token show" in found.json()["detail"]


def test_an_nginx_that_was_not_named_is_refused_and_its_probes_are_answered(folder):
    port = free_port()
    more = "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;"
    with web(folder) as server, nginx(folder, BARE.format(port=port, behind=server.port, more=more), port):
        bearer = {"authorization": f"Bearer {server.token}"}
        codes = {
            path: httpx.get(f"http://127.0.0.1:{port}{path}", headers=bearer).status_code
            for path in ("/", "/api/v1/status", "/metrics", "/healthz", "/livez", "/readyz")
        }

    assert codes == {"/": 403, "/api/v1/status": 403, "/metrics": 403, "/healthz": 403, "/livez": 200, "/readyz": 200}


def test_the_configuration_of_the_page_logs_in_acts_and_streams(folder):
    port = free_port()
    with web(folder, "--trusted-proxy", "127.0.0.1") as server:
        forged = {"x-forwarded-for": "6.6.6.6", "x-forwarded-host": "evil.example", "forwarded": "for=6.6.6.6"}
        with (
            nginx(folder, configuration(folder, port, server.port), port),
            browser(folder, port, **forged) as client,
        ):
            assert client.post("/api/v1/session", json={"token": "wrong"}).status_code == 401
            entered = client.post("/api/v1/session", json={"token": server.token})
            triggered = client.post("/api/v1/workers/greet/trigger", json={})
            elsewhere = client.post(
                "/api/v1/workers/greet/trigger", json={}, headers={"origin": "https://evil.example"}
            )
            with client.stream("GET", "/api/v1/events", timeout=PATIENCE_S) as stream:
                streamed = next(line for line in stream.iter_lines() if line.startswith("event: "))
            refusal = server.says(r"refused \(401 wrong-token\).*")

    assert (entered.status_code, triggered.status_code, elsewhere.status_code) == (204, 202, 403)
    assert entered.headers["set-cookie"].startswith("__Host-shiftboss_session_")
    assert "; Secure" in entered.headers["set-cookie"]
    assert streamed == "event: hello"
    assert refusal[0].endswith("from 127.0.0.1")


def test_the_proxy_says_who_the_user_is_and_a_client_cannot(folder):
    port = free_port()
    (folder / "shop.db.access").write_text("ada admin user\n")
    (folder / "passwords").write_text("ada:{PLAIN}one\neve:{PLAIN}two\n")
    more = f'auth_basic "jobs"; auth_basic_user_file {folder}/passwords; proxy_set_header X-Remote-User $remote_user; '
    more += 'proxy_set_header Authorization "";'
    with web(folder, "--trusted-proxy", "127.0.0.1", "--user-header", "X-Remote-User") as server:
        with nginx(folder, configuration(folder, port, server.port, more), port), browser(folder, port) as client:
            ada = client.post("/api/v1/workers/greet/trigger", json={}, auth=("ada", "one"))
            run = client.get(f"/api/v1/runs/{ada.json()['run']}", auth=("ada", "one")).json()
            eve = client.get("/api/v1/status", auth=("eve", "two"), headers={"x-remote-user": "ada"})
            nobody = client.get("/api/v1/status", headers={"x-remote-user": "ada"})
        direct = httpx.get(f"http://127.0.0.1:{server.port}/api/v1/status")

    assert (ada.status_code, run["run"]["by"]) == (202, "ada")
    assert (eve.status_code, eve.json()["type"]) == (403, "urn:shiftboss:problem:no-role")
    assert (nobody.status_code, direct.status_code) == (401, 401)
