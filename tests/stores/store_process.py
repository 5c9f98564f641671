"""What the processes of the tests do: `python store_process.py TASK PATH …`; they talk in lines and never sleep.

ready → (a line on stdin) → … ; whatever a task acknowledges stands on a line of its own.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from store_values import NODE, a_node, a_run, ended, started

from shiftboss.clock import SystemClock
from shiftboss.core.snapshot import Change
from shiftboss.stores.sqlite import SqliteStore


def say(*words: object) -> None:
    print(*words, flush=True)


def ready() -> None:
    """Say so, and wait to be told to go on."""
    say("ready")
    sys.stdin.readline()


def opened(path: str, *, create: bool = True) -> SqliteStore:
    store = SqliteStore(path, clock=SystemClock())
    store.open(create=create)
    return store


def start(path: str) -> None:
    """Open (perhaps make) the store at the same moment as the others, and store one run."""
    ready()
    store = opened(path)
    with store.session().begin() as tx:
        run_id = next(tx.ids())
        tx.write(Change(runs=(a_run(run_id),)), new={run_id})
    say("stored", run_id)
    store.close()


def open_and_close(path: str, times: str) -> None:
    """The last one to close removes the log while the others open: the crowded moments of SQLite."""
    ready()
    for _ in range(int(times)):
        store = opened(path)
        session = store.session()
        with session.begin() as tx:
            run_id = next(tx.ids())
            tx.write(Change(runs=(a_run(run_id),)), new={run_id})
        with session.read() as reader:
            reader.runs([run_id])
        store.close()
    say("done")


def hammer(path: str, times: str, batch: str) -> None:
    """Many small transactions, each storing runs and ending those of the one before."""
    store = opened(path)
    session = store.session()
    ready()
    running: tuple = ()
    for _ in range(int(times)):
        with session.begin() as tx:
            tx.changes()
            ids = tx.ids()
            new = tuple(started(a_run(next(ids), payload=b"p"), fence=tx.number) for _ in range(int(batch)))
            tx.write(Change(runs=(*new, *(ended(run) for run in running))), new={run.id for run in new})
            number = tx.number
        say("committed", number, *(run.id for run in new))
        running = new
        session.changed_elsewhere()
    store.close()


def write_until_killed(path: str) -> None:
    hammer(path, str(1 << 30), "50")


def hold(path: str, node: str = NODE) -> None:
    store = opened(path)
    with store.session().begin() as tx:
        tx.write(Change(nodes=(a_node(node),)), new=())
    with store.hold(node):
        ready()
    say("left")


def is_dead(path: str, node: str) -> None:
    say(opened(path).is_dead(node))


def commit_once(path: str) -> None:
    """From another process, when told to."""
    store = opened(path)
    session = store.session()
    ready()
    with session.begin() as tx:
        tx.write(Change(nodes=(a_node("elsewhere"),)), new=())
    store.close()


def fork_and_go_on(path: str) -> None:
    """The child ends like any Python process, with everything of its parent's still in its memory."""
    store = opened(path)
    session = store.session()
    with session.begin() as tx:
        tx.write(Change(runs=(a_run(1),)), new={1})
    child = os.fork()
    if child == 0:
        sys.exit(0)
    os.waitpid(child, 0)
    ready()
    with session.begin() as tx:
        tx.write(Change(runs=(a_run(2),)), new={2})
    say("stored")
    ready()
    store.close()


TASKS: dict[str, Callable[..., None]] = {
    task.__name__: task
    for task in (start, open_and_close, hammer, write_until_killed, hold, is_dead, commit_once, fork_and_go_on)
}

if __name__ == "__main__":
    TASKS[sys.argv[1]](*sys.argv[2:])
