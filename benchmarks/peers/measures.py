"""The same work through one peer: how fast, how late, and what becomes of it when its process is killed or ends.

Rules of this file
- A measure gets an empty store of its own, and the peer's processes are started and ended by it: one that stores jobs,
  one that runs them.
- It knows nothing of any library: it hears of bodies that began and ended (peer_jobs.py), by one machine's monotonic
  clock.
- How many jobs a round has depends on the peer's own rate, so that a round takes the same time for all.
- A job is lost when it has not run to its end although nothing has happened for `patience_s`.
"""

from __future__ import annotations

import os
import random
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peer_process import Failure, Message, Program, a_program

READY_S = 60.0
TRIAL = 200  # jobs that warm everything up and tell the rate
MOST = 60_000  # jobs a round
IDLE_TRIGGERS, IDLE_S, WARM = 200, 12.0, 10
SLOTS = 100
SCHEDULES, SETTLE_S, WINDOW_S = 1_000, 4.0, 10.0
NAPS, NAP_SLOTS, KILL_AFTER = 400, 20, 100
SLEEPERS = 40

Figures = dict[str, Any]


@dataclass(frozen=True)
class Peer:
    name: str
    title: str
    store: str  # sqlite or postgresql
    command: tuple[str, ...]
    versions: str
    env: dict[str, str] | None = None
    alone: str | None = None  # why one process cannot store jobs while another runs them


@dataclass(frozen=True)
class Bench:
    """One peer, and where it is measured."""

    peer: Peer
    a_store: Callable[[], AbstractContextManager[str]]
    folder: Path
    between: Callable[[], None]  # called before, between and after rounds: raises where the machine is busy
    seconds: float = 3.0
    rounds: int = 3
    patience_s: float = 60.0

    def program(self, role: str, store: str, *numbers: int) -> AbstractContextManager[Program]:
        command = [*self.peer.command, role, store, *map(str, numbers)]
        return a_program(command, self.folder / f"{self.peer.name}.{role}.err", self.peer.env)

    @contextmanager
    def running(self, role: str, store: str, *numbers: int) -> Iterator[Program]:
        with self.program(role, store, *numbers) as program:
            program.hear("ready", within_s=READY_S)
            yield program

    @contextmanager
    def prepared(self) -> Iterator[str]:
        with self.a_store() as store:
            with self.running("prepare", store) as program:
                program.finish()
            yield store

    def settings(self) -> dict[str, str]:
        with self.program("settings", "") as program:
            told: dict[str, str] = program.hear("settings", within_s=READY_S)["settings"]
            return told


def store_jobs(producer: Program, job: str, count: int, first: int = 0) -> Message:
    producer.ask(job=job, first=first, count=count)
    return producer.hear("stored", within_s=READY_S * 2)


def jobs_of_a_round(rate: float, seconds: float) -> int:
    return min(MOST, max(TRIAL, round(rate * seconds)))


# ── speed ────────────────────────────────────────────────────────────────────────────────────────────────────────


def end_to_end(bench: Bench) -> Figures:
    """Jobs a second from the first call that stores one to the body of the last, in two processes; then one by one."""
    if bench.peer.alone is not None:
        return {"absent": bench.peer.alone}
    with (
        bench.prepared() as store,
        bench.running("work", store, SLOTS) as worker,
        bench.running("produce", store) as producer,
    ):
        through(worker, producer, TRIAL)
        jobs = jobs_of_a_round(through(worker, producer, TRIAL), bench.seconds)
        jobs = jobs_of_a_round(through(worker, producer, jobs), bench.seconds)  # what is warm is faster
        rates = []
        for _ in range(bench.rounds):
            bench.between()
            rates.append(through(worker, producer, jobs))
        bench.between()
        taken = starts_ms(worker, producer)
    return {
        "end_to_end_per_s": round(statistics.median(rates)),
        "jobs": jobs,
        "rounds": [round(rate) for rate in rates],
        "start_ms_p50": round(quantile(taken, 0.5), 2),
        "start_ms_p99": round(quantile(taken, 0.99), 2),
        "starts": len(taken),
    }


