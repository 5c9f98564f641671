"""`shiftboss logs`."""

from __future__ import annotations

import contextlib
import logging
from datetime import timedelta

import pytest

from shiftboss import Context, Orchestrator
from shiftboss.app.views import Views
from shiftboss.cli.commands.logs import Shown
from shiftboss.clock import SystemClock


@pytest.fixture
def chatty(tmp_path, monkeypatch):
    """A store in which a worker has logged, in two runs."""
    monkeypatch.chdir(tmp_path)
    boss = Orchestrator()

    @boss.worker()
    def talk(ctx: Context, number: int) -> None:
        ctx.log.warning("number %d\x1b[31m", number)
        logging.getLogger("lib").error("from a library")

    @boss.worker()
    def mute() -> None: ...

    boss.sync.start()
    runs = [boss.sync.trigger("talk", {"number": number}).id for number in (1, 2)]
    runs.append(boss.sync.trigger("mute").id)
    for run in runs:
        boss.sync.wait_for(run, timeout=10)
    boss.sync.stop()
    return runs


def test_the_lines_of_a_run_are_shown_in_order_and_escaped(cli, chatty):
    shown = cli("logs", str(chatty[0]))

    assert shown.code == 0
    assert [line.split(" ", 2)[2] for line in shown.out.splitlines()] == [
        f"{chatty[0]} WARNING number 1\\x1b[31m",
        f"{chatty[0]} ERROR from a library",
    ]


def test_of_a_worker_its_latest_runs_are_shown(cli, chatty):
    shown = cli("logs", "talk", "--json")

    assert [line["run"] for line in shown.lines] == [chatty[0], chatty[0], chatty[1], chatty[1]]
    assert shown.lines[0]["text"] == "number 1\x1b[31m"


def test_following_a_run_ends_with_it(cli, chatty):
    shown = cli("logs", str(chatty[1]), "-f")

    assert shown.code == 0
    assert len(shown.out.splitlines()) == 2


class ClockThatIsSet(SystemClock):
    ahead = timedelta(0)

    def now(self):
        return super().now() + self.ahead


@pytest.mark.parametrize("seconds", [3600, -3600])
def test_following_a_worker_misses_nothing_when_the_clock_is_set(tmp_path, capsys, seconds):
    """O4: the clock is the store's, not that of whoever looks."""
    clock = ClockThatIsSet()
    boss = Orchestrator(f"sqlite:///{tmp_path}/jobs.db", clock=clock)

    @boss.worker
    def talk(ctx: Context, number: int) -> None:
        ctx.log.warning("number %d", number)

    boss.sync.start()
    with contextlib.closing(Views(boss.store, clock)) as views:
        shown = Shown(views, "talk", None, as_json=False)
        shown.show()
        boss.sync.wait_for(boss.sync.trigger("talk", {"number": 1}).id, timeout=30)
        clock.ahead = timedelta(seconds=seconds)
        boss.sync.wait_for(boss.sync.trigger("talk", {"number": 2}).id, timeout=30)
        seen = shown.show()
    boss.sync.stop()

    assert seen == 2


def test_nothing_logged_is_said_and_an_unknown_name_is_4(cli, chatty):
    assert "no log output" in cli("logs", "mute").err
    assert cli("logs", "nobody").code == 4
    assert cli("logs", "99999").code == 4
