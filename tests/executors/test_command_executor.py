"""Programs as bodies: what they are given, what their end means, and that nothing of them is left.

Nothing here sleeps: it waits for what is to happen, at most PATIENCE_S.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from process_table import gone
from shiftboss import Orchestrator, RetryPolicy, RunFailed
from shiftboss.clock import SystemClock
from shiftboss.core.model import (
    Cancelled,
    Claim,
    Failed,
    Interrupted,
    Origin,
    Outcome,
    Run,
    Status,
    Succeeded,
    TimedOut,
    Unfit,
)
from shiftboss.core.policy import Priority
from shiftboss.core.worker import Definition
from shiftboss.errors import ConfigurationError, WrongPayload
from shiftboss.executors import process_tree, warden
from shiftboss.executors.capture import Capture, LineBuffer
from shiftboss.executors.command import Command, CommandBody, command
from shiftboss.executors.command_executor import CommandExecutor
from shiftboss.executors.warden_client import WardenClient
from shiftboss.ports.executor import Launch, StopReason

PATIENCE_S = 30.0
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def until(fact: Callable[[], object], what: str) -> None:
    end = time.monotonic() + PATIENCE_S
    pause = threading.Event()
    while not fact():
        assert time.monotonic() < end, f"{what} did not come true"
        pause.wait(0.01)


class Started:
    """One attempt, and what was said about it."""

    def __init__(self, launch: Launch) -> None:
        self.launch = launch
        self.reports: list[Outcome] = []
        self.signals: list[str] = []
        self.reported = threading.Event()
        launch.report = self._report
        self.lines: list[str] = []
        self.numbers: list[int] = []  # of those lines
        launch.signal = self._signal

    def _report(self, outcome: Outcome, duration_s: float) -> None:
        self.reports.append(outcome)
        self.reported.set()

    def _signal(self, kind: str, value: Any) -> None:
        self.signals.append(kind)
        if kind == "log":
            self.lines.append(value.text)
            self.numbers.append(value.number)

    def outcome(self) -> Outcome:
        assert self.reported.wait(PATIENCE_S), "no report came"
        return self.reports[0]


class Bench:
    def __init__(self, folder: Path) -> None:
        self.executor = CommandExecutor(3, SystemClock())
        self.folder = folder
        self._ids = iter(range(1, 1000))

    def launch(
        self,
        what: Command,
        *,
        payload: bytes | None = None,
        timeout_s: float | None = None,
        grace_s: float = 60.0,
        fallback: Command | None = None,
    ) -> Started:
        number = next(self._ids)
        run = Run(
            id=number,
            worker="tester",
            origin=Origin.TRIGGER,
            status=Status.RUNNING,
            priority=Priority.NORMAL,
            created_at=NOON,
            due_at=NOON,
            occurs_at=NOON,
            attempt=2,
            payload=payload,
            claim=Claim(node="node-1", fence=1000 + number, at=NOON, fallback=fallback is not None),
        )
        return Started(
            Launch(
                run=run,
                definition=Definition("tester", cancel_grace_s=grace_s),
                body=CommandBody(what, worker="tester", fallback=fallback),
                report=lambda outcome, duration_s: None,
                signal=lambda kind, value: None,
                timeout_s=timeout_s,
            )
        )

    def start(self, what: Command, **options: object) -> Started:
        started = self.launch(what, **options)
        self.executor.start([started.launch])
        return started

    def run(self, what: Command, **options: object) -> Outcome:
        return self.start(what, **options).outcome()

    def shell(self, script: str, **options: object) -> Command:
        """A command that is a shell's script; what it starts names the folder, and is found by that."""
        return command(["sh", "-c", script], cwd=self.folder, env={"HERE": str(self.folder)}, **options)

    def stop(self, started: Started, reason: StopReason) -> None:
        run = started.launch.run
        self.executor.stop(run.id, run.claim.fence, reason)

    def file(self, name: str) -> str:
        """The content of a file that a command writes at once."""
        path = self.folder / name
        until(lambda: path.exists() and path.read_text().endswith("\n"), f"the file {name}")
        return path.read_text().strip()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    made.executor.open()
    yield made
    made.executor.kill()
    made.executor.close(PATIENCE_S)
    assert left_in(tmp_path) == []


