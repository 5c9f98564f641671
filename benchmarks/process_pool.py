"""What a warm child costs for a no-op, beside concurrent.futures and loky; and what a second child gives.

    python benchmarks/process_pool.py [--calls 1000] [--rounds 7] [--json]

A no-op: from handing it over to hearing its end, in microseconds a call, on two children each, warmed before; one
call at a time, and all of them at once.  Ours carries what an attempt carries (a run, a context, an outcome); theirs
pickle a function and its value.  loky is measured where it is installed.

CPU: the same busy bodies on two children and on one, how many times as fast.  Beside it, in turns, two plain
interpreters and one, each told by a line on its stdin how many of the same bodies to run.  That is the limit: two cores
of a busy or a shared machine do not give two times one.

Rounds take turns; ratios are taken within a round, medians of them are printed, and the middle half in brackets.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import importlib.util
import inspect
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol

from shiftboss.clock import SystemClock
from shiftboss.core.model import Claim, Origin, Outcome, Run, Status, Succeeded
from shiftboss.core.policy import Priority
from shiftboss.core.worker import Definition
from shiftboss.executors.body import FunctionBody
from shiftboss.executors.process import ProcessExecutor
from shiftboss.ports.executor import Launch

OVERHEAD_AIM, GAIN_AIM = 2.0, 1.7
BUSY_LOAD = 0.5  # load average
BUSY_STEPS = 2_000_000  # 0.1 s
BUSY_BODIES = 4  # short turns, and many: a neighbour's burst then falls on all alike
BUSY_TURNS = 4  # to a round
NOW = datetime.now(UTC)


def nothing() -> None: ...


def busy() -> int:
    total = 0
    for step in range(BUSY_STEPS):
        total += step
    return total


# ── who runs them ────────────────────────────────────────────────────────────────────────────────────────────────


class Pool(Protocol):
    def run(self, fn: Callable[..., Any], times: int) -> None:
        """*times* calls at once; returns when all have ended."""

    def close(self) -> None: ...


class Ours:
    def __init__(self, slots: int) -> None:
        self._executor = ProcessExecutor(slots, SystemClock())
        self._executor.open()
        self._bodies = {fn: FunctionBody(fn, worker="bench") for fn in (nothing, busy)}
        self._definition = Definition("bench", max_runs_per_child=1 << 30)
        self._number = 0

    def run(self, fn: Callable[..., Any], times: int) -> None:
        ended, left = threading.Event(), [times]

        def report(outcome: Outcome, duration_s: float) -> None:
            assert isinstance(outcome, Succeeded), outcome
            left[0] -= 1  # reports come from one thread
            if not left[0]:
                ended.set()

        self._executor.start([self._launch(fn, report) for _ in range(times)])
        ended.wait()

    def _launch(self, fn: Callable[..., Any], report: Callable[[Outcome, float], None]) -> Launch:
        self._number += 1
        claim = Claim("bench", self._number, NOW)
        run = Run(
            self._number,
            "bench",
            Origin.TRIGGER,
            Status.RUNNING,
            Priority.NORMAL,
            NOW,
            NOW,
            NOW,
            claim=claim,
            attempt=1,
        )
        return Launch(run, self._definition, self._bodies[fn], report, lambda kind, value: None, 60.0)

    def close(self) -> None:
        self._executor.close(10.0)


class Theirs:
    def __init__(self, pool: Any) -> None:
        self._pool = pool

    def run(self, fn: Callable[..., Any], times: int) -> None:
        for each in [self._pool.submit(fn) for _ in range(times)]:
            each.result()

    def close(self) -> None:
        self._pool.shutdown()


class Plain:
    """Interpreters that run as many busy bodies as a line on their stdin says."""

    LOOP = "import sys\nfor line in sys.stdin:\n    for _ in range(int(line)): busy()\n    print(flush=True)\n"

    def __init__(self, slots: int) -> None:
        program = f"BUSY_STEPS = {BUSY_STEPS}\n{inspect.getsource(busy)}\n{self.LOOP}"
        self._processes = [
            subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            for _ in range(slots)
        ]

    def run(self, fn: Callable[..., Any], times: int) -> None:
        for each in self._processes:
            assert each.stdin is not None
            each.stdin.write(b"%d\n" % (times // len(self._processes)))
            each.stdin.flush()
        for each in self._processes:
            assert each.stdout is not None
            each.stdout.readline()

    def close(self) -> None:
        for each in self._processes:
            each.communicate()


# ── measuring ────────────────────────────────────────────────────────────────────────────────────────────────────


class Ratio(NamedTuple):
    """Quartiles."""

    low: float
    median: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.2f} [{self.low:.2f}–{self.high:.2f}]"


def ratio(these: Sequence[float], those: Sequence[float]) -> Ratio:
    found = [this / that for this, that in zip(these, those, strict=True)]
    return Ratio(*(round(value, 3) for value in statistics.quantiles(found, n=4, method="inclusive")))


def in_turns(pools: dict[str, Pool], rounds: int, measure: Callable[[Pool], float]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {name: [] for name in pools}
    for _ in range(rounds):
        for name, pool in pools.items():
            found[name].append(measure(pool))
    return found


def one_by_one_us(pool: Pool, calls: int) -> float:
    began = time.perf_counter()
    for _ in range(calls):
        pool.run(nothing, 1)
    return (time.perf_counter() - began) / calls * 1e6


def at_once_us(pool: Pool, calls: int) -> float:
    began = time.perf_counter()
    pool.run(nothing, calls)
    return (time.perf_counter() - began) / calls * 1e6


def busy_s(pool: Pool) -> float:
    began = time.perf_counter()
    pool.run(busy, BUSY_BODIES)
    return time.perf_counter() - began


def overheads(rounds: int, calls: int) -> dict[str, dict[str, list[float]]]:
    spawn = multiprocessing.get_context("spawn")
    pools: dict[str, Pool] = {
        "shiftboss": Ours(2),
        "concurrent.futures": Theirs(concurrent.futures.ProcessPoolExecutor(2, mp_context=spawn)),
    }
    if importlib.util.find_spec("loky") is not None:
        from loky.process_executor import ProcessPoolExecutor

        pools["loky"] = Theirs(ProcessPoolExecutor(2))
    for pool in pools.values():
        pool.run(busy, 4)
        pool.run(nothing, 200)
    found = {
        "one by one": in_turns(pools, rounds, lambda pool: one_by_one_us(pool, calls)),
        "all at once": in_turns(pools, rounds, lambda pool: at_once_us(pool, calls)),
    }
    for pool in pools.values():
        pool.close()
    return found


def gains(rounds: int) -> tuple[Ratio, Ratio, Ratio]:
    """Of two children, of two plain interpreters, and the first as a part of the second."""
    pools: dict[str, Pool] = {"one": Ours(1), "two": Ours(2), "plain one": Plain(1), "plain two": Plain(2)}
    for pool in pools.values():
        pool.run(busy, 2)
    turns = rounds * BUSY_TURNS
    found = in_turns(pools, turns, busy_s)
    for pool in pools.values():
        pool.close()
    ours, limit = (
        [one / two for one, two in zip(found[first], found[second], strict=True)]
        for first, second in (("one", "two"), ("plain one", "plain two"))
    )
    even = [1.0] * turns
    return ratio(ours, even), ratio(limit, even), ratio(ours, limit)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()

    load = os.getloadavg()[0]
    overhead = overheads(args.rounds, args.calls)
    ours, limit, share = gains(args.rounds)
    us = {way: {name: statistics.median(each) for name, each in found.items()} for way, found in overhead.items()}
    verdicts = {}
    for way, found in overhead.items():
        better = min((name for name in found if name != "shiftboss"), key=lambda name: us[way][name])
        verdicts[way] = better, ratio(found["shiftboss"], found[better])
    if args.json:
        print(
            json.dumps(
                {
                    "load_before": load,
                    "call_us": us,
                    "of_the_better": {way: found._asdict() for way, (_, found) in verdicts.items()},
                    "two_children": ours._asdict(),
                    "two_interpreters": limit._asdict(),
                    "of_the_limit": share._asdict(),
                }
            )
        )
        return
    print(f"load average before: {load:.1f}" + ("; others were busy, so the times are too long" * (load > BUSY_LOAD)))
    for way, each in us.items():
        print(f"no-ops {way}: " + ", ".join(f"{name} {value:.0f} µs" for name, value in each.items()))
        better, found_ratio = verdicts[way]
        print(f"    ratio to {better}: {found_ratio} (aim ≤ {OVERHEAD_AIM:g})")
    print(f"{BUSY_BODIES} busy bodies, two children against one: {ours} times as fast (aim ≥ {GAIN_AIM:g})")
    print(f"    the limit, two plain interpreters against one: {limit}; ours is {share} of it")


if __name__ == "__main__":
    main()
