"""The first hours with it: who ran it first, from how many threads, under which warnings, with which names."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from programs import AS_ANOTHER, OTHER, open_folder, run_program, skip_unless_there_is_another

from shiftboss import Context, Orchestrator
from shiftboss.errors import ConfigurationError, ShiftbossError

WITHIN_S = 60.0


@pytest.mark.cases
def test_what_root_did_once_keeps_the_user_of_the_service_not_out():
    """Commands as root, then a whole run as root; the files stay those of the folder's owner."""
    skip_unless_there_is_another()
    with open_folder() as folder:
        os.chown(folder, OTHER, OTHER)
        (folder / "app.py").write_text(
            'from shiftboss import Orchestrator\nboss = Orchestrator("sqlite:///jobs.db")\n'
            '@boss.worker(every="100ms")\ndef tick() -> None: ...\n'
        )

        def shiftboss(*words: str, who: tuple[str, ...] = ()) -> tuple[int, str]:
            command = [*who, sys.executable, "-m", "shiftboss", *words]
            env = {**os.environ, "HOME": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
            done = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, timeout=WITHIN_S, env=env, check=False
            )
            return done.returncode, done.stderr

        def works(*more: str) -> None:
            code, said = shiftboss("run", "app.py", "--for", "1s", *more, who=AS_ANOTHER)
            owners = {path.name: (path.stat().st_uid, oct(path.stat().st_mode)) for path in folder.iterdir()}
            assert code == 0, f"{said}\n{owners}"

        works()
        for words in (("status",), ("trigger", "tick"), ("doctor",), ("disable", "tick"), ("enable", "tick")):
            assert shiftboss(*words, "-s", "sqlite:///jobs.db")[0] in (0, 3), words
            works()
        assert shiftboss("run", "app.py", "--for", "1s", "--http", "127.0.0.1:0")[0] == 0
        assert shiftboss("token", "new", "ada", "--role", "viewer", "-s", "jobs.db")[0] == 0
        works("--http", "127.0.0.1:0")
        assert [path.name for path in folder.rglob("*") if path.stat().st_uid == 0 and path.name != "app.py"] == []


def test_many_threads_use_it_first_at_once(tmp_path: Path):
    """A server with threads: one client is made, and no request is refused or lost."""
    boss = Orchestrator(f"sqlite:///{tmp_path / 'jobs.db'}")
    boss.register("job", lambda number: number)
    boss.sync.start()
    boss.sync.stop()  # the store is there; nobody runs
    gate, ids, errors = threading.Barrier(24), [], []

    def request(number: int) -> None:
        gate.wait(WITHIN_S)
        try:
            ids.append(boss.sync.trigger("job", {"number": number}).id)
        except BaseException as error:  # whatever it is, it is wrong
            errors.append(error)

    threads = [threading.Thread(target=request, args=(number,)) for number in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WITHIN_S)
    assert (len(set(ids)), errors) == (24, [])
    assert [thread.name for thread in threading.enumerate()].count("shiftboss-client") <= 1
    boss.sync.close()


def test_with_warnings_as_errors_nothing_is_said(tmp_path: Path):
    """Bodies of every kind in Python's development mode: no resource is left open, no task is forgotten."""
    text = """
import asyncio, gc, sys
from shiftboss import Context, HistoryFilter, Orchestrator, command

boss = Orchestrator("sqlite:///jobs.db")

@boss.worker(every="100ms")
async def on_the_loop(ctx: Context) -> int:
    ctx.progress(1, 2)
    return 1

@boss.worker(every="100ms", depends_on=[on_the_loop])
def in_a_thread() -> None: ...

@boss.worker(cron="* * * * * *", timezone="Europe/Berlin")
def by_the_clock() -> None: ...

@boss.worker(executor="process", every="1h")
def in_a_child() -> None: ...

boss.register("program", command([sys.executable, "-c", ""]), every="1h")

async def main():
    asyncio.get_running_loop().slow_callback_duration = 60  # of a busy machine it says nothing
    async with boss:
        wanted = {"on-the-loop", "in-a-thread", "by-the-clock", "in-a-child", "program"}
        while wanted:
            await asyncio.sleep(0.05)
            for name in tuple(wanted):  # by name: the newest fifty of all may be those of two of them
                done = await boss.runs(HistoryFilter(worker=name, status=["succeeded"]))
                wanted -= {run.worker for run in done}
        await boss.status(); await boss.why("on-the-loop"); await boss.health()
    gc.collect()

if __name__ == "__main__":
    asyncio.run(main())
    boss.sync.start(); boss.sync.stop(); gc.collect()
    print("END")
"""
    done = run_program(tmp_path, text, "-W", "error", "-X", "dev", "app.py")

    assert (done.returncode, done.stdout, done.stderr) == (0, "END\n", "")


