"""Is the machine quiet enough for a figure?  A spin on each core says how much of it we get, and how fast it is.

Rules of this file
- All cores spin at once: a neighbour that leaves one of them alone is seen too.
- A figure counts only if the machine was quiet before it and after it.
- Whoever is busy is not waited for beyond a bound: then nothing is printed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

SPIN_S = 0.25
SHARE = 0.9  # of a core's time; below, somebody else has more than a tenth of it
SPEED = 0.75  # of the best spin of this run: a neighbour on the same physical core, or a slower clock
WAIT_S = 20.0  # what our own processes leave behind (checkpoints, vacuum) is over by then


class Busy(Exception):
    """The machine has other things to do; the text says how it shows."""


Spin = tuple[float, float]  # share of a core's time; rounds of the loop a second


def spin(for_s: float = SPIN_S) -> Spin:
    began, used = time.perf_counter(), time.process_time()
    rounds = 0
    while time.perf_counter() - began < for_s:
        sum(range(1000))
        rounds += 1
    took_s = time.perf_counter() - began
    return (time.process_time() - used) / took_s, rounds / took_s


def spin_on_all_cores() -> list[Spin]:
    command = [sys.executable, "-S", __file__]
    cores = len(os.sched_getaffinity(0))
    spinning = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(cores)]
    answers = [process.communicate()[0].split() for process in spinning]
    return [(float(share), float(speed)) for share, speed in answers]


def trouble(spins: Sequence[Spin], best: float) -> str | None:
    """What is wrong with these spins, given the best speed so far; None: the machine is quiet."""
    share, speed = min(share for share, _ in spins), min(speed for _, speed in spins)
    if share < SHARE:
        return f"a spin on each core got {share:.0%} of one, less than {SHARE:.0%}"
    if speed < SPEED * best:
        return f"a spin ran at {speed / best:.0%} of the best speed so far, less than {SPEED:.0%}"
    return None


class Watch:
    """Asks again until the machine is quiet, for WAIT_S at most; remembers the best speed."""

    def __init__(
        self,
        spins: Callable[[], Sequence[Spin]] = spin_on_all_cores,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._spins, self._clock = spins, clock
        self._best = 0.0

    def check(self) -> None:
        """Raises Busy."""
        until = self._clock() + WAIT_S
        while True:
            spins = self._spins()
            self._best = max(self._best, *(speed for _, speed in spins))
            found = trouble(spins, self._best)
            if found is None:
                return
            if self._clock() >= until:
                raise Busy(found)


if __name__ == "__main__":
    print(*spin())
