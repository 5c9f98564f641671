"""Do the tests notice small mistakes?  Runs a sample of mutants, each against the tests that execute its lines.

    make mutants                                    # the sample by which the limits are judged
    make mutants ARGS="--seed another"              # another sample
    make mutants ARGS="--only core/settle.py"       # every mutant whose name contains that text

Rules of this file
- No file is changed: a forked process imports the mutated module from memory, runs the tests, and ends.
- The sample depends on the seed and on the names of the mutants, so an edit changes only the mutants of that code.
- A mutant is killed if a test fails or the time is up.  A mutant that no test executes has survived.
- tools/mutants.txt explains survivors.  An entry whose mutant does not exist any more, or is killed, is an error.

mutmut and cosmic-ray were tried first.  mutmut 3.8 leaves out decorated functions and everything outside of functions,
and cannot take a sample; cosmic-ray 8.7 runs one command for every mutant, so each costs the whole suite.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import importlib.machinery
import importlib.util
import multiprocessing
import os
import re
import resource
import signal
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import cache
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import CodeType
from typing import Any, NamedTuple, TextIO

import msgspec
import pytest
from coverage import Coverage

from mutations import Mutant, mutants_of, mutated

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src/shiftboss"
REASONS = ROOT / "tools/mutants.txt"
SEED = "1"
SAMPLE = {"core": 300, "engine": 150}
LEAST_KILLED = {"core": 0.90, "engine": 0.80}
TESTS = ("tests/core", "tests/engine")  # by value, so quick; a mutant that only slower tests kill lacks one here
TESTS_S = 10.0  # of processor time for the tests of one mutant, the quickest first: enough for all of most lines
SLACK_S = 20.0  # of it for the start of a process and the collection of its tests
SLOWER = 5.0  # times slower than without the mutant is an endless loop, or as bad as one
HANGS_S = 300.0  # by the clock: it waits for what does not come, for a busy machine is rarely that slow
MEMORY_BYTES = 4 << 30  # of a process: an endless loop may collect
PYTEST_OPTIONS = (
    "-q", "-p", "no:cacheprovider", "-p", "no:xdist",
    "-W", "ignore::pytest.PytestAssertRewriteWarning",  # plugins are imported before the fork
)  # fmt: skip
COMMON_MODULES = ("apsw", "asyncio", "cronsim", "hypothesis.strategies", "msgspec", "psycopg", "pytest_asyncio.plugin")
HELPERS = ("tests", "tests/core", "tests/engine")
CACHE = ROOT / ".mutants.json"
SEPARATOR = " # "


class Case(NamedTuple):
    """A test, as the unchanged code runs it."""

    id: str
    duration_s: float
    lines: dict[str, frozenset[int]]  # of which file it executes which lines


class Result(NamedTuple):
    mutant: Mutant
    is_killed: bool
    tests: int


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    began_s = time.monotonic()
    mutants = {mutant.name: mutant for mutant in all_mutants(options.only)}
    reasons = read_reasons(REASONS.read_text(encoding="utf-8") if REASONS.is_file() else "")
    chosen = chosen_mutants(mutants.values(), options)
    explained = [] if options.only else [mutants[name] for name in reasons if name in mutants]
    cases = trace(options.tests)
    import_for_all()
    print(f"{len(cases)} tests traced in {time.monotonic() - began_s:.0f} s; {len(chosen)} mutants", flush=True)
    results = run(list(dict.fromkeys([*chosen, *explained])), cases, jobs=options.jobs)
    faults = [] if options.only else stale(reasons, mutants, results.values())
    for package in SAMPLE:
        of_package = [results[m] for m in chosen if m.file.startswith(f"{package}/")]
        if of_package:
            print("\n".join(report(package, of_package, reasons)))
            faults += below(package, of_package) if not options.only else []
    print(f"{time.monotonic() - began_s:.0f} s")
    if faults:
        sys.exit("\n".join(faults))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seed", default=SEED)
    parser.add_argument("--only", default="", help="mutants whose name contains this, instead of a sample")
    parser.add_argument("--tests", nargs="+", default=TESTS, help="files or folders of the tests that may kill")
    parser.add_argument("--jobs", type=int, default=2)
    for package, size in SAMPLE.items():
        parser.add_argument(f"--{package}", type=int, default=size, help="size of the sample")
    return parser.parse_args(arguments)


# ── which ────────────────────────────────────────────────────────────────────────────────────────────────────────


def all_mutants(only: str) -> Iterator[Mutant]:
    """Of all files; or of the one with which *only* begins."""
    for package in SAMPLE:
        for path in sorted((SOURCE / package).rglob("*.py")):
            file = path.relative_to(SOURCE).as_posix()
            if not only.startswith(tuple(SAMPLE)) or only.startswith(file):
                yield from mutants_of(file, path.read_text(encoding="utf-8"))


def chosen_mutants(mutants: Collection[Mutant], options: argparse.Namespace) -> list[Mutant]:
    if options.only:
        return [mutant for mutant in mutants if options.only in mutant.name]
    chosen = []
    for package in SAMPLE:
        of_package = [mutant for mutant in mutants if mutant.file.startswith(f"{package}/")]
        chosen += sample(of_package, getattr(options, package), seed=options.seed)
    return chosen


def sample(mutants: Iterable[Mutant], size: int, *, seed: str) -> list[Mutant]:
    """The *size* mutants whose names come first in the order that *seed* makes, by file and line."""
    order = sorted(mutants, key=lambda mutant: hashlib.sha256(f"{seed} {mutant.name}".encode()).digest())
    return sorted(order[:size], key=lambda mutant: (mutant.file, mutant.first_line, mutant.name))


def cases_for(mutant: Mutant, cases: Iterable[Case], source: Callable[[str], str]) -> list[Case]:
    """The tests that execute the mutant's lines, the quickest first, as many as TESTS_S has room for.  Files by path.

    What a module sets when it is imported is executed by no test; there the lines count that name it, and the tests
    whose files do.
    """
    lines = _lines_of(mutant, cases, source)
    covering = [
        case
        for case in cases
        if any(case.lines.get(file, NO_LINES) & of for file, of in lines.items())
        or (mutant.sets and _word(mutant.sets).search(source(case.id.partition("::")[0])))
    ]
    folder = f"tests/{mutant.file.partition('/')[0]}/"
    covering.sort(key=lambda case: (not case.id.startswith(folder), case.duration_s, case.id))
    fitting, left_s = [], TESTS_S
    for case in covering:
        if case.duration_s <= left_s or not fitting:
            fitting.append(case)
            left_s -= case.duration_s
    return fitting


NO_LINES: frozenset[int] = frozenset()


def _lines_of(mutant: Mutant, cases: Iterable[Case], source: Callable[[str], str]) -> dict[str, frozenset[int]]:
    if not mutant.sets:
        return {mutant.file: frozenset(range(mutant.first_line, mutant.last_line + 1))}
    word = _word(mutant.sets)
    files = {file for case in cases for file in case.lines}
    lines = {
        file: frozenset(number for number, line in enumerate(source(file).splitlines(), 1) if word.search(line))
        for file in files
    }
    return {file: of for file, of in lines.items() if of}


@cache
def _word(name: str) -> re.Pattern[str]:
    return re.compile(rf"\b{re.escape(name)}\b")


# ── which tests execute which lines ──────────────────────────────────────────────────────────────────────────────


def trace(tests: Sequence[str]) -> list[Case]:
    """The cases of *tests*: each file is run once, and again when it, its helpers or the code have changed."""
    files = [path for test in tests for path in sorted((ROOT / test).rglob("test_*.py"))]
    if not files:  # single files, or tests of one
        return _traced(tests)
    keys = {path.relative_to(ROOT).as_posix(): _key(path) for path in files}
    known = msgspec.json.decode(CACHE.read_bytes(), type=dict[str, list[Case]]) if CACHE.is_file() else {}
    missing = [file for file, key in keys.items() if key not in known]
    fresh = _traced(missing) if missing else []
    for file in missing:
        known[keys[file]] = [case for case in fresh if case.id.partition("::")[0] == file]
    kept = {key: known[key] for key in keys.values()}
    CACHE.write_bytes(msgspec.json.encode(kept))
    return [case for cases in kept.values() for case in cases]


def _key(test: Path) -> str:
    """Of a file of tests: what decides which lines it executes."""
    sources = [path for package in SAMPLE for path in sorted((SOURCE / package).rglob("*.py"))]
    helpers = [path for folder in HELPERS for path in sorted((ROOT / folder).glob("*.py")) if "test_" not in path.name]
    return hashlib.sha256(b"".join(path.read_bytes() for path in (test, *helpers, *sources))).hexdigest()


def _traced(tests: Sequence[str]) -> list[Case]:
    """Runs *tests* in a process of their own.  Exits if one fails: the mutants would be killed by it."""
    receiving, sending = multiprocessing.Pipe(duplex=False)
    with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
        process = multiprocessing.get_context("fork").Process(target=_trace_in_child, args=(tests, sending, output))
        process.start()
        sending.close()
        try:
            cases: list[Case] = receiving.recv()
        except EOFError:
            output.seek(0)
            sys.exit(f"{output.read()}\nthe tests fail without any mutant")
        process.join()
    return cases


def _trace_in_child(tests: Sequence[str], sending: Connection, output: TextIO) -> None:
    tracer = Tracer()
    if _run_pytest([*tests], output, plugins=[tracer]) == pytest.ExitCode.OK:
        sending.send(tracer.cases())


class Tracer:
    """A plugin of pytest that notes for each test which lines of functions it executes, and how long it takes."""

    def __init__(self) -> None:
        self._coverage = Coverage(data_file=None, include=[f"{SOURCE / package}/*" for package in SAMPLE])
        self._durations_s: dict[str, float] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self) -> Iterator[None]:
        self._coverage.start()
        try:
            return (yield)
        finally:
            self._coverage.stop()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self._coverage.switch_context(item.nodeid)
        began_s = time.process_time()  # not by the clock: what else the machine does decides nothing
        try:
            return (yield)
        finally:
            self._durations_s[item.nodeid] = time.process_time() - began_s

    def cases(self) -> list[Case]:
        data = self._coverage.get_data()
        lines: dict[str, dict[str, frozenset[int]]] = {test: {} for test in self._durations_s}
        for path in data.measured_files():
            file = Path(path).relative_to(SOURCE).as_posix()
            executed: dict[str, set[int]] = defaultdict(set)
            for line, tests in data.contexts_by_lineno(path).items():
                for test in tests:
                    executed[test].add(line)
            for test, numbers in executed.items():
                if test in lines:
                    lines[test][file] = frozenset(numbers)
        return [Case(test, duration_s, lines[test]) for test, duration_s in self._durations_s.items()]


# ── running ──────────────────────────────────────────────────────────────────────────────────────────────────────


class _Running(NamedTuple):
    mutant: Mutant
    process: Any
    tests: int
    until_s: float


def import_for_all() -> None:
    """Import once what every forked process needs: what the tests use beside this project's own modules."""
    for name in COMMON_MODULES:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def run(mutants: Sequence[Mutant], cases: Sequence[Case], *, jobs: int) -> dict[Mutant, Result]:
    texts: dict[str, str] = {}
    numbers: dict[str, dict[Mutant, int]] = {}

    def source(file: str) -> str:
        if file not in texts:
            folder = ROOT if file.startswith("tests/") else SOURCE
            texts[file] = (folder / file).read_text(encoding="utf-8")
        return texts[file]

    def index(mutant: Mutant) -> int:
        if mutant.file not in numbers:
            numbers[mutant.file] = {each: n for n, each in enumerate(mutants_of(mutant.file, source(mutant.file)))}
        return numbers[mutant.file][mutant]

    results: dict[Mutant, Result] = {}
    running: list[_Running] = []
    waiting = list(reversed(mutants))
    while waiting or running:
        while waiting and len(running) < jobs:
            mutant = waiting.pop()
            fitting = cases_for(mutant, cases, source)
            if fitting:
                running.append(_start(mutant, source(mutant.file), index(mutant), fitting))
            else:
                results[mutant] = Result(mutant, is_killed=False, tests=0)
        for one in _ended(running):
            results[one.mutant] = Result(one.mutant, is_killed=one.process.exitcode != 0, tests=one.tests)
            running.remove(one)
            if not results[one.mutant].is_killed:
                print(f"[{len(results)}/{len(mutants)}] survives: {one.mutant.name}", flush=True)
    return results