# ── names, keys, paths ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.skipif(os.name != "posix", reason="what else a name may hold is the system's affair")
@pytest.mark.parametrize("name", ["a space", "per%41cent", "ha#sh", "größe-数据", "quo'te\"", "semi;colon", "a" * 200])
async def test_a_path_is_taken_as_it_is_written(tmp_path: Path, name: str):
    folder = tmp_path / name
    folder.mkdir()
    url = f"sqlite:///{folder}/jobs {name[:20]}.db"
    boss = Orchestrator(url)
    boss.register("tick", lambda: 7)
    async with boss:
        assert await (await boss.trigger("tick")).result(timeout=WITHIN_S) == 7
    assert (folder / f"jobs {name[:20]}.db").is_file()
    async with Orchestrator(url).client() as other:
        assert [worker.name for worker in (await other.status()).workers] == ["tick"]


@pytest.mark.parametrize(
    "name", ["größe", "数据同步", "with space", "", "a/b", "x" * 129, "emoji-😀", "-lead", "..", "a\nb"]
)
def test_a_name_that_no_command_could_take_is_refused_with_what_is_allowed(name: str):
    boss = Orchestrator("memory:")
    with pytest.raises(ConfigurationError, match=r"letters|characters|empty|name"):
        boss.register(name, lambda: None)
    assert dict(boss.definitions) == {}


async def test_keys_and_reasons_are_any_text(tmp_path: Path):
    """O5: the same key is the same run; what is no text is refused, and so is what no store can hold."""
    boss = Orchestrator(f"sqlite:///{tmp_path / 'jobs.db'}")

    @boss.worker()
    def keyed(number: int = 0) -> int:
        return number

    reason = "weil: 😀\nzweite Zeile \x1b[31mrot"
    async with boss:
        for key in ("schlüssel-😀", "a b\nc", "'; --"):
            first, again = [await keyed.options(key=key).trigger(1) for _ in range(2)]
            assert first.id == again.id, key
        for wrong in (7, "\ud800", "nul\x00l", "x" * 5000):
            with pytest.raises(ShiftbossError, match="key"):
                await keyed.options(key=wrong).trigger(1)
        await boss.disable("keyed", reason=reason)
        (worker,) = (await boss.status()).workers
        assert "weil: 😀" in str(worker)
        await boss.enable("keyed")


# ── for long ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.cases
async def test_memory_does_not_grow_with_the_number_of_runs(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    """Blocks that Python keeps, not the system's pages: after the first ones a run leaves none behind."""
    caplog.set_level(100, "shiftboss")
    boss = Orchestrator(f"sqlite:///{tmp_path / 'jobs.db'}", durability="process")

    @boss.worker()
    async def speaks(ctx: Context, number: int) -> int:
        ctx.progress(1, 2, "half")
        ctx.log.warning("line %d", number)
        return number

    @boss.worker()
    def answers(number: int) -> str:
        return "x" * 100

    @boss.worker(max_retries=0, max_consecutive_failures=None)
    async def fails(number: int) -> None:
        raise ValueError(number)

    async def runs(count: int) -> int:
        for start in range(0, count, 150):
            handles = [
                await worker.trigger(number)
                for number in range(start, start + 50)
                for worker in (speaks, answers, fails)
            ]
            await asyncio.gather(*(handle.wait(timeout=WITHIN_S) for handle in handles))
        await boss.status()
        caplog.clear()
        gc.collect()
        return sys.getallocatedblocks()

    async def at_least(rounds: int) -> int:
        return min([await runs(600) for _ in range(rounds)])  # what is under way between two turns comes and goes

    async with boss:
        await runs(900)
        before = await at_least(3)
        await runs(1200)
        for _ in range(8):  # the fewest of several turns; what each run leaves behind would only grow with them
            after = await runs(600)
            if after - before < 600:
                break
    assert after - before < 600, f"{(after - before) / 1800:.1f} blocks are left of each run"
