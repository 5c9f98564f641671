"""What the processes of the tests do: `python store_process.py TASK PATH …`; they talk in lines and never sleep.

ready → (a line on stdin) → … ; whatever a task acknowledges stands on a line of its own.
"""

from __future__ import annotations

import ctypes
import fcntl
import multiprocessing
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import apsw
from store_values import NODE, a_node, a_run, ended, started

from shiftboss.clock import SystemClock
from shiftboss.core.snapshot import Change
from shiftboss.ports.faces import HistoryFilter
from shiftboss.stores.sqlite import notifier
from shiftboss.stores.sqlite.connection import Database
from shiftboss.stores.sqlite.notifier import Listener
from shiftboss.stores.sqlite.store import SqliteStore


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


def hammer(path: str, times: str, batch: str, beside: AbstractContextManager[None] | None = None) -> None:
    """Many small transactions, each storing runs and ending those of the one before; *beside* it all."""
    store = opened(path)
    session = store.session()
    with beside or nullcontext():
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


def end_engine(path: str, node: str = NODE) -> None:
    """Its engine has ended, its process goes on."""
    store = opened(path)
    with store.hold(node):
        ready()
        store.engine_ended(node)
        ready()


def hold(path: str, node: str = NODE) -> None:
    store = opened(path)
    with store.session().begin() as tx:
        tx.write(Change(nodes=(a_node(node),)), new=())
    with store.hold(node):
        ready()
    say("left")


def is_dead(path: str, node: str) -> None:
    say(opened(path).is_dead(node))


def is_frozen(path: str, node: str) -> None:
    say(opened(path).is_frozen(node))


