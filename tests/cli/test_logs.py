"""`shiftboss logs`."""

from __future__ import annotations

import logging

import pytest

from shiftboss import Context, Orchestrator


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


def test_the_lines_of_a_run_are_shown_in_order_and_cleaned(cli, chatty):
    shown = cli("logs", str(chatty[0]))

    assert shown.code == 0
    assert [line.split(" ", 2)[2] for line in shown.out.splitlines()] == [
        f"{chatty[0]} WARNING number 1[31m",
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


def test_nothing_logged_is_said_and_an_unknown_name_is_4(cli, chatty):
    assert "nothing was logged" in cli("logs", "mute").err
    assert cli("logs", "nobody").code == 4
    assert cli("logs", "99999").code == 4
