"""G5: whatever the main program does, its process ends, and what was cut is handed back."""

from __future__ import annotations

from pathlib import Path

import pytest
from ends import end_of

from shiftboss import Orchestrator
from shiftboss.core.model import Run, Status

WAYS_TO_END = {
    "falls off the end": ("boss.sync.start()", 0),
    "a client in a script": ("boss.sync.start(); boss.sync.stop(); boss.sync.trigger('aio')", 0),
    "exits with a code": ("boss.sync.start(); sys.exit(3)", 3),
    "raises": ("boss.sync.start(); raise ValueError('mine')", 1),
    "another thread exits": (
        "boss.sync.start(); it = threading.Thread(target=sys.exit); it.start(); it.join()",
        0,
    ),
    "an async main raises": (
        "async def main():\n    await boss.start(); raise ValueError('mine')\nasyncio.run(main())",
        1,
    ),
    "an async main forgets to stop": ("async def main():\n    await boss.start()\nasyncio.run(main())", 0),
    "a loop that is left as it is": (
        "loop = asyncio.new_event_loop(); loop.run_until_complete(boss.start())",
        0,
    ),
    "a loop that was closed": (
        "loop = asyncio.new_event_loop(); loop.run_until_complete(boss.start()); loop.close()",
        0,
    ),
    "run() inside a running loop": (
        "async def cell():\n"
        "    try: boss.run()\n"
        "    except Exception as error: print(type(error).__name__, boss.is_started)\n"
        "asyncio.run(cell())",
        0,
    ),
    "a forked worker process": (
        "import multiprocessing\n"
        "def work():\n    boss.sync.start(); boss.sync.trigger('thread')\n"
        "it = multiprocessing.get_context('fork').Process(target=work); it.start(); it.join()\n"
        "sys.exit(it.exitcode)",
        0,
    ),
    "a call at exit": (
        "import atexit\n"
        "def late():\n"
        "    try: boss.sync.trigger('aio')\n"
        "    except Exception as error: print(type(error).__name__)\n"
        "atexit.register(late); boss.sync.start()",
        0,
    ),
}


@pytest.mark.parametrize(("text", "code"), WAYS_TO_END.values(), ids=WAYS_TO_END)
def test_a_process_in_which_nothing_runs_ends(tmp_path: Path, text: str, code: int):
    """G5: with its own exit code, and without a word of ours that is no warning."""
    ended = end_of(tmp_path, text)

    assert ended.code == code
    assert "Exception ignored" not in ended.err
    assert "Task was destroyed" not in ended.err
    assert ended.err.count("Traceback") == ended.code % 3  # that of the program itself


def test_run_inside_a_running_loop_says_what_to_write_and_starts_nothing(tmp_path: Path):
    text, _ = WAYS_TO_END["run() inside a running loop"]

    assert "NotAllowed False" in end_of(tmp_path, text).out
    assert not (tmp_path / "jobs.db").exists()


RUNNING = {
    "a thread that ends in time": ("boss.sync.trigger('thread', {'seconds': 1.0})", "succeeded"),
    "a coroutine that ends in time": ("boss.sync.trigger('aio', {'seconds': 1.0})", "succeeded"),
    "a thread that does not": ("boss.sync.trigger('thread', {'seconds': 60.0})", "pending"),
    "a coroutine that blocks its loop": ("boss.sync.trigger('blocks')", "pending"),
    "a coroutine that does not": ("boss.sync.trigger('aio', {'seconds': 60.0})", "pending"),
}


@pytest.mark.cases
@pytest.mark.parametrize(("text", "status"), RUNNING.values(), ids=RUNNING)
def test_what_runs_when_the_main_program_ends_is_drained_or_handed_back(tmp_path: Path, text: str, status: str):
    """G5, G2"""
    ended = end_of(tmp_path, f"boss.sync.start(); {text}; began.wait(20)")
    (run,) = started_runs(tmp_path)

    assert ended.code == 0
    assert (run.status, run.attempt) == (Status(status), 1 if status == "succeeded" else 0)


OTHERS = {
    "a command": "from shiftboss import command\n"
    "boss.register('it', command(['sh', '-c', 'touch began; sleep 60']), every='1h')\n",
    "a child process": "def it() -> None:\n    open('began', 'w').close(); time.sleep(60)\n"
    "boss.register('it', it, executor='process', every='1h')\n",
    "a pool of threads": "from concurrent.futures import ThreadPoolExecutor\n"
    "def it() -> None:\n    open('began', 'w').close(); time.sleep(1)\n"
    "boss.register('it', it, pool=ThreadPoolExecutor, every='1h')\n",
    "a pool of processes": "from concurrent.futures import ProcessPoolExecutor\n"
    "def it() -> None:\n    open('began', 'w').close(); time.sleep(60)\n"
    "boss.register('it', it, pool=ProcessPoolExecutor, every='1h')\n",
    "a coroutine that waits for a thread": "@boss.worker(every='1h')\n"
    "async def it() -> None:\n    open('began', 'w').close(); await asyncio.to_thread(time.sleep, 60)\n",
}


@pytest.mark.cases
@pytest.mark.parametrize("text", OTHERS.values(), ids=OTHERS)
def test_no_executor_keeps_the_process(tmp_path: Path, text: str):
    """G5: nor what `concurrent.futures` would join."""
    start = (
        "if __name__ == '__main__':\n"
        "    import pathlib\n"
        "    boss.sync.start()\n"
        "    while not pathlib.Path('began').exists(): time.sleep(0.05)\n"
    )
    ended = end_of(tmp_path, text + start)

    assert ended.code == 0
    assert all(run.status in (Status.PENDING, Status.SUCCEEDED) and run.attempt <= 1 for run in started_runs(tmp_path))


def test_a_loop_that_ends_hands_its_bodies_back_without_an_attempt(tmp_path: Path):
    """G5, G2: `asyncio.run` cancels whatever is on the loop; that is no failure of a body."""
    text = (
        "async def main():\n"
        "    await boss.start(); await aio.trigger(60.0)\n"
        "    await asyncio.to_thread(began.wait, 20); raise ValueError('mine')\n"
        "asyncio.run(main())"
    )
    ended = end_of(tmp_path, text)
    (run,) = started_runs(tmp_path)

    assert (ended.code, run.status, run.attempt) == (1, Status.PENDING, 0)
    assert run.interruptions >= 1  # a node that is slow to see its loop's end may have begun it once more


def test_a_node_whose_loop_is_gone_claims_nothing_more(tmp_path: Path):
    """G5: it ends, says so once, and its process may open it anew."""
    text = (
        "boss.register('tick', aio.fn, every='100ms')\n"
        "async def forgets(): await boss.start()\n"
        "asyncio.run(forgets())\n"
        "engine = boss.opened().engine; engine.over.result(10)\n"
        "async def again():\n"
        "    async with boss:\n"
        "        print('AGAIN', await (await aio.trigger()).result(timeout=10))\n"
        "asyncio.run(again())"
    )
    ended = end_of(tmp_path, text)

    assert ended.code == 0
    assert "AGAIN 0.0" in ended.out
    assert ended.err.count("the event loop was stopped") == 1


def started_runs(folder: Path) -> list[Run]:
    with Orchestrator(f"sqlite:///{folder / 'jobs.db'}").sync as sync:
        return [run for run in sync.runs() if run.has_started]