def _start(mutant: Mutant, source: str, index: int, cases: Sequence[Case]) -> _Running:
    ids = [case.id for case in cases]
    limit_s = round(SLACK_S + SLOWER * sum(case.duration_s for case in cases))
    arguments = (mutant, source, index, ids, limit_s)
    process = multiprocessing.get_context("fork").Process(target=_run_in_child, args=arguments)
    process.start()
    return _Running(mutant, process, len(cases), time.monotonic() + HANGS_S)


def _ended(running: Sequence[_Running]) -> list[_Running]:
    """Those that have ended; waits for the first, and kills whose time is up."""
    if not running:
        return []
    left_s = min(one.until_s for one in running) - time.monotonic()
    wait([one.process.sentinel for one in running], timeout=max(0.0, left_s))
    now_s = time.monotonic()
    for one in running:
        if one.process.is_alive() and now_s >= one.until_s:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(one.process.pid, signal.SIGKILL)
            one.process.join()
    return [one for one in running if not one.process.is_alive()]


def _run_in_child(mutant: Mutant, source: str, index: int, ids: list[str], limit_s: int) -> None:
    os.setpgid(0, 0)
    resource.setrlimit(resource.RLIMIT_CPU, (limit_s, limit_s))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    sys.meta_path.insert(0, Importer(mutant.file, compile(mutated(source, index), SOURCE / mutant.file, "exec")))
    with Path(os.devnull).open("w") as nowhere:
        code = _run_pytest(["-x", *ids], nowhere)
    os._exit(int(code))  # threads that a mutant keeps alive are not waited for


