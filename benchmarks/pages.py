"""What does a page cost when there is a lot?  Every GET of the API at a million finished runs and ten thousand workers.

    python benchmarks/pages.py [--runs 1000000] [--workers 10000] [--rounds 15] [--store postgresql://…] [--folder DIR]
                               [--only PATTERN] [--json]
    python benchmarks/pages.py --widths 100 10000 100000

Three stores, filled by the store's own writes: few runs, many runs, and many runs of few workers.  Each is served over
HTTP on loopback by a client, which runs nothing; every operation of `web/table.py` is asked with its filters, in
turns, and the median counts.  The aim: no answer takes more than 200 ms, and none more than twice what it takes with
few runs.

With `--widths` it compares stores of so many workers and few runs instead: how long the server reads before it has all
workers, and of each page the first answer after that, the median of later ones, and its size, beside those of the first
width.  The aim: the first answer within 200 ms, and the first frame of the stream below 300 KB, at any width.
"""

from __future__ import annotations

import argparse
import contextlib
import fnmatch
import http.client
import json
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, urlencode

from shiftboss import Orchestrator
from shiftboss.clock import SystemClock
from shiftboss.core.events import Audit
from shiftboss.core.model import (
    Attempt,
    Cause,
    Claim,
    DeadLetter,
    Disabled,
    Error,
    LogLine,
    Node,
    Origin,
    Record,
    Run,
    Sample,
    Status,
    Verdict,
    WorkerState,
)
from shiftboss.core.policy import Priority
from shiftboss.core.schedule import Every
from shiftboss.core.snapshot import Change
from shiftboss.core.value import replace
from shiftboss.core.worker import Definition, Mode, Upstream
from shiftboss.ports.store import Transaction
from shiftboss.stores.urls import open_store
from shiftboss.web.server import ListenAddress, Server
from shiftboss.web.table import OPERATIONS, PREFIX

FEW_RUNS = 10_000
RUNS_OF_WIDTHS = 2_000
MAX_FRAME_BYTES = 300_000
FEW_WORKERS = 100
LETTERS = 1_000  # open ones: somebody looks after them; the other dead runs were resolved
EVENTS = 20_000
RUNNING = 50
CHUNK = 10_000
SPACING = timedelta(seconds=1.12)  # between two runs: a million of them are 13 days
LIMIT_MS = 200.0
LIMIT_RATIO = 2.0
LEAST_MS = 5.0  # below that a ratio says nothing


# ── filling ──────────────────────────────────────────────────────────────────────────────────────────────────────


