"""For all tests."""

from __future__ import annotations

import gc
import os
import signal
import warnings
from collections.abc import Iterator

import pytest

from children import pytest_runtest_makereport
from postgres_server import cluster, place

__all__ = ["cluster", "place", "pytest_runtest_makereport"]  # fixtures and a hook, for every folder


def pytest_configure() -> None:
    """A shell ignores SIGINT and SIGQUIT for what it puts into the background, nohup SIGHUP, and children inherit that.

    The command is about signals; with a handler here, the processes that tests start have the usual dispositions.
    Likewise their output is buffered as usual and what they compile is kept, whatever this environment says.
    """
    for name in ("PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"):
        os.environ.pop(name, None)
    for number in (signal.SIGINT, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number is signal.SIGINT else _quit)

    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda number, frame: None)  # this process still ignores it


def _quit(number: int, frame: object) -> None:
    raise KeyboardInterrupt


@pytest.fixture(scope="session", autouse=True)
def _state_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Servers of stores that are no file keep their token in the user's state folder: not in that of who tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


# ── beside each other ──────────────────────────────────────────────────────────────────────────────────────────────

# Those that take longest come first, and of these whoever computes beside whoever waits (`--durations=0` tells).
LONG = (
    "tests/properties/test_systems.py",
    "tests/executors/test_poison.py",
    "tests/browser/test_acting.py",
    "tests/app/test_within.py",
    "tests/browser/test_pages.py",
    "tests/executors/test_process_executor.py",
    "tests/browser/test_hostile.py",
    "tests/web/test_strangers.py",
    "tests/browser/test_living.py",
    "tests/cli/test_processes.py",
    "tests/browser/test_doors.py",
    "tests/app/test_encryption.py",
    "tests/properties/test_mistakes.py",
    "tests/web/test_live.py",
    "tests/browser",
    "tests/chaos",
    "tests/properties",
    "tests/executors",
    "tests/cases",
    "tests/cli",
    "tests/app",
    "tests/web",
)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Two more than there are cores: tests also wait for processes and servers, and some have a lease to keep.

    Those of `make quick` only compute: for them one for each core (`-n logical`).
    """
    return min(8, (os.cpu_count() or 1) + (0 if config.option.numprocesses == "logical" else 2))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[object]:
    """Eight thousand tests live until the end: nothing looks for garbage among them, now or later.

    It takes a fifth off the collection, which each process does for itself, and 0.3 s off each full look afterwards.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first, so that at the end no process is left alone with one; the longest tests get their time."""
    for item in items:
        for marker, limit_s in (("soak", 0), ("chaos", 1800)):
            if item.get_closest_marker(marker) is not None:
                item.add_marker(pytest.mark.timeout(limit_s))
    items.sort(key=lambda item: next((n for n, path in enumerate(LONG) if item.nodeid.startswith(path)), len(LONG)))


# ── browsers ─────────────────────────────────────────────────────────────────────────────────────────────────────
# Here and not in tests/browser: beside each other (pytest-xdist) the tests run elsewhere, and the end is told here.

NO_BROWSER = {
    "there is no Chromium": "`apt-get install chromium`, or say where one is: SHIFTBOSS_CHROMIUM=/…/chrome",
    "there is no Firefox": "`apt-get install firefox-esr`, or say where one is: SHIFTBOSS_FIREFOX=/…/firefox",
}
CI_NEEDS = "there is no Chromium"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for reason, remedy in NO_BROWSER.items():
        if skipped := _skipped(terminalreporter, reason):
            line = f"NOT TESTED: {skipped} tests of the dashboard were skipped, for {reason}: {remedy}"
            terminalreporter.write_line(line, red=True, bold=True)


def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and os.environ.get("CI") and _skipped(reporter, CI_NEEDS):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _skipped(reporter: pytest.TerminalReporter, reason: str) -> int:
    return sum(reason in str(report.longrepr) for report in reporter.stats.get("skipped", ()))


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable(report: object):
    """What a test logged or printed reaches the controller of pytest-xdist as UTF-8, whatever text it was.

    Half a surrogate pair would otherwise end the process that runs the tests, and all that it had still to run.
    """
    return as_utf8((yield))


@pytest.hookimpl(tryfirst=True)
def pytest_warning_recorded(warning_message: warnings.WarningMessage) -> None:
    """The same for warnings, among them errors that nobody waited for."""
    text = str(warning_message.message)
    if as_utf8(text) != text:
        warning_message.message = warning_message.category(as_utf8(text))


def as_utf8(data):
    if isinstance(data, str):
        return data.encode("utf-8", "backslashreplace").decode()
    if isinstance(data, dict):
        return {as_utf8(key): as_utf8(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return type(data)(as_utf8(value) for value in data)
    return data
