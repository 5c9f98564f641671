"""Real processes on one file: at once, killed in the middle, forked, dead or alive."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import psutil
import pytest
from store_values import NODE, OTHER, FrozenClock, a_node, a_run, fetch, store_runs, write

from shiftboss.core.model import Status
from shiftboss.errors import Forked
from shiftboss.ports.faces import HistoryFilter
from shiftboss.stores.sqlite.store import SqliteStore

SCRIPT = Path(__file__).with_name("store_process.py")
PATIENCE_S = 120.0  # passes only where something is broken

Process = subprocess.Popen[str]
Spawn = Callable[..., Process]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "boss.db"


@pytest.fixture
def spawn(path: Path) -> Iterator[Spawn]:
    processes: list[Process] = []

    def spawn(task: str, *arguments: object) -> Process:
        process = subprocess.Popen(
            [sys.executable, str(SCRIPT), task, str(path), *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        return process

    yield spawn
    for process in processes:
        process.kill()
        process.communicate(timeout=PATIENCE_S)


def next_line(process: Process) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        output, errors = process.communicate(timeout=PATIENCE_S)
        raise subprocess.CalledProcessError(process.returncode, process.args, output, errors)
    return line.strip()


def until_state(pid: int, *, stopped: bool) -> None:
    until_s = time.monotonic() + PATIENCE_S
    while (psutil.Process(pid).status() == psutil.STATUS_STOPPED) != stopped:
        assert time.monotonic() < until_s
        time.sleep(0.001)


def all_ready(*processes: Process) -> None:
    assert [next_line(process) for process in processes] == ["ready"] * len(processes)


def let_go(*processes: Process) -> None:
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()


def lines_of(process: Process) -> list[str]:
    """All that it still says, once it has ended well."""
    out, errors = process.communicate(timeout=PATIENCE_S)
    if process.returncode or errors:
        raise subprocess.CalledProcessError(process.returncode, process.args, out, errors)
    return out.split("\n")[:-1]


def run_ids(store: SqliteStore) -> list[int]:
    with store.session().read() as reader:
        return [run.id for run in reader.history(HistoryFilter(limit=1 << 30))]


def integrity(path: Path) -> list[str]:
    connection = apsw.Connection(str(path))
    found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check")]
    connection.close()
    return found


# ── at once ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_four_processes_that_start_at_once_make_one_store(spawn: Spawn, path: Path):
    processes = [spawn("start") for _ in range(4)]
    all_ready(*processes)
    let_go(*processes)
    stored = sorted(line for process in processes for line in lines_of(process))

    assert stored == [f"stored {n}" for n in (1, 2, 3, 4)]
    left = {file.name for file in path.parent.iterdir()} - {"boss.db-wal", "boss.db-shm"}  # two closed at once
    assert left == {"boss.db", "boss.db.notify", "boss.db.reserve"}


def test_processes_that_come_and_go_never_see_a_lock(spawn: Spawn, path: Path):
    processes = [spawn("open_and_close", 25) for _ in range(4)]
    all_ready(*processes)
    let_go(*processes)

    assert [lines_of(process) for process in processes] == [["done"]] * 4
    store = SqliteStore(path, clock=None)  # type: ignore[arg-type]  # nobody asks it for the time
    store.open(create=False)
    assert sorted(run_ids(store)) == list(range(1, 101))
    store.close()


def test_writers_that_hammer_one_file_never_see_a_lock(spawn: Spawn, sqlite: SqliteStore):
    processes = [spawn("hammer", 150, 3) for _ in range(3)]
    all_ready(*processes)
    let_go(*processes)
    said = [line.split() for process in processes for line in lines_of(process)]

    assert sorted(int(words[1]) for words in said) == list(range(1, 451))  # each number once: fences
    assert sorted(int(word) for words in said for word in words[2:]) == list(range(1, 1351))  # each id once
    with sqlite.session().read() as reader:
        assert len(reader.changes().running) == 9
    assert integrity(sqlite.path) == ["ok"]


def test_a_commit_of_another_process_rings(spawn: Spawn, sqlite: SqliteStore):
    process = spawn("commit_once")
    all_ready(process)
    session = sqlite.session()
    with session.read() as reader:
        reader.changes()
    before = session.changed_elsewhere()
    let_go(process)
    session.wait(PATIENCE_S)

    assert (before, session.changed_elsewhere()) == (False, True)
    with session.read() as reader:
        assert reader.changes().nodes == [a_node("elsewhere")]


# ── killed ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("commits", [1, 7, 40])
def test_after_kill_9_in_the_middle_of_writing_all_is_there_and_nothing_is_half(
    spawn: Spawn, sqlite: SqliteStore, commits: int
):
    process = spawn("write_until_killed")
    all_ready(process)
    let_go(process)
    said = [next_line(process).split() for _ in range(commits)]
    process.kill()
    out, _ = process.communicate(timeout=PATIENCE_S)
    said += [line.split() for line in out.split("\n")[:-1]]  # a last line without its end was not said
    acknowledged = {int(word) for words in said for word in words[2:]}
    session = sqlite.session()
    with session.read() as reader:
        stored = {run.id: run for run in reader.history(HistoryFilter(limit=1 << 30))}
        payloads = reader.payloads(list(stored))
        running = reader.changes().running

    assert acknowledged <= stored.keys()
    assert len(stored) % 50 == 0
    assert payloads == dict.fromkeys(stored, b"p")
    assert len(running) == 50
    assert all(run.status is Status.SUCCEEDED for run in stored.values() if run not in running)
    assert integrity(sqlite.path) == ["ok"]
    store_runs(session, a_run(1 << 40))


def test_a_node_is_dead_once_its_process_was_killed(spawn: Spawn, sqlite: SqliteStore):
    process = spawn("hold")
    all_ready(process)
    alive = sqlite.is_dead(NODE)
    process.kill()
    process.wait(PATIENCE_S)

    assert (alive, sqlite.is_dead(NODE), sqlite.is_dead(NODE)) == (False, True, True)


def test_a_node_is_frozen_while_its_process_lives_and_is_not_stopped(spawn: Spawn, sqlite: SqliteStore):
    """C4: that it is silent, who asks knows."""
    process = spawn("hold")
    all_ready(process)
    told = [sqlite.is_frozen(NODE)]
    for number in (signal.SIGSTOP, signal.SIGCONT):
        process.send_signal(number)
        until_state(process.pid, stopped=number == signal.SIGSTOP)
        told.append(sqlite.is_frozen(NODE))
    process.kill()
    process.wait(PATIENCE_S)

    assert [*told, sqlite.is_frozen(NODE)] == [True, False, True, False]


def test_a_node_that_is_traced_is_not_taken_for_frozen(spawn: Spawn, sqlite: SqliteStore):
    """C4: nobody knows whether its debugger lets it go on."""
    process = spawn("hold")
    all_ready(process)
    tracer = spawn("hold_and_trace", process.pid)
    if next_line(tracer) == "refused":
        pytest.skip("this machine lets nobody trace a process")
    traced = sqlite.is_frozen(NODE)
    let_go(tracer)
    let_go_line = next_line(tracer)

    assert (traced, let_go_line, sqlite.is_frozen(NODE)) == (False, "let go", True)


def test_a_node_whose_engine_has_ended_is_not_taken_for_frozen(spawn: Spawn, sqlite: SqliteStore):
    """C4, B6: a body may go on in its process, but nobody will report it."""
    process = spawn("end_engine")
    all_ready(process)
    before = sqlite.is_frozen(NODE)
    let_go(process)
    all_ready(process)

    assert (before, sqlite.is_frozen(NODE), sqlite.is_dead(NODE)) == (True, False, False)


@pytest.mark.parametrize(
    "written", ["{pid}\n", "{pid} {born}1 {namespace}\n", "{pid} {born} {namespace}1\n", "", "x y z\n", "1 2\n"]
)
def test_of_whoever_cannot_be_known_nobody_says_that_it_is_frozen(sqlite: SqliteStore, written: str):
    """C4: of an older version, another process with that number, another container's, damaged."""
    with sqlite.hold(NODE):
        file = Path(f"{sqlite.path}.nodes", NODE)
        pid, born, namespace = file.read_bytes().partition(b"\n")[0].decode().split()  # behind it: entered bodies
        assert sqlite.is_frozen(NODE)
        assert sqlite.shows_life
        file.write_text(written.format(pid=pid, born=born, namespace=namespace))

        assert not sqlite.is_frozen(NODE)
        assert sqlite.shows_life == (written == "{pid} {born}1 {namespace}\n")


