"""What a run of each kind of body shows while it runs and when it has ended: bars, lines, results, causes.

One node in a process of its own runs `works`; its bodies go on until a file is there, so every picture holds still.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from shiftboss import Orchestrator
from shiftboss.cli.root import root

from .conftest import APPS, PATIENCE_S, Result
from .test_processes import Running
from .test_terminal import Terminal

pytest.importorskip("psutil")
pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")

SAY = ("coroutine", "thread", "process")  # kinds that say how far they are
MUTE = ("command", "pool")
BAR = "██████░░░░░░░░░░░░░░"
LOOK_S = 0.02  # between looks at what happens in another process


class Works:
    """A folder with the app, a store, and a node on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "app.py").write_text((APPS / "works.py").read_text())
        self.node = self.start_node()

    def start_node(self) -> Running:
        node = Running("run", "--shutdown-timeout", "3s", cwd=self.folder)
        node.says("joined")
        return node

    def call(self, *args: str) -> Result:
        """The command, in this process and off a terminal."""
        env = {"SHIFTBOSS_STORE": str(self.folder / "shiftboss.db"), "SHIFTBOSS_USER": "ada", "TZ": "UTC"}
        found = CliRunner().invoke(root, args, env=env, prog_name="shiftboss")
        return Result(found.exit_code, found.stdout, found.stderr)

    def shows(self, *args: str) -> str:
        return self.call(*args).out

    def trigger(self, worker: str) -> str:
        return self.call("trigger", worker).out.strip()

    def run(self, run: str) -> dict:
        return self.call("show", run, "--json").json

    def until(self, run: str, happened) -> dict:
        """Look at the run until *happened*; the page as JSON."""
        until = time.monotonic() + PATIENCE_S
        while not happened(page := self.run(run)):
            assert time.monotonic() < until, page["run"]
            time.sleep(LOOK_S)
        return page

    def ended(self, worker: str) -> str:
        """The id of a run of it that has ended."""
        run = self.trigger(worker)
        self.until(run, lambda page: page["run"]["status"] not in ("pending", "running"))
        return run

    def close(self) -> None:
        self.node.process.send_signal(signal.SIGTERM)
        self.node.process.wait(PATIENCE_S)
        self.node.__exit__()


@pytest.fixture(scope="module")
def works(tmp_path_factory):
    works = Works(tmp_path_factory.mktemp("works"))
    yield works
    works.close()


@pytest.fixture(scope="module")
def running(works):
    """A run of each kind that goes on, by kind."""
    runs = {kind: works.trigger(kind) for kind in (*SAY, *MUTE)}
    for kind in SAY:
        works.until(runs[kind], lambda page: page["run"]["progress"] is not None and page["log"])
    works.until(runs["command"], lambda page: page["log"])
    works.until(runs["pool"], lambda page: page["run"]["status"] == "running")
    return runs


@pytest.fixture
def terminal(works):
    opened = []

    def open_(*args):
        opened.append(Terminal(*args, cwd=works.folder, columns=120))
        return opened[-1]

    yield open_
    for each in opened:
        each.close()


# ── while it runs ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", SAY)
def test_a_run_that_says_how_far_it_is_has_a_bar_on_a_terminal(terminal, running, kind):
    screen = terminal("show", running[kind])

    assert screen.ends() == 0
    assert f"progress {BAR} 30 % page 3" in " ".join(screen.text.split())


@pytest.mark.parametrize("kind", SAY)
def test_off_a_terminal_it_is_said_in_words_and_when(works, running, kind):
    shown = works.shows("show", running[kind])

    assert "progress  30 % page 3 (" in shown
    assert "░" not in shown
    assert "of 10 min on node" in shown


@pytest.mark.parametrize("kind", MUTE)
def test_a_run_that_says_nothing_has_no_bar_and_is_shown_all_the_same(terminal, running, kind):
    screen = terminal("show", running[kind])

    assert screen.ends() == 0
    assert "progress" not in screen.text
    assert "of 10 min on node" in screen.text


def test_watching_draws_the_bars_of_all_that_runs(terminal, running):
    screen = terminal("status", "--watch")
    for kind in SAY:
        screen.shows(kind)
    screen.shows("Ctrl-C ends")
    screen.process.send_signal(signal.SIGINT)

    assert screen.ends() == 0
    page = screen.text.rpartition("RUNNING")[2]
    rows = {line.split()[0]: line for line in page.splitlines() if line.split() and line.split()[0] in running}
    assert rows.keys() == running.keys()
    assert [BAR in rows[kind] and "30 % page 3" in rows[kind] for kind in SAY] == [True] * 3
    assert [("█" in rows[kind] or "░" in rows[kind]) for kind in MUTE] == [False] * 2