def left_in(folder: Path) -> list[psutil.Process]:
    """Processes that work in *folder*, where every command of a bench does."""
    found = []
    for each in psutil.process_iter():
        try:
            if each.status() != psutil.STATUS_ZOMBIE and each.cwd() == str(folder):
                found.append(each)
        except psutil.Error:
            continue
    return found


def result_of(outcome: Outcome) -> dict[str, object]:
    assert isinstance(outcome, Succeeded), outcome
    return json.loads(outcome.result)


def python(script: str, *arguments: object) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", textwrap.dedent(script), *map(str, arguments)]


# ── what a program is given ──────────────────────────────────────────────────────────────────────────────────────


def test_a_program_that_ends_with_0_has_succeeded_and_its_output_is_the_result(bench):
    outcome = bench.run(command(["sh", "-c", "echo out; echo err >&2"]))

    assert outcome == Succeeded(b'{"exit_code":0,"stderr":"err\\n","stdout":"out\\n"}')


def test_the_payload_comes_on_stdin_byte_for_byte(bench):
    payload = b'{"to": "\xc3\xa4",  "n":1}'

    outcome = bench.run(command(["od", "-An", "-v", "-tx1"]), payload=payload)

    assert bytes.fromhex(result_of(outcome)["stdout"]) == payload


def test_a_payload_larger_than_a_pipe_is_read_while_output_is_written(bench):
    payload = b'{"text":"' + b"x" * 900_000 + b'"}'

    outcome = bench.run(command(["sh", "-c", "tee copy | wc -c"], cwd=bench.folder), payload=payload)

    assert result_of(outcome)["stdout"].strip() == str(len(payload))
    assert (bench.folder / "copy").read_bytes() == payload


def test_a_program_that_does_not_read_its_payload_ends_as_its_code_says(bench):
    assert bench.run(command(["true"]), payload=b'{"text":"' + b"x" * 900_000 + b'"}') == Succeeded(
        b'{"exit_code":0,"stdout":""}'
    )


def test_without_a_payload_stdin_is_empty(bench):
    assert result_of(bench.run(command(["wc", "-c"])))["stdout"].strip() == "0"


def test_a_command_that_takes_no_payload_refuses_one(bench):
    silent = command(["cat"], stdin=None)

    assert isinstance(bench.run(silent, payload=b'{"a":1}'), Unfit)
    assert result_of(bench.run(silent))["stdout"] == ""
    with pytest.raises(WrongPayload, match="takes no payload"):
        CommandBody(silent, worker="tester").encode_payload((), {"a": 1})


def test_the_environment_tells_about_the_run_beside_what_was_given(bench, monkeypatch):
    monkeypatch.setenv("REMOVED", "1")
    monkeypatch.setenv("INHERITED", "2")

    outcome = bench.run(command(["env"], env={"GIVEN": "3", "REMOVED": None, "SHIFTBOSS_WORKER": "other"}))

    found = dict(line.split("=", 1) for line in result_of(outcome)["stdout"].splitlines() if "=" in line)
    assert (found["INHERITED"], found["GIVEN"], "REMOVED" in found) == ("2", "3", False)
    assert {name: found[f"SHIFTBOSS_{name}"] for name in ("RUN_ID", "WORKER", "ATTEMPT", "OCCURS_AT", "FENCE")} == {
        "RUN_ID": "1",
        "WORKER": "tester",
        "ATTEMPT": "2",
        "OCCURS_AT": "2026-03-01T12:00:00+00:00",
        "FENCE": "1001",
    }


def test_it_works_in_the_directory_that_was_given(bench):
    assert result_of(bench.run(command(["pwd"], cwd=bench.folder)))["stdout"] == f"{bench.folder}\n"