def _run_pytest(arguments: list[str], output: TextIO, plugins: Sequence[object] = ()) -> int:
    for descriptor in (1, 2):
        os.dup2(output.fileno(), descriptor)
    os.chdir(ROOT)
    _forget_failures()
    return pytest.main([*PYTEST_OPTIONS, *arguments], plugins=list(plugins))


def _forget_failures() -> None:
    """What a mutant fails at is no example to keep for later runs, and each run sees the same examples."""
    with contextlib.suppress(ImportError):
        from hypothesis import settings

        settings.register_profile("mutants", database=None, derandomize=True, deadline=None)
        settings.load_profile("mutants")


class Importer(importlib.machinery.SourceFileLoader):
    """Imports one module from code in memory, and leaves every other to Python."""

    def __init__(self, file: str, code: CodeType) -> None:
        name = "shiftboss." + file.removesuffix(".py").replace("/", ".")
        super().__init__(name.removesuffix(".__init__"), str(SOURCE / file))
        self._code = code

    def find_spec(self, name: str, path: object = None, target: object = None) -> importlib.machinery.ModuleSpec | None:
        return importlib.util.spec_from_file_location(name, self.path, loader=self) if name == self.name else None

    def get_code(self, fullname: str) -> CodeType:
        return self._code


# ── what came of it ──────────────────────────────────────────────────────────────────────────────────────────────


