"""What no body should do, in every executor that can run it: its outcome, the next start, and what is left behind.

One worker with one slot, on a store in a file: behind each poison waits a run that does well, and starts when the slot
is free.  Whatever is started here carries a word of ours in its environment and is found by that, wherever it went.

Not here, since the body is the node's own process: `os._exit` and a fault on a loop, in a thread or in a pool of
threads (they are among the nodes that die, below), processes that such a body starts, its stdout and its memory.
"""

from __future__ import annotations

import importlib.util
import json
import multiprocessing
import multiprocessing.resource_tracker
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest

from shiftboss import Orchestrator, RetryPolicy, Status, command
from shiftboss.context import Context
from shiftboss.core.model import Cause, Error, Run
from shiftboss.engine import shutdown
from shiftboss.errors import StoreMissing

HERE = Path(__file__).parent
BODIES = HERE / "poison_bodies.py"
WORD = "POISON_TEST"  # in the environment of all that a test starts
PATIENCE_S = 60.0  # a machine that others use as well
GRACE_S = 0.2
NODE_ENDS_WITHIN_S = 5.0  # what is promised for the children of a node that was killed


def _load() -> Any:
    """Under a name that no entry of sys.path leads to: children find it by its file."""
    spec = importlib.util.spec_from_file_location("poison_bodies", BODIES)
    module = importlib.util.module_from_spec(spec)
    sys.modules["poison_bodies"] = module
    spec.loader.exec_module(module)
    return module


bodies = _load()


# ── the scene ────────────────────────────────────────────────────────────────────────────────────────────────────


def a_process_pool() -> Executor:
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))


def says_and_looks(ctx: Context, poison: str, file: str = "") -> str:
    """What a thread's body should be like."""
    if file:
        Path(file).write_text("up")
        while not ctx.cancelled:
            bodies.released.wait(0.01)
    return poison


PROGRAM = [sys.executable, "-I", "-S", str(BODIES)]


class Kind(NamedTuple):
    """A way to run a body, one slot wide."""

    function: Any
    options: dict[str, Any]
    at_rest: int = 0  # processes that wait for the next run, and wardens


KINDS = {
    "coroutine": Kind(bodies.on_a_loop, {"timeout": 0.3}),
    "thread": Kind(bodies.plain, {"timeout": 0.3}),
    "polite thread": Kind(says_and_looks, {}),
    "process": Kind(bodies.plain, {"timeout": 0.5, "executor": "process"}, at_rest=2),
    "async process": Kind(bodies.on_a_loop, {"timeout": 0.5, "executor": "process"}, at_rest=2),
    "small process": Kind(bodies.plain, {"executor": "process", "max_memory": "200MB"}, at_rest=2),
    "command": Kind(command(PROGRAM), {"timeout": 1.5}, at_rest=1),
    "small command": Kind(command(["prlimit", f"--as={200 << 20}", *PROGRAM]), {}, at_rest=1),
    "thread pool": Kind(bodies.plain, {"timeout": 0.3, "pool": lambda: ThreadPoolExecutor(1), "pool_slots": 1}),
    "process pool": Kind(bodies.plain, {"pool": a_process_pool, "pool_slots": 1}, at_rest=1),
}


def until(fact: Callable[[], Any], what: str, *, within_s: float = PATIENCE_S) -> Any:
    """Wait for a fact that other threads and processes bring about."""
    end_s, pause = time.monotonic() + within_s, threading.Event()
    while not (found := fact()):
        assert time.monotonic() < end_s, f"{what} did not come true"
        pause.wait(0.01)
    return found


class Scene:
    """An orchestrator with the worker "poison", which has one slot."""

    def __init__(self, boss: Orchestrator) -> None:
        self.boss = boss

    def trigger(self, poison: str, **payload: object) -> int:
        return self.boss.sync.trigger("poison", {"poison": poison, **payload}).id

    def info(self, run: int) -> Run:
        return self.boss.sync.run_info(run)

    def end(self, run: int) -> Run:
        return self.boss.sync.wait_for(run, timeout=PATIENCE_S)

    def is_zombie(self, run: int) -> bool:
        claim = self.info(run).claim
        return claim is not None and claim.zombie_since is not None

    def holds(self, run: int) -> list[str]:
        return [hold.gate for hold in self.boss.sync.why_run(run).holds]