def test_no_word_of_a_command_is_read_by_a_shell(bench):
    outcome = bench.run(command(["echo", "$HOME; echo `id` *", "'"]))

    assert result_of(outcome)["stdout"] == "$HOME; echo `id` * '\n"


def test_it_inherits_no_file_of_ours_but_the_three(bench):
    assert result_of(bench.run(command(["sh", "-c", "ls /proc/$$/fd"])))["stdout"].split() == ["0", "1", "2"]


# ── what its end means ───────────────────────────────────────────────────────────────────────────────────────────


def test_another_exit_code_is_a_failure_with_the_last_lines_of_stderr(bench):
    outcome = bench.run(command(["sh", "-c", "echo fine; seq 9 >&2; exit 3"]))

    assert isinstance(outcome, Failed)
    assert (outcome.error.type, outcome.fatal) == ("shiftboss.CommandFailed", False)
    assert outcome.error.message == "exit code 3: 5\n6\n7\n8\n9"
    assert outcome.error.traceback == "── stderr\n1\n2\n3\n4\n5\n6\n7\n8\n9\n\n── stdout\nfine\n"


def test_a_death_by_signal_is_named(bench):
    outcome = bench.run(command(["sh", "-c", "kill -SEGV $$"]))

    assert isinstance(outcome, Failed)
    assert outcome.error.message == "ended by SIGSEGV, nothing on stderr"


@pytest.mark.parametrize(
    ("options", "script", "expected"),
    [
        ({}, "exit 1", "retry"),
        ({"success_codes": (0, 24)}, "exit 24", "success"),
        ({"fatal_codes": (2,)}, "exit 2", "fatal"),
        ({"fatal_codes": (2,)}, "exit 1", "retry"),
        ({"retry_codes": (75,)}, "exit 75", "retry"),
        ({"retry_codes": (75,)}, "exit 1", "fatal"),
        ({"retry_codes": (75,)}, "kill -KILL $$", "fatal"),
        ({"retry_codes": (75, -9)}, "kill -KILL $$", "retry"),
    ],
)
def test_exit_codes_mean_what_the_declaration_says(bench, options, script, expected):
    outcome = bench.run(command(["sh", "-c", script], **options))

    meant = "success" if isinstance(outcome, Succeeded) else "fatal" if outcome.fatal else "retry"
    assert meant == expected


def test_a_missing_program_is_fatal_and_named(bench):
    outcome = bench.run(command(["no-such-program-here"]))

    assert isinstance(outcome, Failed)
    assert outcome.fatal
    assert outcome.error.type == "shiftboss.CommandNotStarted"
    assert outcome.error.message.startswith("there is no program 'no-such-program-here' in its PATH")


def test_a_missing_working_directory_is_named_instead_of_the_program(bench):
    outcome = bench.run(command(["true"], cwd=bench.folder / "gone"))

    assert isinstance(outcome, Failed)
    assert outcome.fatal
    assert "working directory" in outcome.error.message


def test_a_file_that_is_no_program_is_fatal(bench):
    script = bench.folder / "script"
    script.write_text("no first line")

    not_executable = bench.run(command([script]))
    script.chmod(0o755)
    no_first_line = bench.run(command([script]))

    assert (not_executable.fatal, no_first_line.fatal) == (True, True)
    assert "cannot be executed" in not_executable.error.message
    assert "'#!' line" in no_first_line.error.message


def test_the_fallback_is_started_in_its_place(bench):
    outcome = bench.run(command(["false"]), fallback=command(["echo", "instead"]), payload=b"{}")

    assert result_of(outcome)["stdout"] == "instead\n"


def test_an_exit_code_that_other_code_took_is_said(bench):
    attempt = bench.start(bench.shell("echo $$ > pid; exec sleep 1000"))
    pid = int(bench.file("pid"))

    os.kill(pid, signal.SIGTERM)
    with contextlib.suppress(ChildProcessError):  # ours was quicker: then the code is known
        os.waitpid(pid, 0)
    outcome = attempt.outcome()

    assert isinstance(outcome, Failed)
    assert "SIGTERM" in outcome.error.message or "other code in this process took" in outcome.error.message


