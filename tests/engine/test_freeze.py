"""Who notices that nothing ran in the process, and what is kept of it."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from builders import NOON, a_node, a_snapshot

from shiftboss.engine import freeze
from shiftboss.engine.freeze import (
    Freeze,
    FreezeWatch,
    ThreadWork,
    frozen,
    named,
    stacks_of_bodies,
    threads_that_kept_it,
)
from shiftboss.testing.clock import VirtualClock

TRACE = """Timeout (0:00:12)!
Thread 0x00007f0000000a01 (most recent call first):
  File "/app/jobs.py", line 12 in crunch
  File "/app/jobs.py", line 30 in import_prices
  File "/x/shiftboss/executors/body.py", line 157 in call
  File "/x/shiftboss/executors/thread.py", line 201 in _run
  File "/usr/lib/python3.11/threading.py", line 982 in run

Thread 0x00007f0000000a02 (most recent call first):
  File "/usr/lib/python3.11/threading.py", line 327 in wait
  File "/x/shiftboss/executors/thread.py", line 190 in _next

Thread 0x00007f0000000a03 (most recent call first):
  File "/usr/lib/python3.11/threading.py", line 331 in wait
  File "/app/jobs.py", line 55 in waits_for_another
  File "/x/shiftboss/executors/thread.py", line 201 in _run

Current thread 0x00007f0000000a04 (most recent call first):
  File "/app/loop.py", line 7 in parses
  File "/x/shiftboss/executors/coroutine.py", line 222 in _run
  File "/usr/lib/python3.11/asyncio/events.py", line 80 in _run