def read_reasons(text: str) -> dict[str, str]:
    """Name of a mutant → why it survives.  A line has the name, ` # ` and the reason, or is a comment."""
    reasons = {}
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            name, _, reason = line.rpartition(SEPARATOR)
            reasons[name.strip()] = reason.strip()
    return reasons


def stale(reasons: dict[str, str], mutants: Collection[str], results: Iterable[Result]) -> list[str]:
    """What is wrong in the list of reasons."""
    killed = {result.mutant.name for result in results if result.is_killed}
    gone = [f"{REASONS.name}: there is no such mutant any more: {name}" for name in reasons if name not in mutants]
    return gone + [f"{REASONS.name}: a test kills it: {name}" for name in reasons if name in killed]


def below(package: str, results: Sequence[Result]) -> list[str]:
    share = sum(result.is_killed for result in results) / len(results)
    least = LEAST_KILLED[package]
    return [] if share >= least else [f"{package}: {share:.1%} of the mutants were killed, {least:.0%} must be"]


def report(package: str, results: Sequence[Result], reasons: dict[str, str]) -> list[str]:
    survivors = [result for result in results if not result.is_killed]
    killed = len(results) - len(survivors)
    lines = [f"{package}: {killed} of {len(results)} killed ({killed / len(results):.1%})"]
    for result in survivors:
        reason = reasons.get(result.mutant.name)
        said = f"it stays: {reason}" if reason else f"{result.tests} tests" if result.tests else "no test executes it"
        lines.append(f"  line {result.mutant.first_line}, {said}\n    {result.mutant.name}")
    return lines


if __name__ == "__main__":
    main()
