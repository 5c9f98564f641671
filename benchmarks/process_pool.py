"""What a warm child costs for a no-op, beside concurrent.futures and loky in the same run; and what two children give.

    python benchmarks/process_pool.py [--calls 3000] [--rounds 5] [--json]

One call at a time: from handing it over to hearing its end, in microseconds; two children each, warmed before.  Ours
carries what an attempt carries (a run, a context, an outcome); theirs pickle a function and its value.  loky is
measured where it is installed.  CPU: the same number of busy bodies with two children against one.  Rounds take turns;
medians are printed.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import importlib.util
import json
import multiprocessing
import statistics
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from shiftboss.clock import SystemClock
from shiftboss.core.model import Claim, Origin, Outcome, Run, Status, Succeeded
from shiftboss.core.policy import Priority
from shiftboss.core.worker import Definition
from shiftboss.executors.body import FunctionBody
from shiftboss.executors.process import ProcessExecutor
from shiftboss.ports import Launch

BUSY_STEPS = 3_000_000
BUSY_BODIES = 16
NOW = datetime.now(UTC)


def nothing() -> None: ...


def busy() -> int:
    total = 0
    for step in range(BUSY_STEPS):
        total += step
    return total


class Ours:
    def __init__(self, slots: int) -> None:
        self._executor = ProcessExecutor(slots, SystemClock())
        self._executor.open()
        self._bodies = {fn: FunctionBody(fn, worker="bench") for fn in (nothing, busy)}
        self._definition = Definition("bench", max_runs_per_child=1 << 30)
        self._number = 0

    def run(self, fn: Callable[..., Any], times: int) -> None:
        """*times* calls at once; returns when all have ended."""
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


def pools(slots: int) -> dict[str, Any]:
    spawn = multiprocessing.get_context("spawn")
    made: dict[str, Any] = {
        "shiftboss": Ours(slots),
        "concurrent.futures": Theirs(concurrent.futures.ProcessPoolExecutor(slots, mp_context=spawn)),
    }
    if importlib.util.find_spec("loky") is not None:
        from loky.process_executor import ProcessPoolExecutor

        made["loky"] = Theirs(ProcessPoolExecutor(slots))
    return made


def call_us(pool: Any, calls: int) -> float:
    began = time.perf_counter()
    for _ in range(calls):
        pool.run(nothing, 1)
    return (time.perf_counter() - began) / calls * 1e6


def busy_s(pool: Any) -> float:
    began = time.perf_counter()
    pool.run(busy, BUSY_BODIES)
    return time.perf_counter() - began


def medians(made: dict[str, Any], rounds: int, measure: Callable[[Any], float]) -> dict[str, float]:
    found: dict[str, list[float]] = {name: [] for name in made}
    for _ in range(rounds):
        for name, pool in made.items():
            found[name].append(measure(pool))
    return {name: statistics.median(each) for name, each in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()

    made = pools(2)
    for pool in made.values():
        pool.run(busy, 4)
        pool.run(nothing, 100)
    overhead = medians(made, args.rounds, lambda pool: call_us(pool, args.calls))
    for pool in made.values():
        pool.close()
    children = {"one child": Ours(1), "two children": Ours(2)}
    for pool in children.values():
        pool.run(busy, 2)
    cpu = medians(children, args.rounds, busy_s)
    for pool in children.values():
        pool.close()

    better = min(value for name, value in overhead.items() if name != "shiftboss")
    gain = cpu["one child"] / cpu["two children"]
    if args.json:
        print(json.dumps({"call_us": overhead, "of_the_better": overhead["shiftboss"] / better, "two_children": gain}))
        return
    for name, value in overhead.items():
        print(f"{name:20} {value:8.0f} µs a call")
    print(f"shiftboss / the better of the others: {overhead['shiftboss'] / better:.2f} (aim: at most 2)")
    print(f"{BUSY_BODIES} busy bodies, two children against one: {gain:.2f} times as fast (aim: at least 1.7)")


if __name__ == "__main__":
    main()
