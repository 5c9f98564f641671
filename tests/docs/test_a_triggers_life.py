"""`docs/explanation/a-triggers-life.md` says what the code does: its steps, held against every call of a real run.

How the page is read
- A step is a heading `### N. …`, a line `*Thread: …*`, and a block of lines `file → function`.
- A line that is indented is called by the nearest line above it that is indented less, directly or through others; a
  step in the turn of another one, by the first line of that one.
- The lines of a step, and the steps of a thread, come in the order of the page.
- Threads run beside each other.  A step follows the one before it, or the one that it names: its last call is made
  after the last call of that one.
"""

from __future__ import annotations

import ast
import asyncio
import os
import re
import sys
import threading
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from types import FrameType
from typing import NamedTuple

import pytest

import shiftboss
from shiftboss import Orchestrator
from shiftboss.web.access import Role
from shiftboss.web.hub import Hub, Wanted

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = Path(shiftboss.__file__).parent
OURS = f"{PACKAGE}{os.sep}"
PAGE = ROOT / "docs/explanation/a-triggers-life.md"
DEADLINE_S = 60.0
REGISTERED = ("engine/waiters.py", "Waiters.add")  # the wait for the result has reached the engine

STEP = re.compile(
    r"^### (?P<number>\d+)\. [^\n]+\n\n\*Thread: `?(?P<thread>[^,`\n]+?)`?"
    r"(?:, (?:after step (?P<after>\d+)|in the turn of step (?P<turn>\d+)))?\.\*\n\n"
    r"```\n(?P<lines>.*?)^```",
    re.MULTILINE | re.DOTALL,
)
LINE = re.compile(r"( *)(\S+\.py) → ([\w.]+)")
MY_LOOP = "your event loop"


# ── the page ─────────────────────────────────────────────────────────────────────────────────────────────────────


class Line(NamedTuple):
    depth: int
    file: str
    function: str


class Step(NamedTuple):
    number: int
    thread: str
    after: int  # the step that it follows; 0: none
    turn: int  # the step in whose turn it is; 0: none
    lines: Sequence[Line]


def steps_of(text: str) -> list[Step]:
    steps = []
    for step in STEP.finditer(text):
        number = int(step["number"])
        after, turn = int(step["after"] or number - 1), int(step["turn"] or 0)
        steps.append(Step(number, step["thread"], after, turn, lines_of(step["lines"])))
    return steps


def lines_of(block: str) -> list[Line]:
    lines = [LINE.fullmatch(line) for line in block.splitlines()]
    return [Line(len(line[1]), line[2], line[3]) for line in lines if line is not None]


TEXT = PAGE.read_text(encoding="utf-8")
STEPS = steps_of(TEXT)


@cache
def functions_in(file: str) -> frozenset[str]:
    path = PACKAGE / file
    return frozenset(qualified(ast.parse(path.read_text(encoding="utf-8")).body)) if path.is_file() else frozenset()


def qualified(body: Iterable[ast.stmt], outer: str = "") -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield outer + node.name
        elif isinstance(node, ast.ClassDef):
            yield from qualified(node.body, f"{outer}{node.name}.")


# ── the calls ────────────────────────────────────────────────────────────────────────────────────────────────────


