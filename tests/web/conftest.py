"""The HTTP API on real stores: without a server where that is enough, behind uvicorn on loopback where it matters."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, contextmanager

import httpx
import pytest

from shiftboss import Context, Fatal, Orchestrator
from shiftboss.web.access import Mounted
from shiftboss.web.application import Application
from shiftboss.web.server import ListenAddress, Server

PATIENCE_S = 30.0  # for a busy machine; nothing waits that long when all is well
SAME_ORIGIN = {"sec-fetch-site": "same-origin"}
BASE = "http://127.0.0.1:8420"


def a_shop(url: str, **options) -> Orchestrator:
    """Workers of every kind; the triggered ones wait for their test."""
    boss = Orchestrator(url, shutdown_timeout=5, resources={"warehouse": 1}, **options)

    @boss.worker(every="1h", start="next")
    def fetch() -> int:
        """Fetch the newest orders."""
        return 42

    @boss.worker(cron="30 2 * * *", timezone="Europe/Berlin", depends_on=[fetch], blocks=["pick"])
    def tidy() -> None: ...

    @boss.worker(breaker="mailer", max_retries=0, max_consecutive_failures=None)
    async def send(ctx: Context, to: str, password: str = "", copies: int = 1) -> dict[str, object]:
        """Send one mail."""
        ctx.log.warning("sending to %s", to)
        if to == "broken":
            raise ValueError(f"cannot send with {password}")
        if to == "nobody":
            raise Fatal("nobody has no address")
        return {"to": to, "token": "issued-secret-1"}

    @boss.worker(uses={"warehouse": 1}, tags=["slow"])
    async def pick(parcels: int = 3) -> None: ...

    @boss.worker(after=[send])
    def report() -> None: ...

    return boss


# What the API answers does not depend on the store: the conformance tests hold them to one another.
@pytest.fixture(
    params=[
        "sqlite",
        pytest.param("memory", marks=pytest.mark.chaos),
        pytest.param("postgres", marks=pytest.mark.chaos),
    ]
)
def shop(request, tmp_path) -> Orchestrator:
    match request.param:
        case "memory":
            return a_shop("memory:")
        case "sqlite":
            return a_shop(f"sqlite:///{tmp_path / 'shop.db'}")
        case _:
            return a_shop(request.getfixturevalue("place").url)


@pytest.fixture
def file_shop(tmp_path) -> Orchestrator:
    return a_shop(f"sqlite:///{tmp_path / 'shop.db'}")


def open_authenticator() -> Mounted:
    """Whoever comes is an administrator."""

    async def authorize(request):
        return "admin"

    return Mounted(authorize)


class Served(ListenAddress):
    """An address, and the token that opens it."""

    token = ""


class Api:
    """A client that speaks to the application without a socket."""

    def __init__(self, app, **headers: str) -> None:
        transport = httpx.ASGITransport(app, client=("127.0.0.1", 5))
        self.http = httpx.AsyncClient(transport=transport, base_url=BASE, headers=headers)

    async def get(self, path: str, status: int = 200, /, **params):
        found = await self.http.get(f"/api/v1{path}", params=params)
        assert found.status_code == status, found.text
        return found.json() if found.content else None

    async def post(self, path: str, status: int = 200, /, *, headers=SAME_ORIGIN, **body):
        found = await self.http.post(f"/api/v1{path}", json=body, headers=headers)
        assert found.status_code == status, found.text
        return found.json() if found.content else None


@asynccontextmanager
async def started(boss: Orchestrator, authorize=None, **headers: str) -> AsyncIterator[Api]:
    """*boss* running, and a client of its API; everybody is its administrator unless *authorize* says otherwise."""
    async with boss:
        authenticator = open_authenticator() if authorize is None else Mounted(authorize)
        api = Api(Application(boss, authenticator), **headers)
        async with api.http:
            yield api


@contextmanager
def serving(boss: Orchestrator, **options):
    """*boss* started, and behind a real server; its address."""
    boss.sync.start()
    try:
        server = Server(boss, ListenAddress("127.0.0.1", options.pop("port", 0)))
        server.start()
        try:
            address = Served(*server.address)
            if server.token_file is not None:
                address.token = server.token_file.read_text().strip()
            yield address
        finally:
            server.stop()
    finally:
        if boss.is_started:
            boss.sync.stop()


class Sse:
    """A browser's EventSource, frame by frame, over a plain socket."""

    def __init__(
        self,
        address: ListenAddress,
        topics: str = "status,event",
        *,
        last: int | None = None,
        path: str = "/api/v1/events",
        headers: str = "",
        **params,
    ) -> None:
        self.last_id = last
        query = "&".join(f"{key}={value}" for key, value in {"topics": topics, **params}.items())
        head = f"GET {path}?{query} HTTP/1.1\r\nHost: {address.host}:{address.port}\r\n{headers}"
        if token := getattr(address, "token", ""):
            head += f"Authorization: Bearer {token}\r\n"
        if last is not None:
            head += f"Last-Event-ID: {last}\r\n"
        self._socket = socket.create_connection((address.host, address.port), timeout=PATIENCE_S)
        self._socket.sendall(f"{head}\r\n".encode())
        self._file = self._socket.makefile("rb")
        self.status = int(self._file.readline().split()[1])
        while self._file.readline().strip():
            pass
        self._all = self._lines()

    def frame(self):
        """(name, data) of the next frame; None at the end."""
        name, data = "", None
        for line in self._all:
            if line.startswith("id: "):
                self.last_id = int(line[4:])
            elif line.startswith("event: "):
                name = line[7:]
            elif line.startswith("data: "):
                data = json.loads(line[6:])
            elif not line and name:
                return name, data
        return None

    def until(self, name: str, fits: Callable[[dict], bool] = lambda data: True):
        """The data of the next frame of that name that fits; those before it are passed over."""
        while (found := self.frame()) is not None:
            if found[0] == name and fits(found[1]):
                return found[1]
        raise AssertionError(f"the stream ended without {name}")

    def _lines(self):
        """Undo chunked transfer: a size line, the bytes, an empty line."""
        rest = b""
        while True:
            try:
                size = int(self._file.readline().strip() or b"0", 16)
            except (OSError, ValueError):
                return
            if size == 0:
                return
            data = self._file.read(size)
            self._file.readline()
            *lines, rest = (rest + data).split(b"\n")
            yield from (line.decode() for line in lines)

    def close(self) -> None:
        self._file.close()
        self._socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Gathered:
    """Frames read by a thread, for a test that does something meanwhile."""

    def __init__(self, sse: Sse) -> None:
        self.frames: list = []
        self._thread = threading.Thread(target=self._read, args=(sse,))
        self._thread.start()

    def _read(self, sse: Sse) -> None:
        while (found := sse.frame()) is not None:
            self.frames.append(found)

    def join(self) -> list:
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()
        return self.frames