def answer(question: Callable[[], Any]) -> Any:
    """What a process says of itself; None when it has ended meanwhile, or is another user's."""
    try:
        return question()
    except (psutil.Error, OSError):
        return None


class Ours:
    """The processes and threads that a test has started and that are still there."""

    def __init__(self, word: str) -> None:
        self._word = word
        self._children = set(psutil.Process().children(recursive=True))
        self._threads = set(threading.enumerate())

    def processes(self) -> list[psutil.Process]:
        """Those below this process, ended and not reaped ones too, and those that carry the word, wherever they are."""
        below = set(psutil.Process().children(recursive=True)) - self._children
        return [*below, *(each for each in psutil.process_iter() if each not in below and self._carries(each))]

    def _carries(self, process: psutil.Process) -> bool:
        found = answer(lambda: process.environ().get(WORD) == self._word)
        return bool(found) and answer(process.status) != psutil.STATUS_ZOMBIE

    def sleeps(self) -> list[psutil.Process]:
        """Those that a body has left, zombies too."""
        return [each for each in self.processes() if answer(each.name) == "sleep"]

    def threads(self) -> set[threading.Thread]:
        return set(threading.enumerate()) - self._threads


@pytest.fixture
def ours(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ours]:
    """At the end of the test, whatever it was, nothing is left of what it has started."""
    word = uuid.uuid4().hex
    multiprocessing.resource_tracker.ensure_running()  # the pools' own, and it stays for the next one
    monkeypatch.setenv(WORD, word)
    monkeypatch.delenv("SHIFTBOSS_STORE", raising=False)
    monkeypatch.syspath_prepend(HERE)  # for the children of pools
    found = Ours(word)
    yield found
    until(lambda: not found.processes(), "the end of all processes")
    until(lambda: not found.threads(), "the end of all threads")


@pytest.fixture
def scene(ours: Ours, tmp_path: Path) -> Iterator[Callable[..., Scene]]:
    bosses: list[Orchestrator] = []

    def start(kind: str, *, shutdown_timeout: float = 5, **more: Any) -> Scene:
        function, options, _ = KINDS[kind]
        boss = Orchestrator(
            f"sqlite:///{tmp_path / 'boss.db'}",
            max_concurrency=1,
            process_slots=1,
            command_slots=1,
            shutdown_timeout=shutdown_timeout,
        )
        boss.register("poison", function, **{"max_retries": 0, "cancel_grace": GRACE_S, **options, **more})
        boss.sync.start()
        bosses.append(boss)
        return Scene(boss)

    bodies.released.clear()
    yield start
    bodies.released.set()
    for boss in bosses:
        boss.sync.close()


@pytest.fixture
def quiet() -> Iterator[None]:
    """What children print goes to our stderr, which pytest would keep."""
    before = os.dup(2)
    with open(os.devnull, "wb") as nothing:
        os.dup2(nothing.fileno(), 2)
    yield
    os.dup2(before, 2)
    os.close(before)


# ── poison that ends, or is ended ────────────────────────────────────────────────────────────────────────────────


class Case(NamedTuple):
    kind: str
    poison: str
    cause: Cause | None  # None: it succeeded
    type: str = ""
    message: str = ""  # its beginning, and what else is in it

    def __str__(self) -> str:
        return f"{self.kind}-{self.poison}"


LATE = "did not end within its timeout of {:g} s"
LATER = LATE + "; it returned later, but that does not count"
BROKEN = "(no message: its __str__ raised RuntimeError)"
POOL_BROKEN = "A process in the process pool was terminated abruptly"