class Filling:
    """A store as nodes would have left it."""

    def __init__(self, url: str, *, runs: int, workers: int) -> None:
        self._clock = SystemClock()
        self._now = self._clock.now()
        self._runs = runs
        self._names = [f"worker-{number:05}" for number in range(workers)]
        store = open_store(url, clock=self._clock)
        store.open(create=True)
        session = store.session()
        session.take_time()
        node = self._node()
        with session.begin() as tx:
            tx.changes()
            tx.write(Change(workers=tuple(map(self._worker, range(workers))), nodes=(node,)), new=())
        for first in range(0, runs, CHUNK):
            with session.begin() as tx:
                self._write_finished(tx, first, min(CHUNK, runs - first))
        with session.begin() as tx:
            self._write_live(tx, node)
        with session.begin() as tx:
            tx.write(Change(records=tuple(self._records())), new=())
            events = [
                Audit(at=self._at(n, EVENTS), worker=self._name(n), by="ada", action="disable") for n in range(EVENTS)
            ]
            tx.write(Change(events=tuple(events)), new=())
        session.close()
        store.close()

    def _name(self, number: int) -> str:
        return self._names[number % len(self._names)]

    def _at(self, number: int, of: int) -> datetime:
        return self._now - SPACING * (of - number)

    def _node(self) -> Node:
        return Node(
            id="node",
            name="host:1",
            boot=self._clock.boot,
            lease_until_s=self._clock.lease_s() + 86_400,
            started_at=self._now - timedelta(days=14),
            workers=dict.fromkeys(self._names, ""),
        )

    def _worker(self, number: int) -> WorkerState:
        """Half are scheduled; every fifth waits for its neighbour; one in a hundred is disabled."""
        name, is_scheduled = self._names[number], number % 2 == 0
        definition = Definition(
            name=name,
            mode=Mode.SCHEDULED if is_scheduled else Mode.TRIGGERED,
            schedule=Every(3600.0) if is_scheduled else None,
            depends_on=(Upstream(self._names[number - 1]),) if number % 5 == 4 else (),
            doc=f"Worker number {number} of a benchmark.",
        )
        disabled = Disabled(by="ada", reason="moving house", since=self._now) if number % 100 == 3 else None
        return WorkerState(definition=definition, declared_at=self._now - timedelta(days=14), disabled=disabled)

    def _records(self) -> Iterator[tuple[str, Record]]:
        for name in self._names:
            yield (
                name,
                Record(
                    latest=Verdict(occurs_at=self._now, run=1, ok=True),
                    anchor_at=self._now,
                    last_run_at=self._now,
                    last_success_at=self._now,
                    ring=tuple(Sample(number % 50 != 0, 0.5) for number in range(100)),
                ),
            )

    def _write_finished(self, tx: Transaction, first: int, count: int) -> None:
        ids = tx.ids()
        runs = [self._finished(next(ids), number) for number in range(first, first + count)]
        letters = [self._letter(run) for run in runs if run.status is Status.DEAD]
        tx.write(Change(runs=tuple(runs), letters=tuple(letters)), new={run.id for run in runs})

    def _finished(self, run_id: int, number: int) -> Run:
        """One in a hundred is dead, one in a hundred cancelled; one in ten has a key."""
        at, name = self._at(number, self._runs), self._name(number * 7)
        is_dead, is_cancelled = number % 100 == 17, number % 100 == 53
        error = Error("shop.ReadTimeout" if number % 200 == 17 else "ValueError", "it did not answer", "trace\n" * 10)
        status = Status.DEAD if is_dead else Status.CANCELLED if is_cancelled else Status.SUCCEEDED
        cause = Cause.ERROR if is_dead else Cause.CANCELLED if is_cancelled else None
        ended = at + timedelta(seconds=2)
        return Run(
            id=run_id,
            worker=name,
            origin=Origin.TRIGGER,
            status=status,
            priority=Priority.NORMAL,
            created_at=at,
            occurs_at=at,
            due_at=at,
            attempt=1,
            attempts=(Attempt(1, "node", at, ended, 2.0, cause, error if is_dead else None),),
            key=f"order-{number}" if number % 10 == 0 else None,
            first_started_at=at,
            finished_at=ended,
            cause=cause,
            error=error if is_dead else None,
            result=b'{"sent":true}',
        )

    def _letter(self, run: Run) -> DeadLetter:
        entered = run.finished_at or run.due_at
        letter = DeadLetter(
            run.id, run.worker, Cause.ERROR, run.error.type if run.error else "", entered, has_payload=False
        )
        is_open = run.id > self._runs - 100 * LETTERS
        return letter if is_open else replace(letter, state="resolved", closed_at=entered, closed_by="ada")

    def _write_live(self, tx: Transaction, node: Node) -> None:
        """The next occurrence of every schedule; what runs, one with a log; a few that are due and wait."""
        ids = tx.ids()

        def live(worker: str, origin: Origin, at: datetime, **fields: object) -> Run:
            return Run(next(ids), worker, origin, Status.PENDING, Priority.NORMAL, self._now, at, at, **fields)  # type: ignore[arg-type]  # as given

        later = self._now + timedelta(hours=1)
        waiting = [live(name, Origin.OCCURRENCE, later) for name in self._names[::2]]
        waiting += [live(name, Origin.TRIGGER, self._now) for name in self._names[3 : 4 * RUNNING : 4]]
        running = [
            replace(
                live(name, Origin.TRIGGER, self._now),
                status=Status.RUNNING,
                attempt=1,
                claim=Claim(node.id, tx.number, self._now),
                first_started_at=self._now,
            )
            for name in self._names[1 : 2 * RUNNING : 2]
        ]
        lines = tuple(LogLine(running[0].id, tx.number, n, 1, self._now, "INFO", f"line {n}") for n in range(1, 1001))
        tx.write(Change(runs=(*waiting, *running), lines=lines), new={run.id for run in (*waiting, *running)})