def test_a_neighbour_that_cannot_see_this_process_is_reckoned_with_while_it_lives(spawn: Spawn, sqlite: SqliteStore):
    """B7: what a frozen node runs in processes may live on only where all see that it is frozen."""
    old = spawn("hold_as_before", "old")
    all_ready(old)
    beside = sqlite.shows_life
    old.kill()
    old.wait(PATIENCE_S)

    assert (beside, sqlite.shows_life) == (False, True)


def test_a_dead_nodes_file_stays_until_its_row_is_gone(spawn: Spawn, sqlite: SqliteStore):
    process = spawn("hold")
    all_ready(process)
    process.kill()
    process.wait(PATIENCE_S)
    file = Path(f"{sqlite.path}.nodes", NODE)
    with sqlite.hold("next"):
        beside_its_row = file.exists()
    write(sqlite.session(), gone_nodes=(NODE,))
    with sqlite.hold("after that"):
        pass

    assert (beside_its_row, file.exists()) == (True, False)


def test_a_node_that_left_in_order_leaves_no_file(sqlite: SqliteStore):
    with sqlite.hold(NODE):
        held = os.listdir(f"{sqlite.path}.nodes")

    assert (held, os.listdir(f"{sqlite.path}.nodes")) == ([NODE], [])


def test_a_node_that_left_its_row_behind_is_dead_to_the_others(sqlite: SqliteStore):
    """The store was away when it wanted to say goodbye."""
    write(sqlite.session(), nodes=(a_node(NODE),))
    with sqlite.hold(NODE):
        alive = sqlite.is_dead(NODE)

    assert (alive, sqlite.is_dead(NODE)) == (False, True)


