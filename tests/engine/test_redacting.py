"""Everything that a body says is masked, then cut, before it is stored (A12)."""

from __future__ import annotations

import pytest
from builders import NOON, a_definition, a_run

from shiftboss.core.bounds import MAX_LINE_CHARS, MAX_MESSAGE_CHARS
from shiftboss.core.model import Cancelled, Error, Failed, Interrupted, LogLine, Progress, Succeeded, TimedOut, Unfit
from shiftboss.engine.redacting import redacted, said_without_secrets
from shiftboss.ports.executor import Launch

SECRET = "hunter2-hunter2"
ERROR = Error(type="ValueError", message=f"no entry for {SECRET}", traceback=f"line 1\n  {SECRET}\n")


@pytest.fixture
def launch() -> Launch:
    """Of a node that masks one secret in every run."""
    return Launch(
        run=a_run("a", id=1),
        definition=a_definition("a"),
        body=None,
        report=lambda outcome, duration_s: None,
        signal=lambda kind, value: None,
        timeout_s=None,
        secrets=(SECRET,),
    )


def test_nothing_said_costs_nothing():
    quiet = Succeeded()

    assert redacted(None, quiet) is quiet


@pytest.mark.parametrize("outcome", [Cancelled(), Interrupted(reason="shutdown")])
def test_what_we_say_ourselves_is_left_as_it_is(launch, outcome):
    assert redacted(launch, outcome) is outcome


@pytest.mark.parametrize("make", [Failed, TimedOut, Unfit])
def test_of_an_error_message_and_traceback_are_masked_and_its_type_stays(launch, make):
    error = redacted(launch, make(ERROR)).error

    assert error.type == "ValueError"
    assert SECRET not in error.message
    assert error.message.startswith("no entry for ")
    assert SECRET not in error.traceback
    assert error.traceback.startswith("line 1\n")


def test_what_else_an_outcome_says_stays(launch):
    outcome = redacted(launch, Failed(ERROR, fatal=True, retry_after_s=3.0, crashed=True))

    assert (outcome.fatal, outcome.retry_after_s, outcome.crashed) == (True, 3.0, True)


def test_a_message_is_cut_after_it_was_masked(launch):
    """A secret that is cut in two is none that anybody would find."""
    text = "x" * (MAX_MESSAGE_CHARS - 5) + SECRET
    message = redacted(launch, Failed(Error(type="E", message=text))).error.message

    assert len(message) <= MAX_MESSAGE_CHARS
    assert "hunte" not in message


def test_a_result_is_masked_with_the_reason_why_it_could_not_be_kept(launch):
    outcome = redacted(
        launch, Succeeded(result=f'{{"x":"{SECRET}"}}'.encode(), idle_s=2.0, result_error=f"no {SECRET}")
    )

    assert SECRET.encode() not in outcome.result
    assert SECRET not in outcome.result_error
    assert outcome.result_error.startswith("no ")
    assert outcome.idle_s == 2.0


@pytest.mark.parametrize("outcome", [Succeeded(result=b'{"x":1}'), Succeeded(result_error="too large")])
def test_without_a_secret_a_result_is_kept_as_it_is(launch, outcome):
    assert redacted(launch, outcome) is outcome


@pytest.mark.parametrize("result", [None, b'{"x":1}'])
def test_a_reason_with_a_secret_is_masked_whatever_the_result_is(launch, result):
    outcome = redacted(launch, Succeeded(result=result, result_error=f"no {SECRET}"))

    assert outcome.result == result
    assert outcome.result_error.startswith("no ")
    assert SECRET not in outcome.result_error


def a_line(text: str) -> LogLine:
    return LogLine(run=1, fence=1, number=1, attempt=1, at=NOON, level="INFO", text=text)


def test_lines_and_progress_are_masked_and_cut(launch):
    assert SECRET not in said_without_secrets(launch, a_line(f"with {SECRET}")).text
    assert len(said_without_secrets(launch, a_line("x" * 5000)).text) <= MAX_LINE_CHARS
    assert SECRET not in said_without_secrets(launch, Progress(1.0, message=f"at {SECRET}")).message


def test_so_much_is_kept_of_each_text(launch):
    """A12: rows stay small."""
    long = "x y " * 10_000
    error = redacted(launch, Failed(Error(type="E", message=long, traceback=long))).error
    first, _, last = error.traceback.split("\n")
    kept = {
        "line": said_without_secrets(launch, a_line(long)).text,
        "progress": said_without_secrets(launch, Progress(1.0, message=long)).message,
        "reason": redacted(launch, Succeeded(result_error=long)).result_error,
        "message": error.message,
        "first of a traceback": first,
        "last of a traceback": last,
    }

    assert {what: len(text) for what, text in kept.items()} == {
        "line": 2_000,
        "progress": 500,
        "reason": 500,
        "message": 2_000,
        "first of a traceback": 4_000,
        "last of a traceback": 12_000,
    }


def test_what_has_no_secret_stays_the_same_value(launch):
    line, progress, silent = a_line("hello"), Progress(1.0, message="half"), Progress(1.0)

    assert said_without_secrets(launch, line) is line
    assert said_without_secrets(launch, progress) is progress
    assert said_without_secrets(launch, silent) is silent
    assert said_without_secrets(launch, "heartbeat") == "heartbeat"


def test_of_an_attempt_that_nobody_knows_any_more_what_looks_like_a_secret_is_masked_all_the_same():
    assert "swordfish" not in redacted(None, Failed(Error(type="E", message="password=swordfish"))).error.message