CASES = [
    Case("coroutine", "swallows_once", Cause.TIMEOUT, "TimeoutError", LATER),
    Case("coroutine", "backtracks_a_while", Cause.TIMEOUT, "TimeoutError", LATER),
    Case("coroutine", "leaves", Cause.ERROR, "SystemExit", "3"),
    Case("coroutine", "raises_broken", Cause.ERROR, "poison_bodies.Broken", BROKEN),
    Case("coroutine", "asks_for_too_much", Cause.ERROR, "MemoryError"),
    Case("thread", "backtracks_a_while", Cause.TIMEOUT, "TimeoutError", LATER),
    Case("thread", "leaves", Cause.ERROR, "SystemExit", "3"),
    Case("thread", "raises_broken", Cause.ERROR, "poison_bodies.Broken", BROKEN),
    Case("thread", "asks_for_too_much", Cause.ERROR, "MemoryError"),
    Case("process", "swallows_one_exception", Cause.TIMEOUT, "TimeoutError", LATER),
    Case("process", "swallows_everything", Cause.TIMEOUT, "TimeoutError", LATE),
    Case("process", "spins", Cause.TIMEOUT, "TimeoutError", LATE),
    Case("process", "backtracks", Cause.TIMEOUT, "TimeoutError", LATE),
    Case("process", "backtracks_a_while", Cause.TIMEOUT, "TimeoutError", LATE),
    Case("process", "sleeps", Cause.TIMEOUT, "TimeoutError", LATE),
    Case("process", "exits", Cause.CRASH, "shiftboss.ChildDied", "exit code 1"),
    Case("process", "faults", Cause.CRASH, "shiftboss.ChildDied", "SIGSEGV"),
    Case("process", "leaves", Cause.ERROR, "SystemExit", "3"),
    Case("process", "raises_broken", Cause.ERROR, "poison_bodies.Broken", BROKEN),
    Case("process", "asks_for_too_much", Cause.ERROR, "MemoryError"),
    Case("process", "leaves_sleeps", None),
    Case("process", "floods", None),
    Case("process", "closes_stdout", Cause.TIMEOUT, "TimeoutError", LATE),
    Case("small process", "hoards", Cause.CRASH, "shiftboss.ChildDied", "killed above max_memory"),
    Case("async process", "swallows_once", Cause.TIMEOUT, "TimeoutError", LATER),
    Case("async process", "swallows_for_ever", Cause.TIMEOUT, "TimeoutError", LATE),
    Case("async process", "spins", Cause.TIMEOUT, "TimeoutError", LATE),
    Case(
        "command",
        "ends_well_on_term",
        Cause.TIMEOUT,
        "TimeoutError",
        LATE + "; when told to end, it ended with exit code 0",
    ),
    Case(
        "command",
        "ignores_term",
        Cause.TIMEOUT,
        "TimeoutError",
        LATE + "; when told to end, it did not, and was killed",
    ),
    Case("command", "spins", Cause.TIMEOUT, "TimeoutError", LATE + "; when told to end, it ended by SIGTERM"),
    Case("command", "backtracks", Cause.TIMEOUT, "TimeoutError", LATE + "; when told to end, it ended by SIGTERM"),
    Case("command", "sleeps", Cause.TIMEOUT, "TimeoutError", LATE + "; when told to end, it ended by SIGTERM"),
    Case("command", "exits", Cause.ERROR, "shiftboss.CommandFailed", "exit code 1, nothing on stderr"),
    Case("command", "faults", Cause.ERROR, "shiftboss.CommandFailed", "ended by SIGSEGV, nothing on stderr"),
    Case("command", "leaves", Cause.ERROR, "shiftboss.CommandFailed", "exit code 3, nothing on stderr"),
    Case("command", "raises_broken", Cause.ERROR, "shiftboss.CommandFailed", "exit code 1: … Broken: <exc"),
    Case("command", "leaves_sleeps", None),
    Case("command", "floods", None),
    Case("command", "closes_stdout", Cause.TIMEOUT, "TimeoutError", LATE + "; when told to end, it ended by SIGTERM"),
    Case("small command", "hoards", Cause.ERROR, "shiftboss.CommandFailed", "exit code 1: … MemoryError"),
    Case("thread pool", "backtracks_a_while", Cause.TIMEOUT, "TimeoutError", LATER),
    Case("thread pool", "leaves", Cause.ERROR, "SystemExit", "3"),
    Case("thread pool", "raises_broken", Cause.ERROR, "poison_bodies.Broken", BROKEN),
    Case("thread pool", "asks_for_too_much", Cause.ERROR, "MemoryError"),
    Case("process pool", "exits", Cause.ERROR, "concurrent.futures.process.BrokenProcessPool", POOL_BROKEN),
    Case("process pool", "faults", Cause.ERROR, "concurrent.futures.process.BrokenProcessPool", POOL_BROKEN),
    Case("process pool", "leaves", Cause.ERROR, "SystemExit", "3"),
    Case("process pool", "raises_broken", Cause.ERROR, "poison_bodies.Broken", BROKEN),
    Case("process pool", "asks_for_too_much", Cause.ERROR, "MemoryError"),
]