# ── output ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_200_mb_of_output_neither_block_nor_stay(bench):
    outcome = bench.run(command(["sh", "-c", "echo first; head -c 200000000 /dev/zero | tr '\\0' x; echo last"]))

    kept = result_of(outcome)["stdout"]
    assert kept.startswith("first\nxxx")
    assert kept.endswith("xxxlast\n")
    assert "bytes left out" in kept
    assert len(outcome.result) <= 65536


def test_output_of_bytes_that_json_spells_long_fits_the_result_all_the_same(bench):
    outcome = bench.run(command(["sh", "-c", "head -c 300000 /dev/zero | tr '\\0' '\\1'; seq 100000 >&2"]))

    assert len(outcome.result) <= 65536
    assert result_of(outcome)["stderr"].endswith("100000\n")


def test_a_large_stderr_is_cut_and_its_end_is_in_the_message(bench):
    outcome = bench.run(
        command(["sh", "-c", "head -c 5000000 /dev/zero | tr '\\0' x >&2; echo 'no space left' >&2; exit 1"])
    )

    assert isinstance(outcome, Failed)
    assert outcome.error.message.endswith("no space left")
    assert len(outcome.error.traceback) < 20_000


def test_a_program_that_closes_its_output_and_lives_on_has_not_ended(bench):
    attempt = bench.start(bench.shell("exec >&- 2>&-; echo closed > said; read -r line < more; exit 0"))
    os.mkfifo(bench.folder / "more")
    bench.file("said")

    assert attempt.reports == []

    bench.stop(attempt, StopReason.CANCEL)

    assert attempt.outcome() == Cancelled()


def test_what_it_says_on_stderr_is_the_log_of_its_attempt(bench):
    attempt = bench.start(command(["sh", "-c", "echo result; echo one >&2; printf 'two\\nlast' >&2"]))

    attempt.outcome()

    assert attempt.lines == ["one", "two", "last"]


def test_what_it_says_on_stderr_is_passed_on_while_it_runs(bench):
    attempt = bench.start(bench.shell("echo early >&2; echo up > said; exec sleep 1000"))
    bench.file("said")

    def hears() -> bool:
        bench.executor.flush()
        return attempt.lines == ["early"]

    until(hears, "its line")
    bench.stop(attempt, StopReason.CANCEL)

    assert attempt.outcome() == Cancelled()


def test_of_very_many_lines_the_last_are_kept(bench):
    attempt = bench.start(command(["sh", "-c", "seq 1000000 >&2"]))

    attempt.outcome()

    assert attempt.lines[-100:] == [str(number) for number in range(999_901, 1_000_001)]
    assert len(attempt.lines) <= 1000


@pytest.mark.parametrize("size", [1, 7, 4096, 1 << 16])
def test_lines_that_are_pushed_out_before_they_are_passed_on_are_counted(size):
    lines = LineBuffer()
    text = "".join(f"{number}\n" for number in range(1, 5001)).encode() + b"no end"
    for start in range(0, len(text), size):
        lines.feed(text[start : start + size])
    first = lines.take()
    lines.feed(b" yet\nlast\n")

    assert first[0] == (4000, "4001")
    assert [line for _, line in first] == [str(number) for number in range(4001, 5001)]
    assert {left_out for left_out, _ in first[1:]} == {0}
    assert lines.take() == [(0, "no end yet"), (0, "last")]
    assert lines.take() == []


def test_the_log_of_a_command_numbers_its_lines_with_those_left_out(bench):
    attempt = bench.start(command(["sh", "-c", "seq 5000 >&2"]))

    attempt.outcome()

    assert attempt.numbers[-1] == 5000
    assert [str(number) for number in attempt.numbers] == attempt.lines


def test_what_was_cut_is_counted_and_no_character_is_halved():
    kept = Capture(16)
    for _ in range(100):
        kept.feed("ä".encode())

    assert kept.text() == "ää\n… 184 bytes left out …\nääääää"
    assert Capture(16).text() == ""