"""


def test_of_a_trace_those_are_kept_that_may_have_had_the_lock():
    """C4: bodies, of threads and of the loop, that did not wait for anything"""
    stacks = stacks_of_bodies(TRACE)

    assert sorted(stacks) == [0x7F0000000A01, 0x7F0000000A04]
    assert stacks[0x7F0000000A01].splitlines()[:2] == [
        '  File "/app/jobs.py", line 12 in crunch',
        '  File "/app/jobs.py", line 30 in import_prices',
    ]


IDLE = ThreadWork(0.0, 0)


@pytest.mark.parametrize(
    ("did", "kept"),
    [
        ({1: ThreadWork(0.1, 2400), 2: ThreadWork(11.0, 40)}, [2]),  # it computes
        ({1: ThreadWork(5.9, 40), 2: ThreadWork(6.0, 40)}, [2]),  # half of the time is enough
        ({1: ThreadWork(0.0, 240), 2: ThreadWork(0.0, 239)}, [2]),  # so many questions are a wait for the lock
        ({1: ThreadWork(0.1, 2400), 2: ThreadWork(0.0, 1)}, [2]),  # it sleeps with the lock, the other asks for it
        ({1: ThreadWork(0.0, 3), 2: ThreadWork(0.0, 1)}, [1, 2]),  # one of them waits for something else
        ({1: ThreadWork(0.1, 2400), 2: ThreadWork(0.1, 2400)}, [1, 2]),  # neither: so nothing is known
        ({2: ThreadWork(0.0, 1)}, [1, 2]),  # of the first nothing is known
        ({}, [1, 2]),
    ],
)
def test_who_kept_the_lock_is_known_by_what_each_thread_did(did, kept):
    """C4"""
    before = dict.fromkeys(did, IDLE)

    assert sorted(threads_that_kept_it(12.0, [1, 2], before=before, after=did)) == kept


@pytest.mark.parametrize("trace", ["", "Timeout (0:00:12)!\n", "Thread 0xzz\n  File", "\x00\xff"])
def test_of_what_is_no_trace_nothing_is_kept(trace):
    assert stacks_of_bodies(trace) == {}


def test_many_bodies_are_named_by_the_first():
    assert named([("a", 1)]) == "'a' (run 1)"
    assert named([(f"w{n}", n) for n in range(7)]).endswith("'w4' (run 4) and 2 more")
    assert named([]) == ""


# ── the watch ────────────────────────────────────────────────────────────────────────────────────────────────────

CRUNCH, PARSE = 0x7F0000000A01, 0x7F0000000A04  # the threads of TRACE that may have kept the lock
REST = 0x7F0000000A02
LONG_AGO_S, AFTER_THE_WAKING_S = 1e9, 1e10  # since 1970
BODIES = {("crunch", 1): CRUNCH, ("rest", 2): REST, ("parse", 3): PARSE}


class Alarm:
    """Stands in for faulthandler: writes *trace* when the test says that its time has come."""

    def __init__(self, trace: str) -> None:
        self.trace = trace
        self.calls: list[object] = []
        self._file = None

    def dump_traceback_later(self, seconds, *, file):
        self.calls.append(seconds)
        self._file = file

    def cancel_dump_traceback_later(self):
        self.calls.append("cancel")

    def go_off(self, at_s: float) -> None:
        if self._file is not None:
            os.write(self._file.fileno(), self.trace.encode())
            os.utime(self._file.fileno(), (at_s, at_s))


class Beats:
    """The beats of a watch, by a clock that the test moves: each lasts as long as the next of *beats_s*."""

    def __init__(self, clock: VirtualClock, alarm: Alarm, beats_s: list[float], *, written_at_s: float | None) -> None:
        self._clock, self._alarm, self._beats_s = clock, alarm, beats_s
        self._written_at_s = written_at_s  # when the alarm has written, in real time, if it has

    def is_set(self) -> bool:
        return not self._beats_s

    def set(self) -> None: ...

    def wait(self, seconds: float) -> None:
        assert seconds == 2.0
        slept_s = self._beats_s.pop(0)
        self._clock.advance(slept_s)
        if slept_s >= 12.0 and self._written_at_s is not None:
            self._alarm.go_off(self._written_at_s)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch):
    """Runs a watch through *beats_s*; the freezes that it told, and the calls of the alarm."""
    clock = VirtualClock()

    def run(*beats_s: float, owns_process: bool, written_at_s: float | None = LONG_AGO_S, work=()):
        alarm, told = Alarm(TRACE), []
        works = list(work)
        monkeypatch.setattr(freeze, "_clock", clock)
        monkeypatch.setattr(freeze, "faulthandler", alarm)
        monkeypatch.setattr(freeze, "_work_of_all", lambda: works.pop(0) if works else {})
        watch = FreezeWatch(lambda: BODIES, told.append, owns_process=owns_process)
        watch._is_over = Beats(clock, alarm, list(beats_s), written_at_s=written_at_s)
        watch._run()
        watch.stop()
        return told, alarm.calls

    return run


def test_a_beat_of_twelve_seconds_is_a_freeze_and_a_shorter_one_is_none(watched):
    """C4, H6"""
    told, _ = watched(12.0, 11.99, 2.0, owns_process=False)

    assert [freeze.seconds for freeze in told] == [12.0]


def test_in_a_process_of_its_own_the_alarm_shows_who_kept_the_lock(watched):
    """C4, H6: it is set at each beat, and of those at rest there is no word."""
    (told,), calls = watched(2.0, 13.0, owns_process=True)

    assert calls == [12.0, 12.0, "cancel", "cancel"]
    assert (told.seconds, told.bodies) == (13.0, (("crunch", 1), ("parse", 3)))
    assert told.stack.splitlines()[0] == '  File "/app/jobs.py", line 12 in crunch'
    assert told.stack.splitlines()[5] == '  File "/app/loop.py", line 7 in parses'


def test_each_freeze_has_a_trace_of_its_own(watched):
    told, _ = watched(13.0, 14.0, owns_process=True)

    assert [(freeze.seconds, freeze.stack.count("in crunch")) for freeze in told] == [(13.0, 1), (14.0, 1)]


def test_elsewhere_the_bodies_that_ran_are_named_without_a_stack(watched):
    """H6: the alarm of a process that is not ours is left alone."""
    told, calls = watched(13.0, owns_process=False)

    assert (told, calls) == ([Freeze(13.0, tuple(BODIES), "")], [])


@pytest.mark.parametrize("owns_process", [True, False])
def test_what_the_threads_did_meanwhile_tells_them_apart(watched, owns_process):
    """C4"""
    before = {thread: ThreadWork(1.0, 10) for thread in BODIES.values()}
    after = {**before, PARSE: ThreadWork(10.0, 10)}
    (told,), _ = watched(13.0, owns_process=owns_process, work=[before, after])

    assert told.bodies == (("parse", 3),)
    assert "in crunch" not in told.stack


def test_if_the_alarm_wrote_on_waking_only_the_process_was_stopped_and_nobody_is_to_blame(watched):
    """C4"""
    assert watched(13.0, owns_process=True, written_at_s=None)[0] == []
    assert watched(13.0, owns_process=True, written_at_s=AFTER_THE_WAKING_S)[0] == []


def test_where_python_has_no_such_alarm_the_bodies_are_named_all_the_same(monkeypatch):
    monkeypatch.delattr(freeze.faulthandler, "dump_traceback_later")
    watch = FreezeWatch(dict, print, owns_process=True)

    assert watch._written() == ""


def test_of_a_freeze_the_store_gets_an_event_without_secrets():
    """A12, H6"""
    world = a_snapshot()
    stack = '  File "/app/jobs.py", line 12 in hunter2-hunter2'
    for bodies, worker, run in (((("crunch", 1),), "crunch", 1), ((("crunch", 1), ("parse", 3)), "", None)):
        made = frozen(a_node("n1"), Freeze(12.34, bodies, stack), secrets=("hunter2-hunter2",))
        (event,) = made.rule(world, NOON, ids=iter(()))[0].events

        assert (event.worker, event.run, event.node, event.name, event.seconds) == (worker, run, "n1", "host:n1", 12.3)
        assert event.bodies == named(bodies)
        assert event.stack.startswith('  File "/app/jobs.py", line 12 in ')
        assert "hunter2" not in event.stack


def test_a_watch_has_a_thread_of_its_own_from_start_to_stop():
    watch = FreezeWatch(dict, print, owns_process=True)
    watch.start()
    assert (watch._thread.is_alive(), watch._thread.daemon, watch._thread.name) == (True, True, "shiftboss-freeze")
    watch.stop()
    assert not watch._thread.is_alive()


def test_one_that_was_not_started_is_stopped_all_the_same():
    FreezeWatch(dict, print, owns_process=False).stop()


# ── what the kernel tells of the threads ─────────────────────────────────────────────────────────────────────────

STAT = "77 (a ) 1 b) S 1 2 3 4 5 6 7 8 9 10 {user} {system} 13 14"
STATUS = "Name:\ta ) 1 b\nThreads:\t3\nvoluntary_ctxt_switches:\t17\nnonvoluntary_ctxt_switches:\t99\n"


@pytest.fixture
def tasks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder of this thread, where the kernel shows what it does."""
    monkeypatch.setattr(freeze, "TASKS", tmp_path)
    folder = tmp_path / str(threading.get_native_id())
    folder.mkdir()
    ticks = os.sysconf("SC_CLK_TCK")
    (folder / "stat").write_text(STAT.format(user=3 * ticks, system=ticks))
    (folder / "status").write_text(STATUS)
    return folder