def test_of_a_node_without_a_file_nobody_can_tell(sqlite: SqliteStore):
    assert not sqlite.is_dead("never heard of")


def test_asking_about_our_own_node_does_not_let_go_of_its_lock(spawn: Spawn, sqlite: SqliteStore):
    """A second descriptor, once closed, would: so it is never opened, also not by another store on the same file."""
    second = SqliteStore(sqlite.path, clock=None)  # type: ignore[arg-type]
    second.open(create=False)
    with sqlite.hold(NODE), sqlite.hold(OTHER):
        asked = [store.is_dead(node) for store in (sqlite, second) for node in (NODE, OTHER)]
        elsewhere = [lines_of(spawn("is_dead", node)) for node in (NODE, OTHER)]

    assert asked == [False] * 4
    assert elsewhere == [["False"], ["False"]]
    second.close()


# ── forked ───────────────────────────────────────────────────────────────────────────────────────────────────────


def in_a_fork(action: Callable[[], object]) -> str:
    """What *action* raises in a forked child."""
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            action()
            said = "nothing"
        except BaseException as error:
            said = type(error).__name__
        os.write(writes, said.encode())
        os._exit(0)
    os.close(writes)
    with os.fdopen(reads) as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return said


def test_nothing_of_a_store_is_used_in_a_forked_child(sqlite: SqliteStore):
    session = sqlite.session()

    def begin() -> None:
        with session.begin():
            pass

    def read() -> None:
        with session.read():
            pass

    uses = [
        begin,
        read,
        session.changed_elsewhere,
        sqlite.session,
        lambda: session.wait(0),
        lambda: sqlite.is_dead("x"),
    ]
    assert [in_a_fork(use) for use in uses] == [Forked.__name__] * len(uses)
    store_runs(session, a_run(1))


def test_a_child_that_closes_everything_and_ends_harms_nothing(spawn: Spawn, sqlite: SqliteStore):
    session = sqlite.session()
    with sqlite.hold(NODE):
        store_runs(session, a_run(1))
        closed = in_a_fork(sqlite.close)
        store_runs(session, a_run(2))
        elsewhere = lines_of(spawn("is_dead", NODE))

    assert (closed, elsewhere) == ("nothing", ["False"])
    assert len(fetch(session, 1, 2)) == 2
    assert integrity(sqlite.path) == ["ok"]


def test_a_child_that_ends_like_any_process_leaves_the_log_to_its_parent(spawn: Spawn, sqlite: SqliteStore):
    process = spawn("fork_and_go_on")
    all_ready(process)
    before = len(fetch(sqlite.session(), 1, 2))
    let_go(process)
    said = next_line(process)
    all_ready(process)
    after = len(fetch(sqlite.session(), 1, 2))
    let_go(process)

    assert (before, said, after) == (1, "stored", 2)
    assert lines_of(process) == []
    assert integrity(sqlite.path) == ["ok"]


def test_a_forked_child_may_open_the_store_anew(sqlite: SqliteStore):
    store_runs(sqlite.session(), a_run(1))

    def use() -> None:
        store = SqliteStore(sqlite.path, clock=FrozenClock())
        store.open(create=False)
        store_runs(store.session(), a_run(2))
        store.close()

    assert in_a_fork(use) == "nothing"
    assert len(fetch(sqlite.session(), 1, 2)) == 2