@pytest.mark.parametrize("size", [0, 1, 3, 4, 5, 15, 16])
def test_what_fits_is_kept_whole(size):
    kept = Capture(16)
    kept.feed(b"abcdefghijklmnop"[:size])

    assert kept.text() == "abcdefghijklmnop"[:size]


# ── nothing is left ──────────────────────────────────────────────────────────────────────────────────────────────

LEAVES_THREE = "sleep 1000 & setsid sleep 1000 & nohup sleep 1000 >/dev/null 2>&1 & "


def test_three_sleeps_left_behind_by_a_success_are_ended_before_its_report(bench):
    outcome = bench.run(bench.shell(LEAVES_THREE + "echo done"))

    assert left_in(bench.folder) == []
    assert result_of(outcome)["stdout"].endswith("done\n")


def test_three_sleeps_left_behind_by_a_failure_are_ended_too(bench):
    outcome = bench.run(bench.shell(LEAVES_THREE + "exit 4"))

    assert left_in(bench.folder) == []
    assert isinstance(outcome, Failed)


def test_three_sleeps_are_ended_with_what_timed_out(bench):
    outcome = bench.run(bench.shell(LEAVES_THREE + "wait"), timeout_s=0.2)

    assert left_in(bench.folder) == []
    assert isinstance(outcome, TimedOut)
    assert outcome.error.message == "did not end within its timeout of 0.2 s; when told to end, it ended by SIGTERM"


DAEMON = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
open(sys.argv[1] + ".new", "w").write(f"{os.getpid()}\\n")
os.rename(sys.argv[1] + ".new", sys.argv[1])
for number in (0, 1, 2):
    os.close(number)
time.sleep(1000)
"""


# What it starts ends at its first fork: who ended now would not have left a daemon, but one that is on its way.
STARTS_A_DAEMON = """
import os, subprocess, sys, time
subprocess.run(sys.argv[1:])
while not os.path.exists("pid"):
    time.sleep(0.01)