@pytest.mark.parametrize("kind", [*SAY, *MUTE])
def test_json_has_the_progress_as_it_was_said(works, running, kind):
    status = works.call("status", "--json").json
    [seen] = [run for run in status["running"] if run["worker"] == kind]
    page = works.run(running[kind])

    said = seen["progress"]
    assert page["run"]["progress"] == said
    assert (page["executor"].partition(":")[0], page["timeout_s"]) == (kind, 600.0)
    if kind in MUTE:
        assert said is None
    else:
        assert (said["done"], said["total"], said["message"]) == (3.0, 10.0, "page 3")
        assert said["at"].endswith("Z")


def test_the_list_of_runs_has_it_in_short(works, running):
    rows = {line.split()[1]: line for line in works.shows("runs", "--status", "running").splitlines()[1:]}

    assert [rows[kind].endswith("30 % page 3") for kind in (*SAY, *MUTE)] == [True, True, True, False, False]


@pytest.mark.parametrize("kind", [*SAY, "command"])
def test_what_it_has_logged_so_far_stands_on_its_page_and_in_its_log(works, running, kind):
    text = "begun" if kind == "command" else "begun as attempt 1"

    assert text in works.shows("show", running[kind]).partition("\n  log\n")[2]
    assert text in works.shows("logs", running[kind])


def test_following_is_left_by_ctrl_c_and_that_is_no_failure(terminal, running):
    screen = terminal("logs", running["thread"], "-f").shows("begun as attempt 1")

    screen.process.send_signal(signal.SIGINT)

    assert screen.ends() == 0
    assert "Traceback" not in screen.text


# ── when it has ended ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def done(works, running):
    """The same runs at their end, each followed until then, and the result of each for another process."""
    following = {kind: Running("logs", running[kind], "-f", cwd=works.folder) for kind in (*SAY, "command")}
    for each in following.values():
        each.says("begun")
    (works.folder / "go").touch()
    outside = Orchestrator(f"sqlite:///{works.folder / 'shiftboss.db'}")
    results = {kind: outside.sync.result(int(run), timeout=PATIENCE_S) for kind, run in running.items()}
    outside.sync.close()
    codes = {kind: each.ends() for kind, each in following.items()}
    for each in following.values():
        each.__exit__()
    return results, codes


def test_its_result_is_there_for_another_process(done):
    results, _ = done

    assert [len(results[kind]) for kind in SAY] == [50_000] * 3
    assert results["command"] == {"exit_code": 0, "stdout": "result\n", "stderr": "begun\n"}
    assert results["pool"] is None


def test_following_a_run_ends_when_it_has_ended(done):
    _, codes = done

    assert codes == dict.fromkeys((*SAY, "command"), 0)


@pytest.mark.parametrize("kind", SAY)
def test_its_last_progress_is_kept(works, running, done, kind):
    said = works.run(running[kind])["run"]["progress"]

    assert (said["done"], said["message"]) == (10.0, "all pages")
    assert "progress  100 % all pages\n" in works.shows("show", running[kind])


def test_a_log_follows_a_run_from_attempt_to_attempt(works):
    run = works.trigger("again")

    following = works.call("logs", run, "-f")

    assert following.code == 0
    assert [line.split(" ", 2)[2] for line in following.out.splitlines()] == [
        f"{run} WARNING attempt 1",
        f"{run}.2 WARNING attempt 2",
    ]
    page = works.shows("show", run)
    assert "attempt 1 failed: ValueError: the first attempt fails" in page
    assert "log of attempt 2\n" in page


def test_a_log_follows_a_worker_from_process_to_process(works):
    """Any process may run it: what they log is one log."""
    following = Running("logs", "again", "-f", cwd=works.folder)
    try:
        first = works.trigger("again")
        following.says(f" {first}.2 WARNING attempt 2")
        works.close()
        works.node = works.start_node()
        second = works.trigger("again")
        following.says(f" {second}.2 WARNING attempt 2")
        assert following.ends(signal.SIGINT) == 0
    finally:
        following.__exit__()