def through(worker: Program, producer: Program, jobs: int) -> float:
    worker.ask(total=jobs)
    worker.hear("expecting", within_s=READY_S)
    stored = store_jobs(producer, "noop", jobs)
    last = worker.hear("last", within_s=READY_S)
    return float(jobs / ((last["at_ns"] - stored["from_ns"]) / 1e9))


def starts_ms(worker: Program, producer: Program) -> list[float]:
    """From the call that stores a job to its first line, while there is nothing else to do."""
    dice = random.Random(7)
    taken: list[float] = []
    until = time.monotonic() + IDLE_S
    while len(taken) < IDLE_TRIGGERS + WARM and (time.monotonic() < until or len(taken) < 2 * WARM):
        time.sleep(dice.uniform(0.01, 0.03))
        stored = store_jobs(producer, "stamp", 1, first=len(taken))
        taken.append((worker.hear("stamp", within_s=READY_S)["at_ns"] - stored["from_ns"]) / 1e6)
    return taken[WARM:]


def draining(bench: Bench, rate: float) -> Figures:
    """Jobs a second from the first body to the last, of a backlog that was there before the worker's process."""
    jobs = jobs_of_a_round(rate, bench.seconds)
    rates, storing = [], []
    with bench.prepared() as store:
        for _ in range(bench.rounds):
            with bench.running("produce", store) as producer:
                stored = store_jobs(producer, "noop", jobs)
                storing.append(jobs / ((stored["to_ns"] - stored["from_ns"]) / 1e9))
                producer.finish()
            bench.between()
            with bench.running("work", store, SLOTS, jobs) as worker:
                first = worker.hear("first", within_s=READY_S)
                last = worker.hear("last", within_s=READY_S)
                rates.append((jobs - 1) / ((last["at_ns"] - first["at_ns"]) / 1e9))
                worker.terminate()
    return {
        "draining_per_s": round(statistics.median(rates)),
        "storing_per_s": round(statistics.median(storing)),
        "jobs": jobs,
        "rounds": [round(rate) for rate in rates],
    }


def schedules(bench: Bench) -> Figures:
    """SCHEDULES, each due once a second: how many fire, how steadily, and what that takes."""
    with bench.prepared() as store, bench.program("schedule", store, SCHEDULES) as program:
        bench.between()
        answer = program.hear("ready", "absent", within_s=READY_S * 2)
        if answer["what"] == "absent":
            return {"absent": answer["why"]}
        time.sleep(SETTLE_S)
        from_ns, cpu_s = time.monotonic_ns(), cpu_seconds(program.pid)
        time.sleep(WINDOW_S)
        to_ns, cpu_s = time.monotonic_ns(), cpu_seconds(program.pid) - cpu_s
        program.kill()
        bench.between()
    window = [m for m in program.messages if m["what"] == "tick" and from_ns <= m["at_ns"] < to_ns]
    off = gaps_off_ms(window)
    return {
        "fires_per_s": round(len(window) / ((to_ns - from_ns) / 1e9)),
        "gap_off_ms_p99": round(quantile(off, 0.99)) if off else None,
        "cpu_share": round(cpu_s / ((to_ns - from_ns) / 1e9), 2),
    }


def gaps_off_ms(ticks: Sequence[Message]) -> list[float]:
    """Of each two fires in a row of one schedule: how far the time between them is from a second."""
    latest: dict[int, int] = {}
    off = []
    for tick in ticks:
        before = latest.get(tick["number"])
        if before is not None:
            off.append(abs((tick["at_ns"] - before) / 1e6 - 1000))
        latest[tick["number"]] = tick["at_ns"]
    return off