"""


def test_a_daemon_that_forked_twice_and_ignores_term_is_ended(bench):
    daemon = python(DAEMON, bench.folder / "pid")
    program = python(STARTS_A_DAEMON, *daemon)

    assert isinstance(bench.run(command(program, cwd=bench.folder), grace_s=0.0), Succeeded)

    pid = int(bench.file("pid"))
    until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE, "its end")


def test_a_child_that_emptied_its_environment_and_left_is_known_by_its_parent(bench):
    attempt = bench.start(bench.shell("env -i setsid sleep 1000 & wait"))
    until(lambda: any(each.name() == "sleep" for each in left_in(bench.folder)), "the sleep")

    bench.stop(attempt, StopReason.CANCEL)

    assert attempt.outcome() == Cancelled()
    assert left_in(bench.folder) == []


def test_a_program_that_ignores_term_is_killed_after_its_grace(bench):
    attempt = bench.start(bench.shell("trap '' TERM; echo ready > said; while :; do sleep 1000; done"), grace_s=0.1)
    bench.file("said")

    bench.stop(attempt, StopReason.CANCEL)

    assert attempt.outcome() == Cancelled()
    assert left_in(bench.folder) == []


def test_a_program_that_ignores_term_past_its_timeout_was_killed(bench):
    outcome = bench.run(bench.shell("trap '' TERM; while :; do sleep 1000; done"), timeout_s=0.3, grace_s=0.1)

    assert isinstance(outcome, TimedOut)
    assert outcome.error.message.endswith("told to end, it did not, and was killed after its grace period")


def test_a_stopped_program_hears_its_stop(bench):
    attempt = bench.start(bench.shell("echo $$ > pid; kill -STOP $$; exit 0"))
    pid = int(bench.file("pid"))
    until(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED, "its pause")

    bench.stop(attempt, StopReason.CANCEL)

    assert attempt.outcome() == Cancelled()


@pytest.mark.parametrize("reason", [StopReason.SHUTDOWN, StopReason.LEASE])
def test_a_program_told_to_end_for_the_nodes_sake_is_handed_back_whatever_its_code(bench, reason):
    attempt = bench.start(bench.shell("trap 'exit 0' TERM; echo ready > said; while :; do sleep 0.01; done"))
    bench.file("said")

    bench.stop(attempt, reason)

    assert attempt.outcome() == Interrupted(reason=reason.value)


def test_an_operators_cancel_outranks_a_shutdown(bench):
    attempt = bench.start(bench.shell("trap '' TERM; echo ready > said; while :; do sleep 1000; done"))
    bench.file("said")

    bench.stop(attempt, StopReason.SHUTDOWN)
    bench.stop(attempt, StopReason.CANCEL)
    bench.executor.kill()

    assert attempt.outcome() == Cancelled()


def test_killing_ends_all_at_once_and_what_waits_never_began(bench):
    attempts = [bench.start(bench.shell(f"trap '' TERM; echo up > up{n}; exec sleep 1000")) for n in range(4)]
    for n in range(3):
        bench.file(f"up{n}")

    bench.executor.kill()

    assert [each.outcome() for each in attempts] == [
        *[Interrupted(reason="shutdown")] * 3,
        Interrupted(reason="shutdown", began=False),
    ]
    assert left_in(bench.folder) == []


def test_a_closed_executor_starts_nothing_and_can_be_opened_again(bench):
    bench.executor.close(PATIENCE_S)

    assert bench.run(command(["true"])) == Interrupted(reason="its executor is closed", began=False)

    bench.executor.open()

    assert isinstance(bench.run(command(["true"])), Succeeded)


def test_more_commands_than_slots_wait_for_one(bench):
    attempts = [bench.start(command(["echo", str(n)])) for n in range(20)]

    assert [result_of(each.outcome())["stdout"] for each in attempts] == [f"{n}\n" for n in range(20)]
    assert {len(each.reports) for each in attempts} == {1}


def test_no_file_and_no_zombie_is_left_of_many(bench):
    bench.run(bench.shell(LEAVES_THREE + "true"))
    before = len(os.listdir("/proc/self/fd"))

    for attempt in [bench.start(bench.shell(LEAVES_THREE + "true")) for _ in range(10)]:
        attempt.outcome()
    until(lambda: len(os.listdir("/proc/self/fd")) <= before, "the closing of all files")

    assert [each for each in psutil.Process().children() if each.status() == psutil.STATUS_ZOMBIE] == []


def test_where_processes_cannot_be_listed_the_group_is_ended_and_that_is_said_once(bench, monkeypatch, caplog):
    monkeypatch.setattr(warden, "PROC", "/nowhere")
    monkeypatch.setitem(sys.modules, "psutil", None)
    monkeypatch.setattr(process_tree, "_said_blind", threading.Event())

    for _ in range(2):
        assert isinstance(bench.run(bench.shell("sleep 1000 & sleep 1000 & echo done")), Succeeded)
    monkeypatch.undo()
    until(lambda: left_in(bench.folder) == [], "the end of the group")

    assert [each.message for each in caplog.records if "process group only" in each.message] == [
        caplog.records[0].message
    ]


def test_where_there_is_no_proc_psutil_shows_what_was_left(bench, monkeypatch):
    monkeypatch.setattr(warden, "PROC", "/nowhere")

    bench.run(bench.shell(LEAVES_THREE + "wait"), timeout_s=0.5)

    monkeypatch.undo()
    assert left_in(bench.folder) == []


# ── the node's end ───────────────────────────────────────────────────────────────────────────────────────────────

NODE = """
import os, sys, threading
from datetime import UTC, datetime
from pathlib import Path
sys.path[:0] = sys.argv[2].split(os.pathsep)
from test_command_executor import LEAVES_THREE, Bench

bench = Bench(Path(sys.argv[1]))
bench.executor.open()
script = LEAVES_THREE + "trap '' TERM; echo up > up$1; sleep 1000; sleep 1000"
for number in range(3):
    bench.start(bench.shell(script.replace("$1", str(number))))