# Each has another in its executor that ends in the same way for the same cause, and stays in every run.
AGAIN = {
    *("process-spins", "process-backtracks", "process-backtracks_a_while", "process-sleeps"),
    *("process-swallows_one_exception", "async process-spins"),
    *("command-backtracks", "command-sleeps", "command-closes_stdout", "command-leaves"),
    *("process pool-faults", "process pool-raises_broken"),
}


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=[pytest.mark.chaos] * (str(case) in AGAIN)) for case in CASES], ids=str
)
def test_poison_is_recorded_and_the_next_run_starts_and_nothing_is_left(scene, ours, case, record_property):
    more = {} if case.cause is Cause.TIMEOUT else {"timeout": PATIENCE_S}
    if "told to end, it ended" in case.message:
        more["cancel_grace"] = PATIENCE_S  # it needs a moment of a core, which a busy machine may not have in 0.2 s
    stage = scene(case.kind, **more)
    poison, following = stage.trigger(case.poison), stage.trigger("well")

    ended, after = stage.end(poison), stage.end(following)
    until(lambda: len(ours.processes()) == KINDS[case.kind].at_rest, "the end of what it left")

    assert_recorded(ended, case)
    assert_followed(after, ended, record_property)


def assert_recorded(ended: Run, case: Case) -> None:
    (attempt,) = ended.attempts
    error = attempt.error or Error("")
    assert (ended.status, ended.cause) == (Status.SUCCEEDED if case.cause is None else Status.DEAD, case.cause)
    assert (attempt.number, attempt.cause, error.type) == (1, case.cause, case.type)
    beginning, *more = case.message.format(KINDS[case.kind].options.get("timeout")).split(" … ")
    assert error.message.startswith(beginning)
    assert [part for part in more if part not in error.message] == []


def assert_followed(after: Run, ended: Run, record_property: Callable[[str, object], None]) -> None:
    assert after.status is Status.SUCCEEDED
    assert after.first_started_at >= ended.finished_at
    tell(record_property, "the next start, from that of the poison", after.first_started_at - ended.first_started_at)


def tell(record_property: Callable[[str, object], None], what: str, took: timedelta) -> None:
    """A figure for whoever reads the report (`-rP`); nothing is asserted about it."""
    record_property(what, took.total_seconds())
    print(f"{what}: after {took.total_seconds() * 1000:.1f} ms")


# ── poison that nothing can end ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "case",
    [
        Case("coroutine", "swallows_for_ever", Cause.TIMEOUT, "TimeoutError", LATER),
        Case("thread", "spins_until_released", Cause.TIMEOUT, "TimeoutError", LATER),
        Case("thread", "sleeps_until_released", Cause.TIMEOUT, "TimeoutError", LATER),
        Case("thread pool", "spins_until_released", Cause.TIMEOUT, "TimeoutError", LATER),
        Case("thread pool", "sleeps_until_released", Cause.TIMEOUT, "TimeoutError", LATER),
    ],
    ids=str,
)
def test_poison_that_nothing_can_end_keeps_its_slot_as_a_zombie_until_it_ends(scene, case, record_property):
    """B6"""
    stage = scene(case.kind)
    poison, following = stage.trigger(case.poison), stage.trigger("well")
    until(lambda: stage.is_zombie(poison), "the word that it is a zombie")

    assert_zombie(stage, poison, following)

    bodies.released.set()
    ended, after = stage.end(poison), stage.end(following)

    assert_recorded(ended, case)
    assert_followed(after, ended, record_property)


def assert_zombie(stage: Scene, poison: int, following: int) -> None:
    assert stage.info(poison).status is Status.RUNNING
    assert (stage.info(following).status, stage.holds(following)) == (Status.PENDING, ["slots"])
    assert [reason.fact for reason in stage.boss.sync.health().reasons] == ["zombie"]