# ── asking ───────────────────────────────────────────────────────────────────────────────────────────────────────


class Question(NamedTuple):
    path: str
    params: dict[str, str] = {}  # never written to

    def __str__(self) -> str:
        return f"{self.path}?{urlencode(self.params)}" if self.params else self.path


class Served:
    """A store behind HTTP."""

    def __init__(self, url: str) -> None:
        self.boss = Orchestrator(url)
        self.boss.sync.open()
        self._server = Server(self.boss, ListenAddress("127.0.0.1", 0))
        assert self._server.token_file is not None
        self._headers = {"authorization": f"Bearer {self._server.token_file.read_text().strip()}"}
        self._server.start()
        self._http = http.client.HTTPConnection("127.0.0.1", self._server.address.port, timeout=120)

    def get(self, question: Question) -> bytes:
        path = quote(question.path, safe="/")
        asked = f"{path}?{urlencode(question.params)}" if question.params else path
        self._http.request("GET", asked, headers=self._headers)
        answer = self._http.getresponse()
        data = answer.read()
        if answer.status != 200:
            raise SystemExit(f"{question}: {answer.status} {data[:500]!r}")
        return data

    def snapshot(self) -> bytes:
        """A stream's first frames: hello, and the whole status."""
        address = self._server.address
        with socket.create_connection((address.host, address.port), timeout=120) as stream:
            head = f"GET {PREFIX}/events?topics=status HTTP/1.1\r\nHost: {address.host}\r\n"
            stream.sendall(f"{head}Authorization: {self._headers['authorization']}\r\n\r\n".encode())
            found = bytearray()
            while b"event: status" not in found[:4096] or not found.endswith((b"\n\n\r\n", b"\n\n")):
                data = stream.recv(1 << 20)
                if not data:
                    raise SystemExit("the stream ended")
                found += data
            return bytes(found)

    def wait_until_read(self) -> None:
        """Until the server has read all workers, as it does at its start."""
        for thread in threading.enumerate():
            if thread.name == "shiftboss-read-ahead":
                thread.join()

    def close(self) -> None:
        self._http.close()
        self._server.stop()
        self.boss.sync.close()


