"""What systemd is told, by a real socket: ready, alive while the engine turns, ending."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading

import pytest

from shiftboss import Orchestrator
from shiftboss.app.systemd import Unit, unit_of_environment
from shiftboss.clock import SystemClock
from shiftboss.core.events import RunStored

PATIENCE_S = 30.0
APP = """
import asyncio
from shiftboss import Context, Orchestrator

boss = Orchestrator("memory:", shutdown_timeout=7)

@boss.worker(every="1h")
async def waits(ctx: Context) -> None:
    while not ctx.stopping:
        await asyncio.sleep(0.01)
"""


class Systemd:
    """The socket of a service manager."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(f"\0{address[1:]}" if address.startswith("@") else address)
        self._socket.settimeout(PATIENCE_S)

    def until(self, line: str) -> list[str]:
        """Everything that is said, up to the message that has *line*."""
        said: list[str] = []
        while not said or not any(each.startswith(line) for each in said[-1].split("\n")):
            said.append(self._socket.recv(4096).decode())
        return said

    def has_something(self) -> bool:
        self._socket.setblocking(False)
        try:
            self._socket.recv(4096, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        finally:
            self._socket.settimeout(PATIENCE_S)
        return True

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()


@pytest.mark.parametrize("kind", ["a path", "abstract"])
def test_a_service_says_that_it_is_ready_lives_and_ends(tmp_path, kind):
    if kind == "abstract" and sys.platform != "linux":
        pytest.skip("abstract sockets are Linux's")
    (tmp_path / "app.py").write_text(APP)
    address = f"@shiftboss-test-{os.getpid()}" if kind == "abstract" else str(tmp_path / "notify")
    environment = {**os.environ, "NOTIFY_SOCKET": address, "WATCHDOG_USEC": "30000000"}
    with Systemd(address) as systemd:
        node = subprocess.Popen(
            [sys.executable, "-m", "shiftboss", "run", "app.py"],
            cwd=tmp_path,
            env=environment,
        )
        try:
            first = systemd.until("READY=1")
            running = systemd.until("STATUS=running 1 attempt")
            node.send_signal(signal.SIGTERM)
            stopping = systemd.until("STOPPING=1")[-1]
            assert node.wait(PATIENCE_S) == 0
        finally:
            node.kill()
            node.wait()

    assert first == ["READY=1"]
    assert "WATCHDOG=1" in running[-1].split("\n")
    assert "EXTEND_TIMEOUT_USEC=12000000" in stopping.split("\n")


def test_the_watchdog_is_fed_only_while_the_engine_turns(tmp_path):
    boss = Orchestrator("memory:")
    entered, release = threading.Event(), threading.Event()

    @boss.worker()
    def job() -> None: ...

    def holds_the_engine_up(events) -> None:
        if any(isinstance(event, RunStored) for event in events) and not release.is_set():
            entered.set()
            release.wait(PATIENCE_S)

    boss.on_events(holds_the_engine_up)
    boss.sync.start()
    try:
        with Systemd(str(tmp_path / "notify")) as systemd, a_unit(systemd) as to:
            unit = Unit(to, watchdog_s=30.0, clock=SystemClock())
            unit.ready(boss.opened().engine)
            systemd.until("READY=1")
            boss.sync.trigger("job")
            assert entered.wait(PATIENCE_S)
            while systemd.has_something():
                systemd.until("")
            boss.opened().engine._wake_up()  # something to do, which it cannot

            assert not systemd.has_something()

            unit._spoke_s = float("-inf")  # as if a second had gone by
            release.set()
            systemd.until("WATCHDOG=1")
    finally:
        release.set()
        boss.sync.stop()


def a_unit(systemd: Systemd) -> socket.socket:
    to = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    to.connect(systemd.address)
    return to


def test_a_store_that_is_away_is_no_reason_to_be_killed(tmp_path, monkeypatch):
    from shiftboss import StoreUnavailable

    boss = Orchestrator("memory:")
    boss.sync.start()
    try:
        with Systemd(str(tmp_path / "notify")) as systemd, a_unit(systemd) as to:
            Unit(to, watchdog_s=30.0, clock=SystemClock()).ready(boss.opened().engine)

            def away(*arguments: object) -> None:
                raise StoreUnavailable("the disk\nis away")

            with monkeypatch.context() as patch:
                for face in ("begin", "read", "changed_elsewhere"):
                    patch.setattr(boss.opened().engine._session, face, away)
                boss.opened().engine._wake_up()
                message = systemd.until("STATUS=the store does not answer: the disk is away")[-1]
    finally:
        boss.sync.stop()

    assert "WATCHDOG=1" in message.split("\n")


def test_nobody_is_spoken_to_where_nobody_asked(monkeypatch, tmp_path):
    clock = SystemClock()
    for address in ("", "vsock:2:1234", "relative", str(tmp_path / "missing")):
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        assert unit_of_environment(clock) is None
    assert "NOTIFY_SOCKET" not in os.environ  # not for children


@pytest.mark.parametrize(("pid", "is_watched"), [("", True), ("own", True), ("1", False)])
def test_a_watchdog_of_another_process_is_not_ours(tmp_path, monkeypatch, pid, is_watched):
    with Systemd(str(tmp_path / "notify")) as systemd:
        monkeypatch.setenv("NOTIFY_SOCKET", systemd.address)
        monkeypatch.setenv("WATCHDOG_USEC", "20000000")
        monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()) if pid == "own" else pid)
        unit = unit_of_environment(SystemClock())

        assert unit._watchdog_s == (20.0 if is_watched else None)
        unit.close()
