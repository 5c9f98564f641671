"""The context of a run, without an executor."""

from __future__ import annotations

import logging
import math
import pickle
from datetime import timedelta

import pytest

from shiftboss.context import Announcement, Context, Fatal, Idle, Retry, RunFilter, current, storable
from shiftboss.core.bounds import RAW_CHARS
from shiftboss.errors import ConfigurationError


class StoppedClock:
    boot = "boot"

    def __init__(self):
        self.at_s = 100.0

    def now(self):
        return self.at_s

    def monotonic_s(self):
        return self.at_s

    lease_s = monotonic_s


@pytest.fixture
def said(threads):
    """An attempt that nothing runs: it collects what its context passes on."""
    return threads.launch(lambda: None, attempt=2)


@pytest.fixture
def stopped():
    return StoppedClock()


@pytest.fixture
def ctx(said, stopped):
    return Context(said.launch, stopped, Announcement())


def test_progress_is_passed_on_at_most_once_a_second(ctx, said, stopped):
    for done in range(10):
        stopped.at_s += 0.25
        ctx.progress(done)

    assert said.progress == [0.0, 4.0, 8.0]


def test_flush_passes_on_the_newest_word_and_only_once(ctx, said):
    ctx.progress(1)
    ctx.progress(2)
    ctx.progress(3)
    ctx.flush()
    ctx.flush()

    assert said.progress == [1.0, 3.0]


def test_nothing_is_passed_on_for_a_body_that_said_nothing(ctx, said):
    ctx.flush()

    assert said.signals == []


def test_heartbeats_are_passed_on_at_most_once_a_second(ctx, said, stopped):
    for _ in range(10):
        stopped.at_s += 0.25
        ctx.heartbeat()

    assert said.kinds == ["heartbeat"] * 3


def test_a_heartbeat_takes_held_back_progress_along(ctx, said, stopped):
    ctx.progress(1)
    ctx.progress(2)
    stopped.at_s += 1
    ctx.heartbeat()

    assert said.kinds == ["progress", "heartbeat", "progress"]
    assert said.progress == [1.0, 2.0]


def test_what_is_said_fits_every_store(ctx, said):
    ctx.progress(math.nan, math.inf, "caf\u00e9 \udc80 \0" + "x" * 100_000)

    ((_, progress),) = said.signals
    assert (progress.done, progress.total) == (0.0, None)
    assert progress.message.startswith("caf\u00e9 \\udc80 \\0xxx")
    assert len(progress.message) < RAW_CHARS + 20


def test_a_word_that_was_said_while_another_was_passed_on_is_not_lost(ctx, said):
    pass_on = said.launch.signal

    def interrupted(kind, value):
        said.launch.signal = pass_on
        ctx.progress(2)  # another thread of the body, within the second
        pass_on(kind, value)

    said.launch.signal = interrupted
    ctx.progress(1)
    ctx.flush()

    assert said.progress == [1.0, 2.0]


def test_a_run_that_stands_for_one_instant_covers_until_that(ctx):
    assert ctx.covers_until == ctx.occurs_at


def test_the_logger_of_a_context_is_its_workers_and_keeps_the_callers_tags(ctx, caplog):
    ctx.log.warning("page %d", 3, extra={"page": 3})

    (record,) = [each for each in caplog.records if each.name == "shiftboss.worker.tester"]
    assert (record.getMessage(), record.page) == ("page 3", 3)
    assert (record.worker, record.run, record.attempt) == ("tester", ctx.run_id, 2)


def test_a_record_that_names_its_run_keeps_that_name(ctx):
    record = logging.makeLogRecord({"run": 7})
    token = current.set(ctx)

    assert RunFilter().filter(record)

    current.reset(token)
    assert record.run == 7


@pytest.mark.parametrize(
    ("after", "seconds"), [(None, None), (0, 0.0), (1.5, 1.5), ("2m", 120.0), (timedelta(hours=1), 3600.0)]
)
def test_retry_takes_every_spelling_of_a_duration(after, seconds):
    assert Retry(after=after).after_s == seconds


@pytest.mark.parametrize("after", [-1, "soon", True, math.inf])
def test_retry_refuses_what_is_no_duration(after):
    with pytest.raises(ConfigurationError, match="after="):
        Retry(after=after)


def test_idle_takes_every_spelling_of_a_duration():
    assert Idle("30s") == Idle(30) == Idle(timedelta(seconds=30))
    assert Idle("30s").idle_s == 30.0
    with pytest.raises(ConfigurationError, match="Idle="):
        Idle(-1)


@pytest.mark.parametrize("value", [Retry("quota", after="1m"), Fatal("closed"), Idle(5)])
def test_chosen_outcomes_survive_a_way_between_processes(value):
    back = pickle.loads(pickle.dumps(value))  # noqa: S301  # our own

    assert type(back) is type(value)
    assert str(back) == str(value)
    assert getattr(back, "after_s", None) == getattr(value, "after_s", None)


def test_a_context_says_which_run_it_is_of(ctx):
    assert repr(ctx) == f"<Context of run {ctx.run_id} of 'tester', attempt 2>"


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("plain", "plain"),
        ("caf\u00e9", "caf\u00e9"),
        ("\ud83d", "\\ud83d"),
        ("a\0b", "a\\0b"),
        (ValueError("no"), "no"),
        ("x" * 9, "xxxxx"),
    ],
)
def test_every_text_becomes_storable(text, stored):
    assert storable(text, 5) == stored