def cpu_seconds(pid: int) -> float:
    """Of the process, as Linux counts it; children that live are not in it."""
    with suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return float("nan")


def quantile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


# ── what becomes of jobs ─────────────────────────────────────────────────────────────────────────────────────────


def killed(bench: Bench) -> Figures:
    """SIGKILL in the middle of many short jobs; a new process at once."""
    with bench.prepared() as store:
        store_all(bench, store, "nap", NAPS)
        with bench.running("work", store, NAP_SLOTS) as worker:
            if not worker.until(lambda messages: len(of("began", messages)) >= KILL_AFTER, READY_S * 2):
                raise Failure(f"only {len(of('began', worker.messages))} jobs began")
            worker.kill()
            at_ns = time.monotonic_ns()
        before = worker.messages
        after = run_on(bench, store, NAPS, before)
    return {**fates(before, after, NAPS), **again_s(before, after, at_ns)}


def terminated(bench: Bench) -> Figures:
    """SIGTERM while all slots are taken by jobs of two seconds and as many wait; a new process when it has ended."""
    with bench.prepared() as store:
        store_all(bench, store, "sleep", SLEEPERS)
        with bench.running("work", store, NAP_SLOTS) as worker:
            if not worker.until(lambda messages: len(of("began", messages)) >= NAP_SLOTS, READY_S):
                raise Failure(f"only {len(of('began', worker.messages))} jobs began")
            took_s = worker.terminate()
        before = worker.messages
        after = run_on(bench, store, SLEEPERS, before)
    return {
        "ended_after_s": round(took_s, 1) if took_s != float("inf") else None,
        "cut": len(cut_off(before)),
        **fates(before, after, SLEEPERS),
    }


def store_all(bench: Bench, store: str, job: str, count: int) -> None:
    with bench.running("produce", store) as producer:
        store_jobs(producer, job, count)
        producer.finish()


def run_on(bench: Bench, store: str, jobs: int, before: list[Message]) -> list[Message]:
    """What a new process says, until all jobs have run to their end or nothing happens any more."""
    with bench.running("work", store, NAP_SLOTS) as worker:
        ended = {m["number"] for m in of("ended", before)}
        seen = -1
        while len(worker.messages) > seen:
            seen = len(worker.messages)

            def is_over(messages: list[Message], seen: int = seen) -> bool:
                done = ended | {m["number"] for m in of("ended", messages)}
                return len(done) == jobs or len(messages) > seen

            worker.until(is_over, bench.patience_s)
            if len(ended | {m["number"] for m in of("ended", worker.messages)}) == jobs:
                break
        worker.terminate()
        return worker.messages


def of(what: str, messages: Sequence[Message]) -> list[Message]:
    return [m for m in messages if m["what"] == what]


def cut_off(before: Sequence[Message]) -> set[int]:
    """Jobs that had begun and not ended when their process ended."""
    return {m["number"] for m in of("began", before)} - {m["number"] for m in of("ended", before)}


def fates(before: Sequence[Message], after: Sequence[Message], jobs: int) -> Figures:
    """Lost: never ran to its end.  Twice: ran to its end more than once, or began again although it had ended."""
    ends = Counter(m["number"] for m in (*of("ended", before), *of("ended", after)))
    had_ended = {m["number"] for m in of("ended", before)}
    begun_after = {m["number"] for m in of("began", after)}
    return {
        "lost": jobs - len(ends),
        "twice": len({number for number, times in ends.items() if times > 1} | (had_ended & begun_after)),
    }


def again_s(before: Sequence[Message], after: Sequence[Message], at_ns: int) -> Figures:
    """How many were in the middle, and how long until the last of those that came back had begun again."""
    middle = cut_off(before)
    again = {m["number"]: m["at_ns"] for m in reversed(of("began", after)) if m["number"] in middle}
    return {
        "in_flight": len(middle),
        "again_after_s": round((max(again.values()) - at_ns) / 1e9, 1) if again else None,
    }