def test_of_each_thread_the_time_in_user_and_kernel_mode_and_its_own_waits_are_read(tasks):
    """C4: proc_pid_stat(5), the name of a thread may contain anything."""
    assert freeze._work_of_all() == {threading.get_ident(): ThreadWork(4.0, 17)}


def test_of_a_name_that_is_no_text_nothing_is_lost(tasks):
    (tasks / "status").write_bytes(b"Name:\t\xff\n" + STATUS.encode())

    assert freeze._work_of_all() == {threading.get_ident(): ThreadWork(4.0, 17)}


@pytest.mark.parametrize("file", ["stat", "status"])
@pytest.mark.parametrize("shown", [None, "", "77 (a) S 1"])
def test_a_thread_of_which_the_kernel_does_not_tell_is_left_out(tasks, file, shown):
    (tasks / file).unlink() if shown is None else (tasks / file).write_text(shown)

    assert freeze._work_of_all() == {}


@pytest.mark.parametrize(("threads", "read"), [(20, 1), (21, 0)])
def test_of_more_than_twenty_threads_none_is_read(tasks, monkeypatch, threads, read):
    """It would cost more than the beat is worth."""
    monkeypatch.setattr(threading, "enumerate", lambda: [threading.current_thread()] * threads)

    assert len(freeze._work_of_all()) == read


@pytest.mark.skipif(not freeze.TASKS.exists(), reason="only Linux tells")
def test_the_real_kernel_tells_of_this_thread():
    assert freeze._work_of_all()[threading.get_ident()].cpu_s > 0.0


def test_what_a_thread_did_before_the_freeze_does_not_count():
    """C4"""
    before = {1: ThreadWork(100.0, 5000), 2: ThreadWork(1.0, 10)}
    computed = {1: ThreadWork(100.1, 5001), 2: ThreadWork(8.0, 11)}
    asked = {1: ThreadWork(100.0, 5001), 2: ThreadWork(1.0, 300)}

    assert threads_that_kept_it(12.0, [1, 2], before=before, after=computed) == [2]
    assert threads_that_kept_it(12.0, [1, 2], before=before, after=asked) == [1]


def test_a_thread_that_has_begun_since_did_all_of_it_meanwhile():
    """C4"""
    assert threads_that_kept_it(12.0, [1, 2], before={}, after={1: ThreadWork(6.0, 0), 2: IDLE}) == [1]
    assert threads_that_kept_it(12.0, [1, 2], before={}, after={1: ThreadWork(0.0, 240), 2: IDLE}) == [2]
