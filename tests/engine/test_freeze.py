"""Who notices that nothing ran in the process, and what is kept of it."""

from __future__ import annotations

import pytest

from shiftboss.engine.freeze import ThreadWork, named, stacks_of_bodies, threads_that_kept_it

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
