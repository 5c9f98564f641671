"""An event words itself once: for the log, the command and the page."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import get_args

import pytest
from builders import NOON, after

from shiftboss.app.json_format import jsonable
from shiftboss.core import events as ev
from shiftboss.core.event import About, Event, Severity, Words, span, with_error
from shiftboss.core.model import Cause, Error, Status
from shiftboss.observe.log import LOGGERS, log_events

ROOT = Path(__file__).resolve().parents[2]
BOOM = Error(type="ValueError", message="boom")
RUN = {"at": NOON, "worker": "mail", "run": 7}
WORKER = {"at": NOON, "worker": "mail"}

EXAMPLES = [  # an event; its severity; with what its line in the log begins (None: it has none); its sentence
    (ev.RunStored(**RUN, origin="trigger"), "debug", "mail run 7 ", "stored (trigger)"),
    (
        ev.ArrivalRefused(**WORKER, key="k", reason="closed"),
        "warning",
        "mail ",
        "refused a trigger with key k that a transaction had committed: closed",
    ),
    (ev.RunStarted(**RUN), "info", "mail run 7 ", "started"),
    (ev.RunStarted(**RUN, attempt=2), "info", "mail run 7 ", "started, attempt 2"),
    (
        ev.AttemptEnded(**RUN, error=BOOM, retry_at=after(9)),
        "warning",
        "mail run 7 ",
        "attempt 1 failed (error: ValueError: boom); next attempt at 2026-06-01 12:00:09 UTC",
    ),
    (
        ev.AttemptEnded(**RUN, cause=Cause.INTERRUPTED),
        "info",
        "mail run 7 ",
        "attempt 1 was interrupted; the run is due again",
    ),
    (
        ev.RunEnded(**RUN, status=Status.DEAD, cause=Cause.ERROR, error=BOOM),
        "error",
        "mail run 7 ",
        "is dead (error: ValueError: boom); kept as a dead letter",
    ),
    (ev.RunEnded(**RUN, duration_s=0.25), "success", "mail run 7 ", "succeeded after 250 ms"),
    (ev.RunEnded(**RUN, status=Status.CANCELLED), "info", "mail run 7 ", "cancelled after under 1 ms"),
    (
        ev.RunSkipped(**RUN, first=NOON),
        "warning",
        "mail ",
        "skipped the scheduled run of 2026-06-01 12:00:00 UTC (misfire)",
    ),
    (
        ev.RunSkipped(**RUN, first=NOON, last=after(60), count=6),
        "warning",
        "mail ",
        "skipped 6 scheduled runs from 2026-06-01 12:00:00 UTC to 2026-06-01 12:01:00 UTC (misfire)",
    ),
    (
        ev.RunRescued(**RUN, lost_node="n1"),
        "warning",
        "mail run 7 ",
        "was rescued from node n1, which was lost; due once it can",
    ),
    (
        ev.StaleReport(at=NOON, run=7, fence=12),
        "warning",
        "run 7 ",
        "got a late report, which was ignored: its claim (number 12) had ended",
    ),
    (ev.DeadLettered(**RUN, error=BOOM), "error", None, "became a dead letter (error: ValueError: boom)"),
    (ev.WorkerDeclared(**WORKER), "info", "mail ", "registered (new)"),
    (ev.WorkerDeclared(**WORKER, changed=("rate", "tags")), "info", "mail ", "registered (changed: rate, tags)"),
    (
        ev.WorkerDisabled(**WORKER, by="ada", reason="moving", starves=("a", "b")),
        "error",
        "mail ",
        "disabled by ada: moving; waiting for it: a, b; triggers are refused",
    ),
    (
        ev.WorkerDisabled(**RUN, by="auto", reason="5 runs failed in a row", accepts=True, probe_at=NOON),
        "error",
        "mail ",
        "disabled automatically: 5 runs failed in a row; next test run at 2026-06-01 12:00:00 "
        "UTC; triggers are accepted and wait",
    ),
    (ev.WorkerEnabled(**WORKER, by="ada"), "success", "mail ", "enabled by ada"),
    (ev.WorkerEnabled(**RUN, by="auto"), "success", "mail ", "enabled automatically"),
    (
        ev.WorkerPaused(**WORKER, by="ada", reason="moving", until=NOON),
        "info",
        "mail ",
        "paused by ada until 2026-06-01 12:00:00 UTC: moving",
    ),
    (ev.WorkerPaused(**WORKER, by="ada"), "info", "mail ", "paused by ada"),
    (ev.WorkerResumed(**WORKER, by="ada"), "success", "mail ", "resumed by ada"),
    (ev.WorkerForgotten(**WORKER, by="ada"), "info", "mail ", "forgotten by ada"),
    (
        ev.BreakerOpened(**RUN, breaker="bank", until=NOON),
        "warning",
        "",
        "breaker bank opened; next test call at 2026-06-01 12:00:00 UTC",
    ),
    (ev.BreakerHalfOpen(at=NOON, breaker="bank"), "info", "", "breaker bank is half-open; a run is its test call"),
    (ev.BreakerClosed(at=NOON, breaker="bank"), "success", "", "breaker bank closed"),
    (ev.NodeJoined(at=NOON, name="n1"), "info", "", "node n1 joined"),
    (ev.NodeLeft(at=NOON, name="n1"), "info", "", "node n1 left"),
    (
        ev.NodeLeft(at=NOON, name="n1", lost=True),
        "warning",
        "",
        "node n1 was lost: its process has ended, or its lease has expired; its runs are rescued",
    ),
    (
        ev.NodeShedding(at=NOON, level="low", reason="short of memory"),
        "warning",
        "",
        "load shedding: low priority runs are held until it ends; short of memory",
    ),
    (ev.NodeShedding(at=NOON, level="nothing"), "warning", "", "load shedding ended: all runs may start again"),
    (
        ev.NodeFrozen(at=NOON, name="n1", seconds=15.4, bodies="mail run 7"),
        "warning",
        "",
        "node n1 was frozen for 15 s: a function held the interpreter's lock (GIL), or its process was "
        "stopped; running there: mail run 7; executor='process' isolates such functions",
    ),
    (
        ev.ClockStepped(at=NOON, step_s=-3600.0),
        "warning",
        "",
        "the wall clock was set by -3600.0 s; cron and at= follow it, durations keep their length",
    ),
    (
        ev.StoreRestored(at=NOON, reason="an older file"),
        "warning",
        "",
        "the store lost a part of its past, or may have: an older file; everything is read again, and live "
        "nodes register again",
    ),
    (
        ev.NodeDrained(at=NOON, drained=1, interrupted=2, waiting=3, lost=4),
        "info",
        "",
        "drained 1, interrupted 2, pending 3, lost 4",
    ),
    (ev.UnreadableEvent(at=NOON, reason="torn"), "warning", None, "an event that cannot be read: torn"),
]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example[3])
def test_an_event_says_how_grave_it_is_and_what_happened(example, caplog):
    event, severity, begins, text = example
    for logger in LOGGERS.values():  # each: a level of its own goes before that of "shiftboss"
        caplog.set_level(logging.DEBUG, logger.name)
    log_events([event], {})

    assert (str(event.severity), event.text) == (severity, text)
    assert caplog.messages == ([] if begins is None else [f"{begins}{text}"])
    assert {key: jsonable(event)[key] for key in ("text", "severity")} == {"text": text, "severity": severity}


ACTS = [  # an act; its sentence; its line in the log
    (
        ev.Audit(**RUN, by="ada", action="cancel", before="running", after="cancelled"),
        "cancel (running → cancelled)",
        "ada: cancel mail run 7 (running → cancelled)",
    ),
    (ev.Audit(at=NOON, by="ada", action="trigger", worker="mail"), "trigger", "ada: trigger mail"),
    (ev.Audit(at=NOON, by="ada", action="refused", after="drain"), "refused (drain)", "ada: refused (drain)"),
]


@pytest.mark.parametrize("act", ACTS, ids=lambda act: act[1])
def test_an_act_is_worded_with_and_without_whose_it_is(act, caplog):
    """A1: a page has columns for who did it, and to what."""
    event, text, line = act
    for logger in LOGGERS.values():  # each: a level of its own goes before that of "shiftboss"
        caplog.set_level(logging.DEBUG, logger.name)
    log_events([event], {})

    assert (event.text, caplog.messages) == (text, [line])


def test_every_kind_has_an_example_and_stands_in_the_union():
    written = {kind for kind in vars(ev).values() if isinstance(kind, type) and issubclass(kind, Event)} - {Event}

    assert set(get_args(ev.AnyEvent)) == written == {type(event) for event, *_ in (*EXAMPLES, *ACTS)}


@pytest.mark.parametrize("kind", get_args(ev.AnyEvent))
def test_the_reference_has_it(kind):
    assert f"| `{kind.__struct_config__.tag}` | `{kind.__name__}` |" in (ROOT / "docs/reference/events.md").read_text()


@pytest.mark.parametrize("forgotten", ["ABOUT", "SEVERITY", "says"])
def test_an_event_that_does_not_say_it_cannot_be_made(forgotten):
    says = {"ABOUT": About.NODE, "SEVERITY": Severity.INFO, "says": lambda self: Words("rang")}
    del says[forgotten]

    with pytest.raises(TypeError, match=f"event Rang has no {forgotten}: see Event"):
        type(Event)("Rang", (Event,), says, frozen=True, tag="rang")


def test_what_people_do_is_no_trouble_of_the_node(caplog):
    """A1: a refusal is a warning on the page, and a line like the others in the log."""
    with caplog.at_level(logging.DEBUG, "shiftboss"):
        log_events([ev.Audit(at=NOON, by="ada", action="refused")], {})

    assert [record.levelno for record in caplog.records] == [logging.INFO]


def test_no_kind_is_worded_in_the_dashboard():
    """A new event is a class: the page shows the words that the server sends."""
    texts = {path: path.read_text() for path in (ROOT / "dashboard/src").rglob("*.ts*") if path.name != "schema.ts"}
    kinds = "|".join(kind.__struct_config__.tag for kind in get_args(ev.AnyEvent))

    assert [path.name for path, text in texts.items() if re.search(rf'case "({kinds})"', text)] == []
    assert "event.text" in texts[ROOT / "dashboard/src/pages/activity.tsx"]


# ── its parts ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "under 1 ms"),
        (0.0009, "under 1 ms"),
        (0.001, "1 ms"),
        (0.25, "250 ms"),
        (0.9994, "999 ms"),
        (1.0, "1 s"),
        (61.26, "61.3 s"),
        (999.4, "999 s"),
        (1000.0, "1000 s"),
        (86_400.4, "86400 s"),
    ],
)
def test_a_duration_has_three_digits_in_the_unit_that_shows_them(seconds, text):
    assert span(seconds) == text


def test_of_an_error_three_hundred_characters_are_said():
    """The run has all of it."""
    assert with_error(None) == ""
    assert with_error(BOOM) == ": ValueError: boom"
    assert len(with_error(Error(type="E", message="x" * 1000))) == 300


def test_a_line_begins_with_what_it_is_about_as_far_as_that_is_known():
    template = "stored (%s)"
    for about, begins, first in (
        (RUN, f"%s run %s {template}", ("mail", 7)),
        ({"at": NOON, "run": 7}, f"run %s {template}", (7,)),
        (WORKER, f"%s {template}", ("mail",)),
    ):
        assert ev.RunStored(**about, origin="trigger").line() == Words(begins, (*first, "trigger"))


def test_of_a_disabled_worker_it_says_whom_it_starves_and_what_comes_next():
    """K4, K5"""
    said = ev.WorkerDisabled(
        **WORKER, by="ann", reason="slow", starves=("b", "c"), accepts=True, probe_at=after(9)
    ).text
    silent = ev.WorkerDisabled(**WORKER, by="ann", reason="slow").text

    assert all(each in said for each in ("ann", "slow", ": b, c", "2026-06-01 12:00:09 UTC", "accepted"))
    assert all(each in silent for each in ("ann", "slow", "refused"))
    assert "UTC" not in silent


@pytest.mark.parametrize(("action", "severity"), [("refused", Severity.WARNING), ("cancel", Severity.INFO)])
def test_a_refusal_is_a_warning_and_another_act_is_none(action, severity):
    """A1"""
    assert ev.Audit(at=NOON, by="ann", action=action).severity is severity
