"""What a child process wrote stands in the report of the test that failed, whole.

Rules of this file
- A child that inherits stderr needs nothing: pytest captures it.  So a stderr goes nowhere else, unless the test reads
  it.
- Of a child whose output was captured, an assertion shows the beginning at most, and `CalledProcessError` the exit code
  alone: here the whole follows, of each result that the failing lines hold and of each exception on the way.
"""

from __future__ import annotations

import subprocess
import traceback
from collections.abc import Generator, Iterator
from typing import Any

import pytest

HAVE_OUTPUT = (subprocess.CompletedProcess, subprocess.CalledProcessError, subprocess.TimeoutExpired)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed and call.excinfo is not None:
        report.sections.extend(outputs(call.excinfo.value))
    return report


def outputs(error: BaseException) -> Iterator[tuple[str, str]]:
    """Title and text of whatever children have written, each once."""
    seen = set()
    for value in in_sight(error):
        if id(value) in seen:
            continue
        seen.add(id(value))
        if issubclass(type(value), HAVE_OUTPUT):  # not isinstance: a lazy object would be made now
            command = value.args if type(value) is subprocess.CompletedProcess else value.cmd
            texts = {"stdout": value.stdout, "stderr": value.stderr}
        elif (
            issubclass(type(value), tuple) and hasattr(value, "out") and hasattr(value, "err")
        ):  # as helpers here return it
            command, texts = "a child", {"stdout": value.out, "stderr": value.err}
        else:
            continue
        for name, text in texts.items():
            if text:
                yield (
                    f"{name} of {str(command)[:200]}",
                    text if isinstance(text, str) else text.decode(errors="replace"),
                )


def in_sight(error: BaseException | None) -> Iterator[Any]:
    """The exception, what its lines hold, and the same of the exceptions that it came from."""
    while error is not None:
        yield error
        for frame, _ in traceback.walk_tb(error.__traceback__):
            yield from frame.f_locals.values()
        if isinstance(error, BaseExceptionGroup):
            for each in error.exceptions:
                yield from in_sight(each)
        error = error.__cause__ or error.__context__