def questions(served: Served, since: datetime) -> list[Question]:
    """Every GET of the table, with the filters that pages use."""

    def first(path: str, **params: str) -> dict[str, object]:
        found: dict[str, list[dict[str, object]]] = json.loads(served.get(Question(PREFIX + path, params)))
        return next(iter(found.values()))[0]

    dead = first("/runs", status="dead")
    running = first("/runs", status="running")
    pending = first("/runs", status="pending")
    keyed = next(
        each
        for each in json.loads(served.get(Question(f"{PREFIX}/runs", {"limit": "500", "status": "succeeded"})))["runs"]
        if each["key"]
    )
    worker, week = str(dead["worker"]), since.isoformat()
    middle = str(int(str(dead["id"])) // 2)
    by_path: dict[str, list[dict[str, str]]] = {
        "/workers": [{}, {"q": "worker-0001"}, {"health": "disabled"}],
        "/workers/{worker}": [{"worker": worker}, {"worker": "worker-00000"}],
        "/workers/{worker}/payload": [{"worker": worker}],
        "/runs": [
            {},
            {"cursor": middle},
            {"limit": "500"},
            {"worker": worker},
            {"worker": worker, "status": "dead"},
            {"worker": worker, "since": week},
            {"status": "dead"},
            {"status": "dead", "cursor": middle},
            {"status": "succeeded", "since": week},
            {"status": "cancelled", "since": week},
            {"status": "skipped"},
            {"status": "running"},
            {"status": "pending"},
            {"since": week},
            {"error": "ValueError"},
            {"error": "NoSuchError"},
            {"error": "ValueError", "worker": worker},
            {"error": "ValueError", "since": week},
            {"key": str(keyed["key"])},
            {"key": "no-such-key"},
        ],
        "/runs/{run}": [{"run": str(each["id"])} for each in (dead, running, pending)],
        "/runs/{run}/log": [{"run": str(running["id"])}],
        "/dead-letters": [
            {},
            {"worker": worker},
            {"error": "ReadTimeout"},
            {"error": "NoSuchError"},
            {"state": "resolved"},
            {"state": "all", "worker": worker},
            {"state": "all", "since": week},
            {"state": "all", "error": "NoSuchError"},
        ],
        "/health": [{}, {"health": "disabled"}],
        "/graph": [{}, {"worker": worker}],
        "/dead-letters/groups": [{}, {"worker": worker}],
        "/dead-letters/{run}": [{"run": str(dead["id"])}],
        "/activity": [{}, {"worker": "worker-00001"}, {"worker": "no-such"}, {"cursor": "5000"}],
        "/timeline": [
            {},
            {"since": week, "until": (since + timedelta(days=7)).isoformat()},
            {"worker": worker, "since": week, "until": (since + timedelta(days=7)).isoformat()},
            {"until": (since + timedelta(days=7, hours=2)).isoformat()},
        ],
    }
    found = []
    for operation in OPERATIONS:
        if operation.method != "GET" or operation.id == "events":
            continue
        for params in by_path.pop(operation.path, [{}]):
            path = operation.path.format(**{name: params[name] for name in operation.path_params})
            rest = {name: value for name, value in params.items() if name not in operation.path_params}
            found.append(Question(PREFIX + path, rest))
    assert not by_path, f"the table has no {', '.join(by_path)}"
    return [*found, Question("/metrics"), Question("/healthz")]


def measure(
    served: dict[str, Served], asked: dict[str, list[Question]], rounds: int, only: str
) -> list[dict[str, object]]:
    """A row for each question; the stores take turns."""
    table = []
    for index, question in enumerate(asked["many"]):
        if not fnmatch.fnmatch(str(question), f"*{only}*"):
            continue
        acts = {name: partial(each.get, asked[name][index]) for name, each in served.items()}
        table.append(row(str(question), acts, rounds))
    if fnmatch.fnmatch("SSE snapshot", f"*{only}*"):
        table.append(row("SSE snapshot", {name: each.snapshot for name, each in served.items()}, rounds))
    return table


def row(what: str, acts: dict[str, Callable[[], bytes]], rounds: int) -> dict[str, object]:
    taken: dict[str, list[float]] = {name: [] for name in acts}
    size = 0
    for number in range(rounds + 1):
        for name, act in acts.items():
            began = time.perf_counter()
            data = act()
            if number:  # the first one warms up
                taken[name].append((time.perf_counter() - began) * 1000)
            if name == "many":
                size = len(data)
    ms = {name: statistics.median(values) for name, values in taken.items()}
    is_fine = ms["many"] <= LIMIT_MS and (ms["many"] <= max(LEAST_MS, LIMIT_RATIO * ms["few"]))
    return {
        "what": what,
        **{f"{name}_ms": round(value, 2) for name, value in ms.items()},
        "ratio": round(ms["many"] / ms["few"], 2),
        "kib": size // 1024,
        "fine": is_fine,
    }


# ── widths ───────────────────────────────────────────────────────────────────────────────────────────────────────


class Answered(NamedTuple):
    first_ms: float
    warm_ms: float
    kib: float


PAGES_OF_WIDTHS = (
    Question(f"{PREFIX}/status"),
    Question(f"{PREFIX}/workers", {"q": "worker-00"}),
    Question(f"{PREFIX}/workers", {"health": "disabled"}),
    Question(f"{PREFIX}/workers", {"cursor": "unknown:normal:worker-00050"}),
    Question(f"{PREFIX}/workers/worker-00001"),
    Question(f"{PREFIX}/health"),
    Question(f"{PREFIX}/graph"),
    Question(f"{PREFIX}/graph", {"worker": "worker-00004"}),
    Question(f"{PREFIX}/timeline"),
)


def compare_widths(folder: Path, widths: list[int], rounds: int, *, as_json: bool) -> int:
    """Prints a table; 1 if the widest one misses an aim."""
    answers: dict[int, dict[str, Answered]] = {}
    for workers in widths:
        url = f"sqlite:///{folder / f'wide-{workers}'}.db"
        if not (folder / f"wide-{workers}.db").exists():
            Filling(url, runs=RUNS_OF_WIDTHS, workers=workers)
        began = time.perf_counter()
        served = Served(url)
        served.wait_until_read()
        read_ms = (time.perf_counter() - began) * 1000
        try:
            acts: dict[str, Callable[[], bytes]] = {"SSE snapshot": served.snapshot}
            acts |= {str(question).removeprefix(PREFIX): partial(served.get, question) for question in PAGES_OF_WIDTHS}
            answers[workers] = {
                "(read by the server)": Answered(read_ms, read_ms, 0),
                **{what: answered(act, rounds) for what, act in acts.items()},
            }
        finally:
            served.close()
    if as_json:
        print(
            json.dumps({width: {what: each._asdict() for what, each in row.items()} for width, row in answers.items()})
        )
    else:
        print_widths(answers)
    widest = answers[widths[-1]]
    is_soon = all(each.first_ms <= LIMIT_MS for what, each in widest.items() if not what.startswith("("))
    return 0 if is_soon and widest["SSE snapshot"].kib * 1024 <= MAX_FRAME_BYTES else 1


def answered(act: Callable[[], bytes], rounds: int) -> Answered:
    taken: list[float] = []
    for _ in range(rounds + 1):
        began = time.perf_counter()
        data = act()
        taken.append((time.perf_counter() - began) * 1000)
    return Answered(taken[0], statistics.median(taken[1:]), len(data) / 1024)


def print_widths(answers: dict[int, dict[str, Answered]]) -> None:
    narrow = next(iter(answers.values()))
    print(f"{'':40}" + "".join(f"{width:>14,} workers              " for width in answers))
    print(f"{'':40}" + "   first     warm  ratio      KiB  ratio" * len(answers))
    for what in narrow:
        print(f"{what[:40]:40}", end="")
        for row in answers.values():
            each, few = row[what], narrow[what]
            print(f"{each.first_ms:8.1f} {each.warm_ms:8.1f} {each.warm_ms / few.warm_ms:6.1f}", end="")
            print(f" {each.kib:8.1f} {each.kib / few.kib if few.kib else 1:6.1f}", end="")
        print()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--store", help="a PostgreSQL address; schemas are made there and left (default: files)")
    parser.add_argument("--folder", type=Path, help="where files go and stay (default: a temporary folder here)")
    parser.add_argument("--only", default="", help="only what fits this pattern")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--widths", type=int, nargs="+", help="compare stores with so many workers")
    options = parser.parse_args()
    if options.widths:
        with contextlib.ExitStack() as stack:
            folder = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(dir=Path.cwd())))
            folder.mkdir(exist_ok=True)
            return compare_widths(folder, options.widths, options.rounds, as_json=options.json)
    sizes = {
        "few": (FEW_RUNS, options.workers),
        "many": (options.runs, options.workers),
        "few_workers": (options.runs, min(FEW_WORKERS, options.workers)),
    }
    with contextlib.ExitStack() as stack:
        folder = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(dir=Path.cwd())))
        folder.mkdir(exist_ok=True)
        served: dict[str, Served] = {}
        for name, (runs, workers) in sizes.items():
            url = f"sqlite:///{folder / name}.db" if options.store is None else f"{options.store}?schema=pages_{name}"
            if options.store is not None or not (folder / f"{name}.db").exists():
                began = time.perf_counter()
                Filling(url, runs=runs, workers=workers)
                if not options.json:
                    print(
                        f"{name}: {runs:,} runs of {workers:,} workers, filled in {time.perf_counter() - began:.0f} s"
                    )
            served[name] = each = Served(url)
            stack.callback(each.close)
        since = SystemClock().now() - timedelta(days=7)
        asked = {name: questions(each, since) for name, each in served.items()}
        table = measure(served, asked, options.rounds, options.only)
    if options.json:
        print(json.dumps(table))
    else:
        print(f"{'':70} {'few':>8} {'many':>8} {'ratio':>6} {'KiB':>7}   {'100 workers':>11}   medians in ms")
        for each in table:
            mark = "" if each["fine"] else "  ← too slow"
            what = str(each["what"]).removeprefix(PREFIX)[:70]
            print(
                f"{what:70} {each['few_ms']:>8} {each['many_ms']:>8} {each['ratio']:>6} "
                f"{each['kib']:>7}   {each['few_workers_ms']:>11}{mark}"
            )
    return 0 if all(each["fine"] for each in table) else 1


if __name__ == "__main__":
    raise SystemExit(main())