@pytest.mark.parametrize("poison", ["spins_until_released", "sleeps_until_released"])
def test_a_coroutine_that_blocks_its_loop_is_named_and_has_timed_out_when_it_ends(
    scene, caplog, poison, record_property
):
    """H6, T1"""
    stage = scene("coroutine")
    blocking, following = stage.trigger(poison), stage.trigger("well")
    said = "the event loop has been blocked"
    until(lambda: any(said in each.getMessage() for each in caplog.records), "the word of the watchdog")

    assert f"worker 'poison' (run {blocking})" in next(each for each in caplog.messages if said in each)
    assert (stage.info(blocking).status, stage.info(following).status) == (Status.RUNNING, Status.PENDING)

    bodies.released.set()
    ended, after = stage.end(blocking), stage.end(following)

    assert_recorded(ended, Case("coroutine", poison, Cause.TIMEOUT, "TimeoutError", LATER))
    assert_followed(after, ended, record_property)


# What starts a child of a pool is a part of its attempt, so on a slow machine any attempt may time out: it is retried.
PATIENT = {"timeout": 1, "retry": RetryPolicy(max_retries=20, first_s=0.0), "max_retries": 20}


@pytest.mark.parametrize("poison", ["backtracks_at_first", "swallows_at_first"])
def test_the_child_of_a_pool_is_a_zombie_until_somebody_kills_it(scene, ours, tmp_path, poison, record_property):
    """B6"""
    stage = scene("process pool", **PATIENT)
    stuck, following = stage.trigger(poison, file=str(tmp_path / "up")), stage.trigger("well")
    until((tmp_path / "up").exists, "its begin")
    until(lambda: stage.is_zombie(stuck), "the word that it is a zombie")

    assert_zombie(stage, stuck, following)

    (child,) = ours.processes()
    child.kill()
    ended, after = stage.end(stuck), stage.end(following)
    until(lambda: len(ours.processes()) == KINDS["process pool"].at_rest, "the end of what it left")

    first, *_ = ended.attempts
    assert (first.cause, first.error.type) == (Cause.TIMEOUT, "TimeoutError")
    assert first.error.message == LATE.format(1)
    assert (ended.status, after.status) == (Status.SUCCEEDED, Status.SUCCEEDED)
    assert after.first_started_at >= first.ended_at
    tell(record_property, "the next start, from that of the poison", after.first_started_at - ended.first_started_at)


def test_a_stuck_child_of_a_pool_ends_with_its_orchestrator(scene, ours, tmp_path, monkeypatch):
    """B6, G3"""
    monkeypatch.setattr(shutdown, "KILL_S", PATIENCE_S)  # to see the end of what was killed, on a busy machine
    stage = scene("process pool", shutdown_timeout=4 * PATIENCE_S, **PATIENT)
    stuck, following = stage.trigger("spins_at_first", file=str(tmp_path / "up")), stage.trigger("well")
    until((tmp_path / "up").exists, "its begin")
    until(lambda: stage.is_zombie(stuck), "the word that it is a zombie")

    stage.boss.opened().engine.stop()
    stage.boss.opened().engine.stop()
    report = stage.boss.sync.stop()  # the third time: what is left is killed
    until(lambda: not ours.processes(), "the end of its child")
    stage.boss.sync.start()
    ended, after = stage.end(stuck), stage.end(following)

    assert (report.stuck, report.lost, report.waiting) == (0, 0, 2)
    assert (ended.attempts[0].cause, ended.attempts[0].error.message) == (Cause.TIMEOUT, LATE.format(1))
    assert (ended.status, after.status) == (Status.SUCCEEDED, Status.SUCCEEDED)


# ── poison that ends its node ────────────────────────────────────────────────────────────────────────────────────

NODE = """
import sys
sys.path.insert(0, {here!r})
import poison_bodies as bodies
from shiftboss import Orchestrator, RetryPolicy, command

boss = Orchestrator({store!r}, process_slots=2, shutdown_timeout=5)
retry = RetryPolicy(max_retries=0, first_s=0.05)
boss.register("coroutine", bodies.on_a_loop, retry=retry, timeout=None)
boss.register("thread", bodies.plain, retry=retry, timeout=None)
boss.register("process", bodies.plain, executor="process", retry=retry, timeout=None)
boss.register("command", command({program!r}), retry=retry, timeout=None)

if __name__ == "__main__":
    boss.run()
"""