@pytest.mark.parametrize("worker", ["chatty", "chatty-command"])
def test_of_five_thousand_lines_the_last_thousand_are_kept_and_the_others_counted(works, worker):
    run = works.ended(worker)

    log = works.call("logs", run)

    assert [line.rpartition(" ")[2] for line in log.out.splitlines()] == [str(n) for n in range(4001, 5001)]
    assert log.err == f"4,000 lines of run {run} missing here: only the last 1,000 lines of each attempt are kept\n"
    lines = works.call("logs", run, "--json").lines
    assert (lines[0]["number"], lines[-1]["number"]) == (4001, 5000)
    assert f"log  (4,992 lines more; the last 1,000 are kept: shiftboss logs {run})" in works.shows("show", run)


def test_what_a_body_logs_is_tagged_with_its_run_by_the_node_whatever_it_begins_with(works):
    run = works.trigger("fails")

    works.node.says(f"WARNING fails run {run}: fails looks at order 17")


# ── causes ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_of_a_failed_run_the_error_stands_first_then_how_far_it_came_where_it_was_and_what_it_said(works):
    run = works.ended("fails")

    head, error, *rest = works.shows("show", run).splitlines()

    page = "\n".join(rest)
    assert head == f"fails  run {run}  dead (error)"
    assert error == "  ValueError: order 17 has no address"
    assert "progress     30 % order 17" in page
    where = page.partition("where it failed\n")[2]
    assert 'raise ValueError("order 17 has no address")' in where
    assert "WARNING fails looks at order 17" in where.partition("\n  log\n")[2]


def test_of_a_run_that_timed_out_it_says_where_it_was_then(works):
    run = works.ended("hangs")

    page = works.shows("show", run)

    assert page.startswith(
        f"hangs  run {run}  dead (timeout)\n  TimeoutError: did not end within its timeout of 0.3 s\n"
    )
    assert "in the_call_that_hangs" in page.partition("where it was when it timed out\n")[2]


def test_of_a_body_that_ended_its_process_it_says_by_which_signal(works):
    head, error, *_ = works.shows("show", works.ended("crashes")).splitlines()

    assert head.endswith(("dead (error)", "dead (crash)"))
    assert error == "  ChildDied: SIGSEGV"


def test_of_a_command_that_failed_it_shows_the_code_and_the_end_of_both_streams(works):
    run = works.ended("complains")

    head, error, *rest = works.shows("show", run).splitlines()

    page = "\n".join(rest)
    assert head == f"complains  run {run}  dead (error)"
    assert error == "  CommandFailed: exit code 3"
    complaint, _, output = page.partition("\n  stdout")
    assert "stderr  (28 lines more above; --json has them)\n    trouble 29\n" in complaint
    assert complaint.rstrip().endswith("trouble 40")
    assert "row 37\n    row 38\n    row 39\n    row 40" in output
    assert "row 36" not in output
    assert "\n  log" not in page


def test_a_run_that_was_cancelled_says_by_whom_when_and_why(works):
    (works.folder / "go").unlink(missing_ok=True)
    run = works.trigger("process")
    works.until(run, lambda page: page["run"]["progress"] is not None)
    works.call("cancel", run, "--reason", "wrong file")
    works.until(run, lambda page: page["run"]["status"] == "cancelled")

    page = works.shows("show", run)

    assert page.startswith(f"process  run {run}  cancelled\n")
    assert "by ada: wrong file" in page
    assert "progress  30 % page 3" in page


@pytest.mark.parametrize(("worker", "told"), [("goes-on", "timed out"), ("thread", "was cancelled")])
def test_of_a_body_that_was_told_to_end_and_goes_on_it_says_so_and_what_ends_it(works, worker, told):
    (works.folder / "go").unlink(missing_ok=True)
    run = works.trigger(worker)
    works.until(run, lambda page: page["run"]["status"] == "running")
    if worker == "thread":
        works.call("cancel", run)
    works.until(run, lambda page: page["run"]["claim"]["zombie_since"] is not None)

    page, status = works.shows("show", run), works.call("health").out
    (works.folder / "go").touch()
    ended = works.until(run, lambda page: page["run"]["status"] in ("dead", "cancelled"))

    assert f": it {told}, but a thread ends only by itself or with its process" in page
    assert f"run {run} {told} but its code is still running (zombie)" in status
    assert ended["run"]["cause"] == {"timed out": "timeout", "was cancelled": "cancelled"}[told]
