"""The same work through peers and through shiftboss, each in an environment of its own; one table.

    make bench-peers [ARGS="huey procrastinate --measures kill,SIGTERM"]     all peers without names

Measured: jobs a second end to end and draining a backlog, trigger to start when idle, a thousand schedules a second,
`kill -9` in the middle, SIGTERM.  SQLite for peers that have it, PostgreSQL (the tests' own server, with fsync on) for
the others.  shiftboss is always measured in the same run, on the same kind of store.  Where the machine is busy before,
between or after rounds that measure time, nothing is printed, and the exit code is 1.  Progress is on stderr.
With --from, nothing is measured: what --json wrote in earlier runs is printed as one table.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from itertools import count
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))  # for a server without any set-up

import environments
import measures
import psycopg
import table
from measures import Bench, Figures, Peer
from peer_process import Failure
from quiet import Busy, Watch

from postgres_server import a_cluster

MEASURES = ("end to end", "draining", "schedules", "kill -9", "SIGTERM")
TIMED = {"end to end", "draining", "schedules"}  # what becomes of jobs is counted, on a busy machine too
DURABLE = ("fsync=on", "synchronous_commit=on", "max_wal_size=4GB", "shared_buffers=256MB")


def progress(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {text}", file=sys.stderr, flush=True)


def main(arguments: list[str] | None = None) -> int:
    options = parsed(arguments)
    if options.earlier:
        reports = [report for file in options.earlier for report in json.loads(file.read_text())]
        show(table.merged(reports), as_json=options.json)
        return 0
    try:
        reports = run(options)
    except Busy as busy:
        print(f"the machine is busy: {busy}.  Nothing is printed; run it again when it is quiet.", file=sys.stderr)
        return 1
    show(reports, as_json=options.json)
    return 0


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = list(environments.pins())
    parser.add_argument("peers", nargs="*", metavar="PEER", help=f"of {', '.join(known)} (default: all)")
    parser.add_argument("--measures", default=",".join(MEASURES), help=f"some of {', '.join(MEASURES)}, by commas")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="that a round should take")
    parser.add_argument("--patience", type=float, default=60.0, help="seconds without news after which a job is lost")
    parser.add_argument("--folder", type=Path, help="where files and logs go (default: beside the environments)")
    parser.add_argument("--from", dest="earlier", type=Path, nargs="+", metavar="FILE", help="print these instead")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    for what, given, names in (
        ("peer", options.peers, known),
        ("measure", options.measures.split(","), list(MEASURES)),
    ):
        for name in given:
            if name not in names:
                parser.error(f"there is no {what} {name!r}; known: {', '.join(names)}")
    return options


def show(reports: list[table.Report], *, as_json: bool) -> None:
    print(json.dumps(reports) if as_json else "\n".join(table.lines(reports)))


def run(options: argparse.Namespace) -> list[table.Report]:
    """Raises Busy."""
    watch = Watch()
    if TIMED & set(options.measures.split(",")):
        watch.check()
    pins = environments.pins()
    wanted = options.peers or list(pins)
    reports: list[table.Report] = []
    peers: list[Peer] = []
    for name in wanted:
        try:
            peers.append(environments.installed(name, pins[name], progress))
        except environments.Unavailable as error:
            progress(f"{pins[name]['title']}: {error}")
            reports.append({"peer": name, "title": pins[name]["title"], "unavailable": str(error)})
    used = sorted({peer.store for peer in peers}, reverse=True)
    with ExitStack() as stack:
        base = options.folder or environments.cache() / "work"
        base.mkdir(parents=True, exist_ok=True)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=base)))
        stores = {
            "sqlite": lambda: a_file(folder),
            "postgresql": databases(stack) if "postgresql" in used else None,
        }
        for peer in [*map(environments.ourselves, used), *peers]:
            bench = Bench(
                peer,
                stores[peer.store],
                folder,
                watch.check,
                seconds=options.seconds,
                rounds=options.rounds,
                patience_s=options.patience,
            )
            reports.append(reported(bench, options.measures.split(",")))
    return reports


def reported(bench: Bench, wanted: list[str]) -> table.Report:
    peer = bench.peer
    figures: dict[str, Figures] = {}
    report = {"peer": peer.name, "title": peer.title, "store": peer.store, "versions": peer.versions}
    try:
        settings = bench.settings()
    except Failure as error:
        return {**report, "settings": {}, "figures": {"settings": {"failed": str(error)}}}
    steps: dict[str, Callable[[], Figures]] = {
        "end to end": lambda: measures.end_to_end(bench),
        "draining": lambda: measures.draining(bench, figures.get("end to end", {}).get("end_to_end_per_s", 1_000)),
        "schedules": lambda: measures.schedules(bench),
        "kill -9": lambda: measures.killed(bench),
        "SIGTERM": lambda: measures.terminated(bench),
    }
    for measure in wanted:
        progress(f"{peer.title} on {peer.store}: {measure} …")
        try:
            figures[measure] = steps[measure]()
        except Failure as error:
            figures[measure] = {"failed": str(error)}
        progress(f"{peer.title} on {peer.store}: {measure}: {figures[measure]}")
    return {**report, "settings": settings, "figures": figures}


@contextmanager
def a_file(folder: Path) -> Iterator[str]:
    with tempfile.TemporaryDirectory(dir=folder) as own:
        yield str(Path(own) / "jobs.db")


def databases(stack: ExitStack) -> Callable[[], AbstractContextManager[str]]:
    """A server for the run; each measure gets a database of its own."""
    cluster = stack.enter_context(a_cluster(*DURABLE))
    numbers = count(1)

    @contextmanager
    def a_database() -> Iterator[str]:
        name = f"bench_{next(numbers)}"
        with psycopg.connect(cluster.url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        yield f"{cluster.server}/{name}"
        with psycopg.connect(cluster.url, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")

    return a_database


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # every process that was started is ended on the way out
    sys.exit(main())