threading.Event().wait()
"""


def a_node(folder: Path, script: str = NODE) -> subprocess.Popen[bytes]:
    here = Path(__file__).parent
    return subprocess.Popen([sys.executable, "-c", script, str(folder), f"{here}{os.pathsep}{here.parent}"], cwd="/")


def test_a_node_that_is_killed_leaves_no_command_alive(tmp_path):
    node = a_node(tmp_path)
    for number in range(3):
        until((tmp_path / f"up{number}").exists, "the commands")
    wardens = [each for each in psutil.Process(node.pid).children() if "warden.py" in " ".join(each.cmdline())]
    until(lambda: len([each for each in left_in(tmp_path) if each.name() == "sleep"]) == 12, "all sleeps")

    node.kill()
    node.wait()
    began = time.monotonic()
    until(lambda: left_in(tmp_path) == [], "the end of all")

    assert time.monotonic() - began < 5  # the issue's own figure
    assert len(wardens) == 1
    assert gone(each.pid for each in wardens)


ORPHANS = """
import ctypes, json, os, sys
from pathlib import Path
sys.path[:0] = sys.argv[2].split(os.pathsep)
import psutil
from test_command_executor import LEAVES_THREE, Bench

PR_SET_CHILD_SUBREAPER = 36
ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # orphans fall to this process, as to PID 1
bench = Bench(Path(sys.argv[1]))
bench.executor.open()
for end in ("true", "exit 3", "wait"):
    bench.run(bench.shell(LEAVES_THREE + end), timeout_s=1.0)
children = [each for each in psutil.Process().children() if "warden.py" not in " ".join(each.cmdline())]
bench.executor.close(5.0)
(Path(sys.argv[1]) / "left").write_text(json.dumps([str(each) for each in children]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="subreapers are Linux's")
def test_orphans_that_fall_to_this_process_are_reaped_as_by_pid_1(tmp_path):
    node = a_node(tmp_path, ORPHANS)

    assert node.wait(PATIENCE_S) == 0
    assert json.loads((tmp_path / "left").read_text()) == []


def test_a_warden_that_was_killed_is_replaced_at_the_next_command(bench):
    first = warden_client_of(bench)._warden
    first.kill()
    first.wait()

    bench.run(command(["true"]))

    assert warden_client_of(bench)._warden.pid != first.pid
    assert warden_client_of(bench)._warden.poll() is None


def test_an_orderly_close_lets_the_warden_go(bench):
    watch = warden_client_of(bench)._warden

    bench.executor.close(PATIENCE_S)

    assert watch.returncode == 0


def warden_client_of(bench: Bench) -> WardenClient:
    return bench.executor._warden


# ── in an application ────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_registered_command_runs_like_any_worker_and_its_result_is_kept():
    boss = Orchestrator("memory:")
    copy = boss.register("copy", command(["cat"]), timeout="1m", concurrency=2)

    async with boss:
        by_handle = await copy.trigger(to="ada", copies=2)
        by_name = await boss.trigger("copy", {"any": {"name": None}})

        assert (await by_handle.result(timeout=PATIENCE_S))["stdout"] == '{"copies":2,"to":"ada"}'
        assert (await by_name.result(timeout=PATIENCE_S))["stdout"] == '{"any":{"name":null}}'
    assert (copy.definition.executor, copy.definition.doc) == ("command", "cat")


async def test_a_scheduled_command_needs_no_payload_and_is_retried_like_any_worker(tmp_path):
    boss = Orchestrator("memory:")
    script = 'echo x >> tries; test "$(wc -l < tries)" -ge 2 && echo "attempt $SHIFTBOSS_ATTEMPT"'
    boss.register(
        "backup", command(["sh", "-c", script], cwd=tmp_path), every="1h", retry=RetryPolicy(max_retries=1, first_s=0.0)
    )

    async with boss:
        first = await until_a_run(boss)
        run = await boss.wait_for(first.id, timeout=PATIENCE_S)

    assert run.status is Status.SUCCEEDED
    assert json.loads(run.result)["stdout"] == "attempt 2\n"


async def test_a_command_in_flight_at_the_stop_is_handed_back_and_nothing_of_it_is_left(tmp_path):
    """G1, G2"""
    boss = Orchestrator("memory:", shutdown_timeout=4.0)
    script = LEAVES_THREE + "trap '' TERM; echo up > up; while :; do sleep 1000; done"
    endless = boss.register("endless", command(["sh", "-c", script], cwd=tmp_path), timeout=None)

    await boss.start()
    await endless.trigger()
    await asyncio.to_thread(until, (tmp_path / "up").exists, "its begin")
    report = await boss.stop()

    assert (report.interrupted, report.stuck, report.lost) == (1, 0, 0)
    assert left_in(tmp_path) == []


async def until_a_run(boss: Orchestrator) -> Run:
    for _ in range(3000):
        runs = await boss.runs()
        if runs:
            return runs[0]
        await asyncio.sleep(0.01)
    raise AssertionError("no run came")


async def test_a_missing_program_is_a_dead_letter_at_once():
    boss = Orchestrator("memory:")
    backup = boss.register("backup", command(["no-such-program-here"]))

    async with boss:
        with pytest.raises(RunFailed, match=r"fatal.*there is no program 'no-such-program-here'"):
            await (await backup.trigger()).result(timeout=PATIENCE_S)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("retry_on", OSError),
        ("no_retry_on", [OSError]),
        ("executor", "thread"),
        ("pool", "thread"),
        ("max_memory", "1GB"),
        ("heartbeat_timeout", "1m"),
    ],
)
def test_an_option_that_a_command_cannot_heed_is_refused(option, value):
    with pytest.raises(ConfigurationError, match=f"worker 'backup': {option}= is not for commands"):
        Orchestrator("memory:").register("backup", command(["true"]), **{option: value})


