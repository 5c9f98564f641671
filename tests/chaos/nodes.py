"""Nodes of one fleet on a PostgreSQL server: real processes that are killed, stopped, cut off and started anew."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from ledger import Span, read_spans
from processes import APPS

from postgres_server import Place
from shiftboss import Orchestrator
from shiftboss.core.events import Event
from shiftboss.core.model import Run
from shiftboss.ports.faces import HistoryFilter

PATIENCE_S = 120.0  # each wait is for a condition; one that takes longer has failed
EVERYTHING = HistoryFilter(limit=1_000_000)


def boot_time() -> float:
    """The clock of the ledger."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def until(holds: Callable[[], object], what: str, *, within_s: float = PATIENCE_S, every_s: float = 0.05) -> float:
    """Wait until *holds* does; how long that took."""
    began = time.monotonic()
    while not holds():
        waited = time.monotonic() - began
        assert waited < within_s, f"after {waited:.0f} s still not: {what}"
        time.sleep(every_s)
    return time.monotonic() - began


class Node:
    """One process.  Its number is what the ledger knows it by."""

    def __init__(self, number: int, process: subprocess.Popen[bytes], log: Path) -> None:
        self.number = number
        self.process = process
        self.log = log
        self.name = ""  # as the store knows it

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace")

    @property
    def has_joined(self) -> bool:
        assert self.process.poll() is None, self.said
        return " joined" in self.said

    def stop(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def lines_between(self, began: float, ended: float) -> list[str]:
        """What it logged in that span of wall time."""
        lines = (line for line in self.said.splitlines() if line[:1].isdigit())
        return [line for line in lines if began <= float(line.split()[0]) < ended]


class Nodes:
    """The fleet: `start`, `kill`, `end`; its ledger and its store."""

    def __init__(self, folder: Path, store: str, part: str, **environment: object) -> None:
        self.folder = folder
        self.store = store
        self.ledger = folder / "ledger.jsonl"
        self.nodes: list[Node] = []
        self.died_at: dict[int, float] = {}
        self._environment = {"PART": part, **{name: str(value) for name, value in environment.items()}}
        self._started = 0
        self._logs: list[Path] = []

    def start(self, *, store: str = "", within: Sequence[str] = (), **environment: object) -> Node:
        """Start one, on another address of the store or *within* another command if that is said."""
        self._started += 1
        number = self._started
        log = self.folder / f"node-{number}.log"
        given = {name: str(value) for name, value in environment.items()}
        names = {"SHIFTBOSS_STORE": store or self.store, "LEDGER": str(self.ledger), "NODE": str(number)}
        command = [*within, sys.executable, str(APPS / "nodes.py")]
        with log.open("wb") as stderr:
            process = subprocess.Popen(
                command, env={**os.environ, **self._environment, **names, **given}, stderr=stderr
            )
        node = Node(number, process, log)
        self.nodes.append(node)
        self._logs.append(log)
        return node

    def start_ready(self, count: int) -> list[Node]:
        started = [self.start() for _ in range(count)]
        self.until_ready(started)
        return started

    def until_ready(self, nodes: Iterable[Node]) -> None:
        for node in nodes:
            until(lambda node=node: node.has_joined, f"node {node.number} joined")  # type: ignore[misc]

    def kill(self, node: Node) -> None:
        """kill -9; the instant after it is when its bodies ended at the latest."""
        node.process.kill()
        node.process.wait()
        self.died_at[node.number] = boot_time()
        self.nodes.remove(node)

    def leave(self, node: Node) -> None:
        """Its own graceful end."""
        node.process.terminate()
        node.process.wait()
        self.nodes.remove(node)

    def end(self, *, within_s: float = 40.0) -> list[int]:
        """SIGTERM to all; their exit codes.  Whoever is later than that is killed, and the code tells."""
        for node in self.nodes:
            node.process.terminate()
        codes = []
        for node in self.nodes:
            try:
                codes.append(node.process.wait(within_s))
            except subprocess.TimeoutExpired:
                node.process.kill()
                codes.append(node.process.wait())
        self.nodes.clear()
        return codes

    def spans(self) -> list[Span]:
        return read_spans(self.ledger, died_at=self.died_at)

    def said(self) -> str:
        return "\n".join(log.read_text(errors="replace") for log in self._logs)

    def has_said(self, what: str, worker: str) -> int:
        """How many lines of that kind the ledger has."""
        if not self.ledger.exists():
            return 0
        wanted = f'"what": "{what}"', f'"worker": "{worker}"'
        return sum(1 for line in self.ledger.read_text().splitlines() if all(word in line for word in wanted))


@contextmanager
def a_fleet(folder: Path, place: Place, part: str, **environment: object) -> Iterator[Nodes]:
    """Whatever happens, none of its processes is left, and none is left stopped."""
    fleet = Nodes(folder, place.url, part, **environment)
    try:
        yield fleet
    finally:
        for node in fleet.nodes:
            node.process.kill()
            node.process.wait()


def trigger_many(url: str, wanted: Iterable[tuple[str, Mapping[str, object] | None, str | None]]) -> list[int]:
    """Runs of (worker, payload, key), all at once by one client; their ids."""

    async def trigger() -> list[int]:
        boss = Orchestrator(url)
        async with boss.client():
            handles = [boss.trigger(worker, payload, key=key) for worker, payload, key in wanted]
            return [handle.id for handle in await asyncio.gather(*handles)]

    return asyncio.run(trigger())


def pending(place: Place) -> int:
    """Unfinished runs of triggered workers' making."""
    return int(str(place.execute("SELECT count(*) FROM run")[0][0]))


def finished(boss: Orchestrator) -> dict[int, Run]:
    return {run.id: run for run in boss.sync.runs(EVERYTHING)}


def events(boss: Orchestrator) -> list[Event]:
    """Everything that the store has kept, oldest first."""
    found: list[Event] = []
    after = 0
    while True:
        page = boss.opened().read(lambda views, after=after: views.events(after=after, limit=1000))  # type: ignore[misc]
        if not page:
            return found
        found += [event for _, event in page]
        after = page[-1][0]


def lines_of(fleet: Nodes, node: int, run: int) -> list[tuple[float, str]]:
    """What the bodies of a run said on one node."""
    said = [json.loads(line) for line in fleet.ledger.read_text().splitlines()]
    return [(line["at"], line["what"]) for line in said if line["pid"] == node and line["run"] == run]


def nodes_that_began(fleet: Nodes, run: int) -> set[int]:
    if not fleet.ledger.exists():
        return set()
    said = [json.loads(line) for line in fleet.ledger.read_text().splitlines() if '"start"' in line]
    return {line["pid"] for line in said if line["run"] == run}
