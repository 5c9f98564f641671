"""B6: a body that outlived its timeout has timed out, however its process ends; it is not entered again without end."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ends import HEAD, WITHIN_S, Node, end_of

from shiftboss import Orchestrator
from shiftboss.core.model import Cause, Run, Status

APP = """
import asyncio, os, sys, time
from shiftboss import Orchestrator, RetryPolicy

boss = Orchestrator("sqlite:///jobs.db", shutdown_timeout=1)


def entered() -> None:
    with open("entered", "a") as file:
        file.write("once\\n")


OPTIONS = dict(timeout=0.2, cancel_grace=0.2, retry=RetryPolicy(max_retries=1, first_s=0.0))


@boss.worker(**OPTIONS)
def thread() -> None:
    entered()
    time.sleep(600)


@boss.worker(**OPTIONS)
async def deaf() -> None:
    entered()
    while True:
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            continue


@boss.worker(timeout=0.2, at_most_once=True)
def once() -> None:
    entered()
    time.sleep(600)


@boss.worker(timeout=None)
def endless() -> None:
    entered()
    time.sleep(600)


@boss.worker(timeout=None, deadline=1.0)
def late() -> None:
    entered()
    time.sleep(600)
"""


def term(node: Node) -> None:
    os.kill(node.process.pid, signal.SIGTERM)


def term_twice(node: Node) -> None:
    term(node)
    node.says("stopping")
    term(node)


def kill(node: Node) -> None:
    os.kill(node.process.pid, signal.SIGKILL)


ENDS = (term, term_twice, kill)


def ended_while_a_body_goes_on(folder: Path, end: Callable[[Node], None], worker: str | None = None) -> Run:
    """Start a node, and trigger *worker*; end the node once its body is a zombie; what the next one finds."""
    with Node(folder, APP) as node:
        node.says("joined")
        with a_client(folder) as boss:
            if worker is not None:
                boss.trigger(worker)
            node.until(lambda: any(each.zombie for each in boss.status().running), "it is no zombie")
        end(node)
        node.ends()
    return found_by_another(folder)


def a_client(folder: Path) -> Any:
    return Orchestrator(f"sqlite:///{folder / 'jobs.db'}").sync


def found_by_another(folder: Path) -> Run:
    """After a node that runs nothing has rescued what it could."""
    until_s = time.monotonic() + WITHIN_S
    boss = Orchestrator(f"sqlite:///{folder / 'jobs.db'}").sync
    boss.start()
    try:
        (run,) = boss.runs()
        while (info := boss.run_info(run.id)).status is Status.RUNNING:
            assert time.monotonic() < until_s
            time.sleep(0.02)
        return info
    finally:
        boss.stop()


@pytest.mark.cases
@pytest.mark.parametrize("worker", ["thread", "deaf"])
@pytest.mark.parametrize("end", ENDS)
def test_it_counts_as_an_attempt_and_is_retried_no_more_often_than_any_timeout(tmp_path: Path, worker, end):
    """B6, G2, R2, T4"""
    first = ended_while_a_body_goes_on(tmp_path, end, worker)
    second = ended_while_a_body_goes_on(tmp_path, end)

    assert (first.status, first.attempt, first.interruptions) == (Status.PENDING, 1, 0)
    assert (second.status, second.cause, second.interruptions) == (Status.DEAD, Cause.TIMEOUT, 0)
    assert [each.cause for each in second.attempts] == [Cause.TIMEOUT, Cause.TIMEOUT]
    assert (tmp_path / "entered").read_text().count("once") == 2


@pytest.mark.parametrize("end", [kill, *(pytest.param(each, marks=pytest.mark.cases) for each in (term, term_twice))])
def test_what_must_not_be_repeated_is_dead_by_its_timeout_and_not_lost(tmp_path: Path, end):
    """B6, C7"""
    info = ended_while_a_body_goes_on(tmp_path, end, "once")

    assert (info.status, info.cause) == (Status.DEAD, Cause.TIMEOUT)


@pytest.mark.cases
@pytest.mark.parametrize("end", ENDS)
def test_a_deadline_that_passed_is_a_timeout_too(tmp_path: Path, end):
    """T1, B6"""
    info = ended_while_a_body_goes_on(tmp_path, end, "late")

    assert (info.status, info.cause) == (Status.DEAD, Cause.TIMEOUT)


@pytest.mark.cases
@pytest.mark.parametrize("end", ENDS)
def test_one_that_somebody_cancelled_is_cancelled(tmp_path: Path, end):
    """T4, B6"""
    with Node(tmp_path, APP) as node:
        node.says("joined")
        with a_client(tmp_path) as boss:
            run = boss.trigger("endless").id
            node.waits_for("entered")
            boss.cancel(run)
        end(node)
        node.ends()

    assert found_by_another(tmp_path).status is Status.CANCELLED


MAINS = {
    "its main program ends": "boss.sync.start(); boss.sync.trigger('{worker}'); zombie()",
    "its loop is closed": (
        "async def main():\n"
        "    await boss.start(); await boss.trigger('{worker}'); await asyncio.to_thread(zombie)\n"
        "asyncio.run(main())"
    ),
    "it is stopped and ends": (
        "boss.sync.start(); boss.sync.trigger('{worker}'); zombie(); boss.sync.stop(); print('stopped')"
    ),
}
TIMED = """
boss.shutdown_timeout_s = 1.0
timed = dict(timeout=0.2, cancel_grace=0.2, max_retries=0)


@boss.worker(**timed)
def stuck() -> None:
    time.sleep(600)


@boss.worker(**timed)
async def blocks_past() -> None:
    began.set()
    time.sleep(600)


def zombie() -> None:
    while not any(each.zombie for each in boss.sync.status().running):
        time.sleep(0.02)


"""


@pytest.mark.parametrize(
    "how", ["its main program ends", *(pytest.param(each, marks=pytest.mark.cases) for each in list(MAINS)[1:])]
)
def test_it_has_timed_out_when(tmp_path: Path, how: str):
    """B6, G5"""
    ended = end_of(tmp_path, TIMED + MAINS[how].format(worker="stuck"), head=HEAD)
    info = found_by_another(tmp_path)

    assert ended.code == 0
    assert (info.status, info.cause) == (Status.DEAD, Cause.TIMEOUT)


@pytest.mark.cases
def test_a_coroutine_that_blocks_its_loop_past_its_timeout_has_timed_out_although_nobody_could_tell_it(tmp_path: Path):
    """B6, G5"""
    text = "boss.sync.start(); boss.sync.trigger('blocks_past'); began.wait(20); time.sleep(0.5)"
    ended = end_of(tmp_path, TIMED + text.replace("blocks_past", "blocks-past"), head=HEAD)
    info = found_by_another(tmp_path)

    assert ended.code == 0
    assert (info.status, info.cause) == (Status.DEAD, Cause.TIMEOUT)