class Trace:
    """Every call of a function of ours, in this thread and in those that are started while it records."""

    def __init__(self) -> None:
        self.calls: dict[tuple[int, str, str], list[int]] = {}  # thread, file, function → the numbers of its calls
        self.ends: list[int] = []  # of each call: how many had been made when it returned, or was suspended
        self.names: dict[int, set[str]] = {}  # thread → the names that it had
        self.registered = threading.Event()
        self._lock = threading.Lock()  # protects `ends`, whose length is the number of the next call
        self._going_on: dict[int, list[tuple[FrameType, int]]] = {}  # thread → its calls that have not returned

    def __enter__(self) -> Trace:
        self.names[threading.get_ident()] = {MY_LOOP}
        threading.setprofile(self._profile)
        sys.setprofile(self._profile)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]  # typeshed does not know that it takes None

    def _profile(self, frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if not code.co_filename.startswith(OURS):
            return
        place = code.co_filename.removeprefix(OURS), code.co_qualname
        me = threading.get_ident()
        going_on = self._going_on.setdefault(me, [])
        if event == "call":
            with self._lock:
                going_on.append((frame, len(self.ends)))
                self.ends.append(sys.maxsize)
            self.calls.setdefault((me, *place), []).append(going_on[-1][1])
            self.names.setdefault(me, set()).add(threading.current_thread().name)
            if place == REGISTERED:
                self.registered.set()
        elif event == "return":
            while any(each is frame for each, _ in going_on):
                self.ends[going_on.pop()[1]] = len(self.ends)

    def of(self, thread: str, line: Line) -> list[int]:
        """The numbers of the calls of *line* in the thread of that name, in order."""
        threads = [ident for ident, names in self.names.items() if thread in names]
        return sorted(number for ident in threads for number in self.calls.get((ident, line.file, line.function), ()))


class Missing(Exception):
    """A line that is not called where it should be; *position* among the lines of a turn."""

    def __init__(self, position: int) -> None:
        self.position = position


class Turn:
    """A step, and those that go on in its turn."""

    def __init__(self, steps: Sequence[Step], trace: Trace) -> None:
        first, *within = steps
        self.steps = [step for step in steps for _ in step.lines]  # of each line
        self.lines = [*first.lines, *(line._replace(depth=line.depth + 2) for step in within for line in step.lines)]
        self._ends = trace.ends
        self._calls = [trace.of(first.thread, line) for line in self.lines]

    def earliest(self, begin: int) -> list[int]:
        """The number of the call of each line, from call *begin* on.  Raises Missing."""
        return self._match(0, len(self.lines), begin, sys.maxsize)

    def _match(self, first: int, behind: int, begin: int, until: int) -> list[int]:
        """Lines *first* to *behind*, from call *begin* on, before call *until*: there their caller has returned."""
        if first == behind:
            return []
        depth = self.lines[first].depth
        next_to_it = next((at for at in range(first + 1, behind) if self.lines[at].depth <= depth), behind)
        furthest, calls = first, self._calls[first]
        for number in calls[bisect_left(calls, begin) : bisect_left(calls, until)]:
            try:
                found = [number, *self._match(first + 1, next_to_it, number + 1, min(until, self._ends[number]))]
            except Missing as missing:
                furthest = max(furthest, missing.position)
            else:
                return found + self._match(next_to_it, behind, found[-1] + 1, until)
        raise Missing(furthest)


def difference(steps: Sequence[Step], trace: Trace) -> str | None:
    """The first thing that the code does otherwise than *steps* say."""
    reached: dict[str, int] = {}  # thread → the number behind the last call of its last step
    ends = {0: -1}  # step → the number of its last call
    for first in steps:
        if first.turn:
            continue
        turn = Turn([first, *(step for step in steps if step.turn == first.number)], trace)
        begin = reached.get(first.thread, 0)
        try:
            while True:
                found = turn.earliest(begin)
                of_steps = {step.number: number for step, number in zip(turn.steps, found, strict=True)}
                if of_steps[first.number] > ends.get(first.after, sys.maxsize):
                    break
                begin = found[0] + 1
        except Missing as missing:
            step, line = turn.steps[missing.position], turn.lines[missing.position]
            return f"step {step.number}: {line.file} → {line.function} is not called there, in {step.thread}"
        ends |= of_steps
        reached[first.thread] = found[-1] + 1
    return None


# ── the run ──────────────────────────────────────────────────────────────────────────────────────────────────────


def recorded(folder: Path) -> Trace:
    """The page's program, and a browser that looks; its function ends when the wait for its result is registered."""
    trace = Trace()
    boss = Orchestrator(f"sqlite:///{folder / 'mail.db'}")

    @boss.worker(max_retries=0)
    def send(to: str) -> str:
        assert trace.registered.wait(DEADLINE_S), f"{REGISTERED} was not called"
        return f"sent to {to}"

    async def program() -> str:
        async with boss:
            hub = Hub(boss)
            browser = hub.join(Wanted(frozenset({"run"})), Role.VIEWER)
            assert b"hello" in await browser.take(DEADLINE_S)  # from now on it is told of every run
            run = await boss.trigger("send", {"to": "ada@example.org"})
            result = await run.result(timeout=DEADLINE_S)
            async with asyncio.timeout(DEADLINE_S):
                while b'"status":"succeeded"' not in await browser.take(DEADLINE_S):
                    pass
            await asyncio.to_thread(hub.close)
            return result

    with trace:
        assert asyncio.run(program()) == "sent to ada@example.org"
    return trace


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Trace:
    return recorded(tmp_path_factory.mktemp("walk"))


# ── the tests ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_step_of_the_page_is_read():
    """A block that is written otherwise would be passed over."""
    assert [step.number for step in STEPS] == list(range(1, TEXT.count("\n### ") + 1))
    assert sum(len(step.lines) for step in STEPS) == TEXT.count(".py → ")
    assert len(STEPS) > 10


def test_every_step_says_what_happens_if_the_process_dies_there():
    parts = re.split(r"^### ", TEXT, flags=re.MULTILINE)[1:]

    assert [part.partition(".")[0] for part in parts if "\n- **If the process dies " not in part] == []


def test_every_file_and_function_that_the_page_names_exists():
    files = re.findall(r"[`\n ]([\w./]+\.py)\b", TEXT)
    named = [line for step in STEPS for line in step.lines]

    assert [file for file in files if not (PACKAGE / file).is_file() and not (ROOT / file).is_file()] == []
    assert [str(line) for line in named if line.function not in functions_in(line.file)] == []


def test_the_code_takes_the_steps_of_the_page_in_their_order(trace: Trace):
    assert difference(STEPS, trace) is None


@pytest.mark.parametrize("step", STEPS, ids=lambda step: f"step {step.number}")
def test_a_call_that_is_not_made_is_found(step: Step, trace: Trace):
    for line in step.lines:
        without = Trace()
        without.ends, without.names = trace.ends, trace.names
        without.calls = {
            place: calls for place, calls in trace.calls.items() if place[1:] != (line.file, line.function)
        }

        assert difference(STEPS, without) is not None, f"{line} is not missed"


@pytest.mark.parametrize("step", STEPS[1:], ids=lambda step: f"step {step.number}")
def test_a_step_that_changes_places_with_the_one_it_follows_is_found(step: Step, trace: Trace):
    earlier = STEPS[(step.turn or step.after) - 1]
    places = {step.number: earlier, earlier.number: step}
    swapped = [
        each._replace(thread=other.thread, lines=other.lines) if (other := places.get(each.number)) else each
        for each in STEPS
    ]

    assert difference(swapped, trace) is not None


@pytest.mark.parametrize("step", STEPS, ids=lambda step: f"step {step.number}")
def test_two_calls_that_are_swapped_are_found(step: Step, trace: Trace):
    lines = step.lines
    for at in range(len(lines) - 1):
        if lines[at].depth == lines[at + 1].depth:
            swapped = [*lines[:at], lines[at + 1], lines[at], *lines[at + 2 :]]
            other = [each._replace(lines=swapped) if each is step else each for each in STEPS]

            assert difference(other, trace) is not None, f"{lines[at]} and {lines[at + 1]}"


# ── the check itself ─────────────────────────────────────────────────────────────────────────────────────────────

TWO_STEPS = steps_of(
    """
### 1. A question

*Thread: `one`.*

```
a.py → ask
  b.py → put
```

### 2. Its answer

*Thread: `two`.*

```
c.py → answer
```
"""
)


def made_by_hand(calls: str) -> Trace:
    """`one:ask` is a call in the thread *one*, `one:.` the return of the last one there that has not returned."""
    trace, going_on = Trace(), dict[int, list[int]]()
    threads, files = {"one": 1, "two": 2}, {"ask": "a.py", "put": "b.py", "answer": "c.py"}
    trace.names = {number: {name} for name, number in threads.items()}
    for call in calls.split():
        thread, _, function = call.partition(":")
        if function == ".":
            trace.ends[going_on[threads[thread]].pop()] = len(trace.ends)
        else:
            going_on.setdefault(threads[thread], []).append(len(trace.ends))
            trace.calls.setdefault((threads[thread], files[function], function), []).append(len(trace.ends))
            trace.ends.append(sys.maxsize)
    return trace


@pytest.mark.parametrize(
    ("calls", "wrong"),
    [
        ("one:ask one:put one:. one:. two:answer", None),
        ("one:ask one:. one:ask one:put two:answer", None),  # a caller that does not call on is passed over
        ("two:answer one:ask one:put two:answer", None),
        ("one:ask one:. one:put two:answer", "step 1: b.py → put is not called there, in one"),
        ("one:ask two:put two:answer", "step 1: b.py → put is not called there, in one"),
        ("one:put one:ask two:answer", "step 1: b.py → put is not called there, in one"),
        ("two:answer one:ask one:put", "step 2: c.py → answer is not called there, in two"),
        ("one:ask one:put one:answer", "step 2: c.py → answer is not called there, in two"),
    ],
)
def test_a_call_at_the_wrong_place_is_found(calls, wrong):
    assert difference(TWO_STEPS, made_by_hand(calls)) == wrong
