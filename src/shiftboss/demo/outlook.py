"""How a sensor may go on: many random walks, made of the changes that were seen.

Rules of this file
- It takes a core for some seconds, and a thread would take them from all others: this is the body of a child process.
- A child knows what it can import and what stands in the payload: so the function is at the top of a module, and the
  archive lies where it always does.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from itertools import accumulate, pairwise

from shiftboss import Context
from shiftboss.demo.archive import Archive

WALKS = 500_000
AT_ONCE = 10_000  # between two words about progress: some hundredths of a second
STEPS = 30  # of 2 s, as the samples: a minute


def outlook(ctx: Context, sensor: str = "load", walks: int = WALKS) -> str:
    """Say which level a sensor will hardly pass."""
    archive = Archive()
    values = archive.series(sensor, since=0.0)
    now = values[-1]
    changes = [after - before for before, after in pairwise(values)] or [0.0]
    peaks: list[float] = []
    while len(peaks) < walks:
        peaks += [peak(now, changes) for _ in range(AT_ONCE)]
        ctx.progress(len(peaks), walks, f"{len(peaks):,} walks")
    level = sorted(peaks)[int(0.95 * len(peaks))]
    text = f"{sensor}: {now:.2f} now, up to {level:.2f} within a minute in 95 of 100 walks"
    archive.add_report(time.time(), f"outlook {sensor}", text)
    return text


def peak(start: float, changes: Sequence[float]) -> float:
    """The highest point of one walk."""
    return max(accumulate(random.choices(changes, k=STEPS), initial=start))  # noqa: S311  # no secret