class Nodes:
    """Processes on one store, and a client of it here."""

    def __init__(self, folder: Path) -> None:
        self.store = f"sqlite:///{folder / 'fleet.db'}"
        self._script = folder / "node.py"
        self._script.write_text(NODE.format(here=str(HERE), store=self.store, program=PROGRAM))
        self._processes: list[subprocess.Popen[bytes]] = []
        self.sync = Orchestrator(self.store).sync

    def start(self) -> subprocess.Popen[bytes]:
        """Start a node, and wait until there is a store."""
        node = subprocess.Popen([sys.executable, str(self._script)])
        self._processes.append(node)
        until(self._is_open, "the store")
        return node

    def _is_open(self) -> bool:
        try:
            self.sync.open()
        except StoreMissing:
            return False
        return len(self.sync.status().workers) == 4

    def close(self) -> None:
        self.sync.close()
        for node in self._processes:
            node.kill()
            node.wait()


@pytest.fixture
def nodes(ours: Ours, tmp_path: Path) -> Iterator[Nodes]:
    made = Nodes(tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("kind", "poison", "code"),
    [("coroutine", "faults", -signal.SIGSEGV), pytest.param("thread", "exits", 1, marks=pytest.mark.chaos)],
)
def test_a_body_that_ends_its_node_is_rescued_with_back_off_and_is_a_crash_loop_after_the_fifth(
    nodes, kind, poison, code
):
    """C4, C8"""
    codes, rescues, delays = [], [], []
    node = nodes.start()
    run = nodes.sync.trigger(kind, {"poison": poison}).id
    for _ in range(5):
        codes.append(node.wait(PATIENCE_S))
        found = nodes.sync.run_info(run)
        rescues.append(found.rescues)
        delays += [(found.due_at - attempt.ended_at).total_seconds() for attempt in found.attempts[-1:]]
        assert found.status is Status.RUNNING
        node = nodes.start()

    dead = nodes.sync.wait_for(run, timeout=PATIENCE_S)
    well = nodes.sync.wait_for(nodes.sync.trigger(kind, {"poison": "well"}).id, timeout=PATIENCE_S)

    assert codes == [code] * 5
    assert rescues == [0, 1, 2, 3, 4]
    assert delays[0] == 0
    assert min(delays[1:]) > 0
    assert (dead.status, dead.cause, dead.error.type) == (Status.DEAD, Cause.CRASH_LOOP, "CrashLoop")
    assert (
        dead.error.message
        == "rescued 5 times in a row without finishing an attempt, 3 times while running alone: it seems to crash its "
        "process"
    )
    assert [attempt.cause for attempt in dead.attempts] == [Cause.RESCUED] * 5
    assert len({attempt.node for attempt in dead.attempts}) == 5
    assert [(letter.run, letter.cause) for letter in nodes.sync.dead_letters()] == [(run, Cause.CRASH_LOOP)]
    assert well.status is Status.SUCCEEDED
    assert node.poll() is None


def test_a_node_that_a_match_has_frozen_is_killed_and_the_next_one_has_the_run(nodes, tmp_path):
    """C4: a thread that never lets go of the interpreter's lock; nothing in its node runs, the engine neither."""
    frozen = nodes.start()
    run = nodes.sync.trigger("thread", {"poison": "backtracks_at_first", "file": str(tmp_path / "up")}).id
    until((tmp_path / "up").exists, "its begin")

    frozen.kill()
    frozen.wait()
    nodes.start()
    ended = nodes.sync.wait_for(run, timeout=PATIENCE_S)

    assert ended.status is Status.SUCCEEDED
    assert (ended.interruptions, ended.attempts[0].cause) == (1, Cause.RESCUED)


@pytest.mark.parametrize("kinds", [("process",), ("command",), ("process", "command")], ids="+".join)
def test_nothing_of_a_node_that_was_killed_lives_on_for_five_seconds(nodes, ours, kinds, tmp_path, record_property):
    node = nodes.start()
    for kind in kinds:
        nodes.sync.trigger(kind, {"poison": "starts_sleeps_and_waits", "file": str(tmp_path / kind)})
    until(lambda: all((tmp_path / kind).exists() for kind in kinds), "the bodies")
    until(lambda: len(ours.sleeps()) == len(bodies.SLEEPS) * len(kinds), "what they start")

    node.kill()
    node.wait()
    killed_s = time.monotonic()
    until(lambda: not ours.processes(), "the end of all", within_s=NODE_ENDS_WITHIN_S)  # the issue's own figure

    tell(record_property, "the end of all", timedelta(seconds=time.monotonic() - killed_s))


