"""Everything in one store is carried into another and compared."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from shiftboss import Context, Orchestrator
from shiftboss.app.moving import move
from shiftboss.clock import SystemClock
from shiftboss.core.events import WorkerForgotten
from shiftboss.core.policy import RetryPolicy
from shiftboss.core.snapshot import Change
from shiftboss.errors import NotAllowed, StoreDamaged
from shiftboss.ports import HistoryFilter, LetterFilter, Store
from shiftboss.stores.sqlite_writes import SqliteTransaction
from shiftboss.stores.urls import open_store


def declared(url: str) -> Orchestrator:
    """A shop with one of everything: finished, dead, waiting and delayed runs, log lines, a breaker, a resource."""
    boss = Orchestrator(url, resources={"warehouse": 2})

    @boss.worker(uses={"warehouse": 1})
    async def send(ctx: Context, to: str) -> dict[str, str]:
        ctx.log.warning("sending to %s", to)
        return {"sent": to}

    @boss.worker(max_retries=0, breaker="mailer")
    async def broken(page: int = 1) -> None:
        raise ValueError("on purpose")

    @boss.worker(max_retries=5, retry=RetryPolicy(max_retries=5, first_s=3600.0, cap_s=3600.0))
    async def later() -> None:
        raise ValueError("not yet")

    @boss.worker(cron="0 3 * * *")
    async def nightly() -> None: ...

    return boss


async def filled(path: Path) -> str:
    url = f"sqlite:///{path}"
    boss = declared(url)
    async with boss:
        runs = [await boss.trigger("send", {"to": f"ü{number}"}, key=f"k{number}") for number in range(5)]
        runs.append(await boss.trigger("broken"))
        for run in runs:
            await run.wait(timeout=20)
        await boss.trigger("send", {"to": "tomorrow"}, delay="1d")
        await boss.trigger("later")
        await boss.disable("nightly", reason="holidays")
    return url


def opened(url: str, *, create: bool) -> Store:
    store = open_store(url, SystemClock())
    store.open(create=create)
    return store


async def test_all_of_a_store_is_moved_and_work_goes_on_there(tmp_path):
    source = opened(await filled(tmp_path / "old.db"), create=False)
    target = opened(f"sqlite:///{tmp_path / 'new.db'}", create=True)
    seen: list[int] = []
    with closing(source), closing(target):
        moved = move(source, target, on_progress=seen.append)
        there, here = source.session(), target.session()
        with there.read() as old, here.read() as new:
            ids = [run.id for run in old.history(HistoryFilter(limit=100))]
            assert new.runs(ids) == old.runs(ids)
            assert new.letters(LetterFilter(state=None)) == old.letters(LetterFilter(state=None))
            assert [new.lines(each) for each in ids] == [old.lines(each) for each in ids]
            assert new.past() >= old.past()

    counts = {name: part.count for name, part in moved.parts.items()}
    assert (counts["workers"], counts["runs"], counts["letters"], counts["lines"]) == (4, 9, 1, 5)
    assert seen[-1] == 9

    boss = declared(f"sqlite:///{tmp_path / 'new.db'}")
    async with boss:
        again = await boss.trigger("send", {"to": "ü1"}, key="k1")
        fresh = await boss.trigger("send", {"to": "you"})
        assert await again.result(timeout=20) == {"sent": "ü1"}
        assert await fresh.result(timeout=20) == {"sent": "you"}
        status = await boss.status()
    assert fresh.id > max(ids)
    assert {each.name: each.enabled for each in status.workers}["nightly"] is False


async def test_a_store_in_which_a_node_lives_is_not_moved(tmp_path):
    boss = declared(f"sqlite:///{tmp_path / 'old.db'}")
    async with boss:
        source = opened(f"sqlite:///{tmp_path / 'old.db'}", create=False)
        target = opened("memory:", create=True)
        with closing(source), pytest.raises(NotAllowed, match=r"is in use by .*; stop what runs there"):
            move(source, target)


async def test_nothing_is_moved_into_a_store_that_holds_something_or_into_itself(tmp_path):
    source = opened(await filled(tmp_path / "old.db"), create=False)
    target = opened(await filled(tmp_path / "new.db"), create=False)
    with closing(source), closing(target):
        with pytest.raises(NotAllowed, match="is not empty; move into a new store"):
            move(source, target)
        with pytest.raises(NotAllowed, match="cannot be moved into itself"):
            move(source, source)


async def test_a_copy_that_differs_is_said_and_by_what(tmp_path, monkeypatch):
    source = opened(await filled(tmp_path / "old.db"), create=False)
    target = opened(f"sqlite:///{tmp_path / 'new.db'}", create=True)
    real = SqliteTransaction.write

    def forgetful(tx: SqliteTransaction, change: Change, **options: object) -> None:
        real(tx, Change(runs=change.runs, workers=change.workers, records=change.records), **options)

    monkeypatch.setattr(SqliteTransaction, "write", forgetful)
    with closing(source), closing(target), pytest.raises(StoreDamaged, match="letters: 1 became 0"):
        move(source, target)


async def test_a_move_that_is_broken_off_leaves_the_target_empty(tmp_path):
    source = opened(await filled(tmp_path / "old.db"), create=False)
    target = opened(f"sqlite:///{tmp_path / 'new.db'}", create=True)

    def pull_the_plug(runs: int) -> None:
        raise KeyboardInterrupt

    with closing(source), closing(target):
        with pytest.raises(KeyboardInterrupt):
            move(source, target, on_progress=pull_the_plug)
        with closing(target.session()) as here, here.read() as reader:
            assert reader.past().number == 0
            assert reader.history(HistoryFilter()) == []
        assert move(source, target).parts["runs"].count == 9


def test_events_keep_their_order(tmp_path):
    source, target = opened("memory:", create=True), opened(f"sqlite:///{tmp_path / 'new.db'}", create=True)
    now = SystemClock().now()
    with closing(target):
        with closing(source.session()) as there, there.begin() as tx:
            tx.write(Change(events=tuple(WorkerForgotten(at=now, worker=f"w{n}") for n in range(1200))), new=())
        move(source, target)
        with closing(target.session()) as here, here.read() as reader:
            assert [event.worker for _, event in reader.events(after=1190, limit=10)] == [
                f"w{n}" for n in range(1190, 1200)
            ]
