"""What was opened before a start failed is closed: the store, executors, threads and sockets."""

from __future__ import annotations

import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from shiftboss import Orchestrator
from shiftboss.app.current_node import CurrentNode
from shiftboss.engine.engine import Engine
from shiftboss.errors import ConfigurationError
from shiftboss.executors.thread import ThreadExecutor
from shiftboss.stores.memory.store import MemoryStore


@pytest.fixture
def closed(monkeypatch) -> list[str]:
    """What was closed, in order."""
    names: list[str] = []
    for each in (MemoryStore, ThreadExecutor):

        def close(self, *arguments, close=each.close, name=each.__name__):
            names.append(name)
            return close(self, *arguments)

        monkeypatch.setattr(each, "close", close)
    return names


def threads_of_ours() -> set[str]:
    return {each.name for each in threading.enumerate() if each.name.startswith("shiftboss-")}


def a_shop(**options) -> Orchestrator:
    boss = Orchestrator("memory:")

    @boss.worker(executor="thread")
    def plain() -> None: ...

    if options:
        boss.register("pooled", plain, **options)
    return boss


def no_pool() -> ThreadPoolExecutor:
    raise OSError("too many open files")


async def test_an_executor_that_cannot_be_opened_leaves_nothing_open(closed):
    boss = a_shop(pool=no_pool)

    with pytest.raises(ConfigurationError, match="too many open files"):
        await boss.start()
    assert closed == ["ThreadExecutor", "MemoryStore"]
    assert boss.current.node is None


@pytest.mark.parametrize(
    ("starts", "thread"),
    [(lambda boss: boss.sync.start(), "shiftboss-loop"), (Orchestrator.run, "shiftboss-exit")],
)
def test_a_node_stops_if_the_thread_beside_it_cannot_be_started(starts, thread, closed, monkeypatch):
    """The thread of its loop, or the one that ends its process in time (G3)."""
    start = threading.Thread.start

    def start_or_refuse(self):
        if self.name == thread:
            raise RuntimeError("can't start new thread")
        start(self)

    monkeypatch.setattr(threading.Thread, "start", start_or_refuse)
    boss = a_shop()
    with pytest.raises(RuntimeError, match="can't start new thread"):
        starts(boss)
    assert closed == ["ThreadExecutor", "MemoryStore"]
    assert (boss.current.node, threads_of_ours()) == (None, set())


def interrupted(*_) -> None:
    raise KeyboardInterrupt


class Interrupted:
    """A future during whose wait somebody presses Ctrl-C."""

    set_result = set_exception = lambda self, value: None
    result = interrupted


@pytest.mark.parametrize("opens", ["start", "open"])
def test_a_start_that_is_interrupted_stops_what_it_started(opens, closed, monkeypatch):
    """G3"""
    boss = a_shop()
    opened = CurrentNode.open

    def opens_slowly(self, *arguments, **options):
        node = opened(self, *arguments, **options)
        node.engine.ready.result()
        node.engine.ready = Interrupted()
        return node

    monkeypatch.setattr(CurrentNode, "open", opens_slowly)
    with pytest.raises(KeyboardInterrupt):
        boss.sync.open(create=True) if opens == "open" else boss.sync.start()
    assert closed[-1] == "MemoryStore"
    assert (boss.current.node, threads_of_ours()) == (None, set())


@pytest.mark.timeout(60)
def test_a_ctrl_c_while_the_engines_thread_starts_stops_it(closed, monkeypatch):
    """G3: it was waited for and never told to stop."""
    boss = a_shop()
    start = Engine.start

    def starts_and_is_interrupted(self):
        start(self)
        interrupted()

    monkeypatch.setattr(Engine, "start", starts_and_is_interrupted)
    with pytest.raises(KeyboardInterrupt):
        boss.sync.start()
    assert closed[-1] == "MemoryStore"
    assert (boss.current.node, threads_of_ours()) == (None, set())


def test_a_process_of_ours_hears_signals_before_its_engine_starts(monkeypatch):
    """G3: one that comes as soon as the node has joined stops it, as every later one does."""
    start = Engine.start

    def starts_and_gets_a_signal(self):
        signal.raise_signal(signal.SIGINT)
        start(self)

    monkeypatch.setattr(Engine, "start", starts_and_gets_a_signal)
    report = a_shop().run()

    assert (report.signal, report.exit_code) == (signal.SIGINT, 0)
