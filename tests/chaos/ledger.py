"""Reading a ledger: which body ran when, in which process, and where two of them overlapped."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Span:
    worker: str
    run: int
    pid: int
    attempt: int
    fence: int
    occurs_at: str
    start: float
    end: float
    finished: bool


def read_spans(path: Path, *, died_at: dict[int, float]) -> list[Span]:
    """Every body that began; one that was killed ended when its process was."""
    open_spans: dict[tuple[int, int, int], dict[str, Any]] = {}
    spans = []
    for line in path.read_text().splitlines():
        said = json.loads(line)
        key = (said["run"], said["fence"], said["pid"])
        if said["what"] == "start":
            open_spans[key] = said
        elif said["what"] in ("end", "cut"):  # cut: it was told to stop before its end
            begun = open_spans.pop(key)
            spans.append(_span(begun, said["at"], finished=said["what"] == "end"))
    for begun in open_spans.values():
        spans.append(_span(begun, died_at.get(begun["pid"], float("inf")), finished=False))
    return sorted(spans, key=lambda span: span.start)


def _span(begun: dict[str, Any], end: float, *, finished: bool) -> Span:
    return Span(
        begun["worker"],
        begun["run"],
        begun["pid"],
        begun["attempt"],
        begun["fence"],
        begun["occurs_at"],
        begun["at"],
        end,
        finished,
    )


def overlaps(spans: list[Span], one: str, other: str) -> list[tuple[Span, Span]]:
    """Pairs of a span of *one* and a span of *other* that ran at the same time."""
    return [
        (a, b)
        for a in spans
        if a.worker == one
        for b in spans
        if b.worker == other and a is not b and a.start < b.end and b.start < a.end
    ]


def most_at_once(spans: list[Span], worker: str) -> int:
    edges = sorted(
        [(s.start, 1) for s in spans if s.worker == worker] + [(s.end, -1) for s in spans if s.worker == worker],
        key=lambda edge: (edge[0], edge[1]),
    )
    most = now = 0
    for _, step in edges:
        now += step
        most = max(most, now)
    return most


def unexplained_repetitions(spans: list[Span], died_at: dict[int, float]) -> list[int]:
    """Runs of which a body began again although the process of the one before had not died."""
    by_run: dict[int, list[Span]] = defaultdict(list)
    for span in spans:
        by_run[span.run].append(span)
    return [run for run, begun in by_run.items() if any(span.pid not in died_at for span in begun[:-1])]