# ── from another process ─────────────────────────────────────────────────────────────────────────────────────────

BY_COMMAND = [sys.executable, "-m", "shiftboss", "cancel", "{run}", "--store", "{store}"]
BY_LIBRARY = """
import asyncio, sys
from shiftboss import Orchestrator

async def main(store, run):
    boss = Orchestrator(store)
    async with boss.client():
        await boss.cancel(int(run))

asyncio.run(main(*sys.argv[1:]))
"""


BY = {"command": BY_COMMAND, "library": [sys.executable, "-c", BY_LIBRARY, "{store}", "{run}"]}


@pytest.mark.parametrize(
    ("kind", "body", "by"),
    [
        ("coroutine", "says_and_awaits", "command"),
        ("coroutine", "says_and_awaits", "library"),
        ("polite thread", "says_and_looks", "command"),
        ("process", "says_and_waits", "library"),
        ("command", "says_and_waits", "command"),
        pytest.param("polite thread", "says_and_looks", "library", marks=pytest.mark.chaos),
        pytest.param("process", "says_and_waits", "command", marks=pytest.mark.chaos),
        pytest.param("command", "says_and_waits", "library", marks=pytest.mark.chaos),
    ],
)
def test_a_cancel_from_another_process_reaches_the_body(scene, tmp_path, kind, body, by, record_property):
    """T2, T4"""
    stage = scene(kind, timeout=PATIENCE_S)
    run = stage.trigger(body, file=str(tmp_path / "up"))
    until((tmp_path / "up").exists, "its begin")

    words = [word.format(run=run, store=stage.boss.store_url) if "{" in word else word for word in BY[by]]
    subprocess.run(words, check=True, capture_output=True, timeout=PATIENCE_S)
    ended = stage.end(run)

    assert (ended.status, ended.cause) == (Status.CANCELLED, Cause.CANCELLED)
    assert [(each.number, each.cause, each.error) for each in ended.attempts] == [(1, Cause.CANCELLED, None)]
    assert stage.end(stage.trigger("well")).status is Status.SUCCEEDED
    tell(record_property, "the end of the attempt since the cancel was stored", ended.finished_at - ended.cancel.at)


RESULTS = """
import asyncio, json, sys
from shiftboss import Orchestrator, WrongResult

async def result_of(run):
    try:
        return await run.result(timeout=60)
    except WrongResult as error:
        return str(error).partition("returned: ")[2]

async def main(store):
    boss = Orchestrator(store)
    async with boss.client():
        runs = [await boss.trigger("poison", {"poison": "returns", "size": int(size)}) for size in sys.argv[2:]]
        results = [await result_of(run) for run in runs]
        print(json.dumps([[await run.status(), result] for run, result in zip(runs, results)]))

asyncio.run(main(sys.argv[1]))
"""


def results(stage: Scene, *sizes: int) -> Any:
    """Statuses and results of runs, as another process has triggered them and waited for them."""
    words = [sys.executable, "-c", RESULTS, stage.boss.store_url, *map(str, sizes)]
    return json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE, timeout=PATIENCE_S).stdout)


@pytest.mark.parametrize("kind", ["coroutine", "thread", "process", "thread pool", "process pool"])
def test_a_result_reaches_another_process_and_above_64_kib_is_not_kept(scene, kind):
    kept = 65_536 - len('""')

    small, largest, too_large = results(scene(kind, timeout=PATIENCE_S), 3, kept, kept + 1)

    assert (small, largest) == (["succeeded", "xxx"], ["succeeded", "x" * kept])
    assert too_large == ["succeeded", "it has more than 65,536 bytes; nothing of it was kept"]


def test_the_output_of_a_command_reaches_another_process_and_is_cut_to_what_can_be_kept(scene):
    (small_status, small), (large_status, large) = results(scene("command", timeout=PATIENCE_S), 3, 70_000)

    assert (small_status, small["stdout"]) == ("succeeded", "xxx\n")
    assert (large_status, large["exit_code"]) == ("succeeded", 0)
    assert "bytes left out" in large["stdout"]
    assert len(large["stdout"]) < 65_536