def hold_and_trace(path: str, pid: str) -> None:
    """As a debugger does, until it is told to let go."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ptrace(16, int(pid), None, None):  # PTRACE_ATTACH
        say("refused")
        return
    os.waitpid(int(pid), 0x40000000)  # __WALL
    ready()
    libc.ptrace(17, int(pid), None, None)  # PTRACE_DETACH
    say("let go")


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


def wait_notified(path: str) -> None:
    """Waits for a notification alone, for as long as it takes."""
    listener = Listener(opened(path).notifier)
    listener.wait(0)  # begins to watch
    say("ready")
    say("notified" if not listener.wait(notifier.LOOK_S) or not listener.wait(0) else "nothing")


def listen_and_fork(path: str) -> None:
    store = opened(path)
    session = store.session()
    session.wait(0.001)
    listener = session._listener
    descriptors = (*listener._pipe, listener._watch.descriptor)
    child = os.fork()
    if child == 0:
        session.wake()
        is_open = [is_there(descriptor) for descriptor in descriptors]
        os._exit(any(is_open))
    _, status = os.waitpid(child, 0)
    has = "some" if status else "none"
    say(f"child has {has} of {len(descriptors)}, parent was woken: {listener.is_woken or not listener.wait(0)}")
    store.close()


def is_there(descriptor: int) -> bool:
    with suppress(OSError):
        os.fstat(descriptor)
        return True
    return False


def count(path: str) -> None:
    store = opened(path)
    with store.session().read() as reader:
        say(len(reader.history(HistoryFilter(limit=1 << 30))))
    store.close()


# ── looking at the files of a store ──────────────────────────────────────────────────────────────────────────────


def hammer_and_look(path: str, times: str, batch: str, look: str) -> None:
    """As a body does that reads or copies the folder of its store, again and again."""
    hammer(path, times, batch, beside=looking_all_the_time(LOOKS[look], Path(path).parent))


@contextmanager
def looking_all_the_time(look: Callable[[Path], None], folder: Path) -> Iterator[None]:
    is_over = threading.Event()

    def look_all_the_time() -> None:
        while not is_over.is_set():
            look(folder)

    thread = threading.Thread(target=look_all_the_time)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def read_all(folder: Path) -> None:
    for file in folder.rglob("*"):
        with suppress(OSError):  # it came and went
            file.read_bytes()


def copy_all(folder: Path) -> None:
    with suppress(shutil.Error, OSError):
        shutil.copytree(folder, folder.parent / "copy of all", dirs_exist_ok=True)


def look_with_another_sqlite(folder: Path) -> None:
    connection = sqlite3.connect(folder / "boss.db")
    with suppress(sqlite3.OperationalError):  # it meets a lock
        connection.execute("SELECT count(*) FROM run").fetchall()
    connection.close()


LOOKS = {look.__name__: look for look in (read_all, copy_all, look_with_another_sqlite)}


def try_to_write(path: str) -> None:
    _try(path, lambda database: database._locks.try_writer())


def try_to_move_the_log(path: str) -> None:
    _try(path, lambda database: database.checkpoint())


def _try(path: str, action: Callable[[Database], bool]) -> None:
    database = Database(Path(path))
    for _ in range(2):
        ready()
        say(action(database))
    database.close()


# ── children ─────────────────────────────────────────────────────────────────────────────────────────────────────


def hold_with_a_child(path: str, way: str) -> None:
    """The child would outlive everything; it says its process id once it is there."""
    store = opened(path)
    with store.session().begin() as tx:
        tx.write(Change(nodes=(a_node(NODE),)), new=())
    with store.hold(NODE), store.session().begin():
        _start_a_child(way)
        sys.stdin.readline()


def _start_a_child(way: str) -> None:
    if way == "fork":
        if os.fork() == 0:
            _stay()
    elif way == "program":
        subprocess.Popen([sys.executable, __file__, "stay", ""], close_fds=False, stdin=subprocess.DEVNULL)
    else:
        multiprocessing.get_context(way.split()[1]).Process(target=_stay).start()


def _stay() -> None:
    say(os.getpid())
    for descriptor in (0, 1, 2):  # so that nobody waits for its lines
        os.close(descriptor)
    while True:
        time.sleep(60)


def stay(_: str) -> None:
    _stay()


# ── the version before, and SQLite alone ─────────────────────────────────────────────────────────────────────────


def hold_as_before(path: str, node: str) -> None:
    """What a node of the version before does with its file: a POSIX lock on all of it."""
    folder = Path(f"{path}.nodes")
    folder.mkdir(exist_ok=True)
    with (folder / node).open("w") as file:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        ready()


def is_dead_as_before(path: str, node: str) -> None:
    with Path(f"{path}.nodes", node).open() as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            say(False)
        else:
            say(True)


def begin_as_sqlite_does(path: str) -> None:
    connection = apsw.Connection(path)
    try:
        connection.execute("BEGIN IMMEDIATE")
        say("begun")
    except apsw.BusyError as error:
        say(type(error).__name__)
    connection.close()


def write_and_close_as_sqlite_does(path: str, run: str) -> None:
    connection = apsw.Connection(path)
    connection.set_busy_timeout(60_000)
    with connection:
        columns = "worker, queue, due_at, occurs_at, origin, key, give_up_at, replay_of, caused_by, data"
        connection.execute(
            f"INSERT INTO run (id, {columns}) SELECT ?, {columns} FROM run WHERE id = 1",  # noqa: S608
            (int(run),),
        )
    connection.pragma("wal_checkpoint(PASSIVE)")
    connection.close()
    say("done")


TASKS: dict[str, Callable[..., None]] = {
    task.__name__: task
    for task in (
        *(start, open_and_close, hammer, write_until_killed, hold, is_dead, commit_once, fork_and_go_on, count),
        *(wait_notified, listen_and_fork),
        *(is_frozen, hold_and_trace, end_engine),
        *(hammer_and_look, try_to_write, try_to_move_the_log, hold_with_a_child, stay),
        *(hold_as_before, is_dead_as_before, begin_as_sqlite_does, write_and_close_as_sqlite_does),
    )
}

if __name__ == "__main__":
    TASKS[sys.argv[1]](*sys.argv[2:])