def test_a_command_worker_is_triggered_and_not_called():
    backup = Orchestrator("memory:").register("backup", command(["true"]))

    with pytest.raises(TypeError, match="trigger it"):
        backup()


# ── declaring ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("argv", "options", "said"),
    [
        ("pg_dump shop", {}, r"without a shell; give a list, command\(\['pg_dump', 'shop'\]\)"),
        ([], {}, "has no program"),
        (["a", 1], {}, r"argv\[1\]=1 must be a str or a path"),
        (["a\0b"], {}, "without NUL"),
        (["a"], {"stdin": "file"}, "stdin='file' is unknown; use 'payload'"),
        (["a"], {"env": {"A=B": "1"}}, "not the name of an environment variable"),
        (["a"], {"env": {"A": 1}}, r"env\['A'\]=1 must be a str"),
        (["a"], {"success_codes": ()}, "success_codes is empty"),
        (["a"], {"retry_codes": (256,)}, "256 is not an exit code"),
        (["a"], {"retry_codes": (2,), "fatal_codes": (2,)}, "exit code 2 is in both retry_codes and fatal_codes"),
        (["a"], {"output_bytes": 0}, "output_bytes=0"),
    ],
)
def test_what_a_declaration_gets_wrong_is_said_with_the_remedy(argv, options, said):
    with pytest.raises(ConfigurationError, match=said):
        command(argv, **options)


def test_a_command_takes_an_object_of_any_names_and_nothing_by_place():
    body = CommandBody(command(["cat"]), worker="tester")

    assert body.encode_payload((), {"b": [1], "a": {"x": None}}) == b'{"a":{"x":null},"b":[1]}'
    assert body.encode_payload() is None
    with pytest.raises(WrongPayload, match="named arguments only"):
        body.encode_payload((1,))
    with pytest.raises(WrongPayload, match="cannot be written as JSON"):
        body.encode_payload((), {"a": object()})
    with pytest.raises(WrongPayload, match="JSON has no nan"):
        body.encode_payload((), {"a": float("nan")})
