"""Short phrases that several commands share."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from shiftboss.app.status import RunningRun
from shiftboss.cli import formatting
from shiftboss.core.model import Cause, Origin, Progress, Run, Status
from shiftboss.core.policy import Priority

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
FULL, EMPTY = "█", "░"


@pytest.fixture(autouse=True)
def _can_say_everything(monkeypatch):
    monkeypatch.setattr(formatting, "sign", lambda symbol: symbol)


def said(done, total=None, message="", at=NOON):
    return Progress(done=done, total=total, message=message, at=at)


@pytest.mark.parametrize(
    ("progress", "drawn", "in_words"),
    [
        (None, "", ""),
        (said(0, 10), f"{EMPTY * 20}   0 %", "0 %"),
        (said(5, 10, "page 5"), f"{FULL * 10}{EMPTY * 10}  50 % page 5", "50 % page 5"),
        (said(10, 10), f"{FULL * 20} 100 %", "100 %"),
        (said(12, 10), f"{FULL * 20} 100 %", "100 %"),
        (said(-1, 10), f"{EMPTY * 20}   0 %", "0 %"),
        (said(7), "7 done", "7 done"),
        (said(7, 0, "rows"), "7 done rows", "7 done rows"),
        (
            said(1, 2, "evil \x1b[2J\nline"),
            f"{FULL * 10}{EMPTY * 10}  50 % evil \\x1b[2J\\nline",
            "50 % evil \\x1b[2J\\nline",
        ),
    ],
)
def test_progress_is_a_bar_or_words(progress, drawn, in_words):
    assert formatting.progress(progress, NOON) == drawn
    assert formatting.progress_in_words(progress) == in_words


def test_of_a_run_that_has_not_said_anything_for_long_it_says_since_when():
    assert formatting.progress(said(1, 2), NOON + timedelta(seconds=29)).endswith("50 %")
    assert formatting.progress(said(1, 2), NOON + timedelta(minutes=12)).endswith("50 % (12 min ago)")


@pytest.mark.parametrize(
    ("zombie", "cancelling", "text"),
    [
        (False, False, ""),
        (False, True, "cancellation requested"),
        (True, False, "zombie: timed out, but its code is still running"),
        (True, True, "zombie: cancelled, but its code is still running"),
    ],
)
def test_what_is_odd_about_a_run_in_progress(zombie, cancelling, text):
    run = RunningRun(run=1, worker="a", node="n", since=NOON, attempt=1, zombie=zombie, cancelling=cancelling)

    assert formatting.running(run).text == text


@pytest.mark.parametrize(
    ("status", "cause", "text"),
    [
        (Status.SUCCEEDED, None, "succeeded"),
        (Status.DEAD, Cause.CRASH_LOOP, "dead (crash loop)"),
        (Status.CANCELLED, Cause.CANCELLED, "cancelled"),
        (Status.SKIPPED, Cause.DEPENDENCY_FAILED, "skipped (dependency failed)"),
    ],
)
def test_a_cause_stands_beside_its_status_where_it_says_more(status, cause, text):
    run = Run(
        id=1,
        worker="a",
        origin=Origin.TRIGGER,
        status=status,
        priority=Priority.NORMAL,
        created_at=NOON,
        occurs_at=NOON,
        due_at=NOON,
        cause=cause,
    )

    assert formatting.cause(run) == text


@pytest.mark.parametrize(
    ("kind", "message", "text"),
    [
        ("httpx.ReadTimeout", "no answer", "ReadTimeout: no answer"),
        ("KeyError", "", "KeyError"),
        ("shiftboss.ChildDied", "ChildDied: SIGSEGV", "ChildDied: SIGSEGV"),
        ("x.Lines", "one\ntwo\x1b[0m", "Lines: one\\ntwo\\x1b[0m"),
    ],
)
def test_an_error_is_one_line_that_names_its_class_once(kind, message, text):
    assert formatting.error(kind, message) == text
