"""A7: no text in a record of ours passes for a line of the log, whatever formatter the host has put on it."""

from __future__ import annotations

import contextlib
import io
import json
import logging

import pytest

from shiftboss import Context, Orchestrator
from shiftboss.core.printable import UNSEEN
from shiftboss.engine.watchdog import Blocked
from shiftboss.logs import Block, as_given, get_logger

EVIL = "a\n2027-01-01 00:00:00 FORGED \x1b[2J\x9b\x85\u2028\u202e\u200b\ud800"


class Texts:
    """Something whose text is hostile, as arguments of log calls are."""

    def __str__(self):
        return EVIL

    def __repr__(self):
        return f"<Texts {EVIL}>"


@pytest.fixture
def written():
    """What a handler with Python's own formatter writes."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s %(message)s"))
    root, level = logging.getLogger(), logging.getLogger().level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield stream
    root.removeHandler(handler)
    root.setLevel(level)


def is_clean(text):
    return not UNSEEN.search(text.replace("\n", "")) and not any(line.startswith("2027") for line in text.split("\n"))


@pytest.mark.parametrize(
    ("template", "arguments", "says"),
    [
        (EVIL, (), "a\\n2027"),
        ("%s", (EVIL,), "a\\n2027"),
        ("%r", (EVIL,), "'a\\n2027"),
        ("%s and %s", (Texts(), ValueError(EVIL)), "\\ud800 and a\\n"),
        ("%r", (Texts(),), "<Texts a\\n2027"),
        ("%(it)s", ({"it": EVIL},), "a\\n2027"),
        ("%d of %.1f: %s", (3, 2.5, EVIL), "3 of 2.5: a\\n"),
        ("%s", ([EVIL],), "['a\\n2027"),
        ("%d", (None,), ""),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_message_and_arguments_are_one_line(written, monkeypatch, template, arguments, says):
    monkeypatch.setattr(logging, "raiseExceptions", False)  # the last one does not fit, as before
    get_logger("shiftboss.test").warning(template, *arguments)

    assert written.getvalue().count("\n") == (1 if says else 0)
    assert says in written.getvalue()
    assert is_clean(written.getvalue())


def test_a_traceback_and_a_stack_keep_their_lines_indented(written):
    log = get_logger("shiftboss.test")
    try:
        raise ValueError(EVIL)
    except ValueError:
        log.exception("failed: %s", EVIL, stack_info=True)
    log.warning(*Blocked(worker="slow", run=1, lag_s=2.0, stack=f'File "app.py"\n{EVIL}').worded())
    log.warning("nothing to show", Block(""))

    lines = written.getvalue().rstrip("\n").split("\n")
    assert is_clean(written.getvalue())
    assert [line[:8] for line in lines if not line.startswith("    ")] == ["ERROR sh", "WARNING ", "WARNING "]
    assert "    Traceback (most recent call last):" in lines
    assert "    Stack (most recent call last):" in lines
    assert '    File "app.py"' in lines


def test_what_was_given_can_still_be_had_and_what_is_kept_with_the_run_is_as_it_was_said(written):
    records = []

    class Keeps(logging.Handler):
        def emit(self, record):
            records.append(record)

    keeps = Keeps()
    logging.getLogger().addHandler(keeps)
    said = EVIL.replace("\ud800", "")  # no store takes half a character
    boss = Orchestrator("memory:")

    @boss.worker(max_retries=0)
    def fails(ctx: Context) -> None:
        ctx.log.warning("%s", said)
        raise ValueError(said)

    try:
        boss.sync.start()
        run = boss.sync.trigger("fails").id
        boss.sync.wait_for(run, timeout=20)
        with contextlib.closing(boss.new_views()) as views:
            kept = [line.text for line in views.lines(run)]
            message = views.run(run).error.message
    finally:
        boss.sync.stop()
        logging.getLogger().removeHandler(keeps)

    assert kept == [said]
    assert message == said
    assert is_clean(written.getvalue())
    assert sum("FORGED" in line for line in written.getvalue().split("\n") if not line.startswith("    ")) == 2
    of_body = next(each for each in records if each.name == "shiftboss.worker.fails")
    assert as_given(of_body) == said
    of_run = next(each for each in records if "is dead" in each.getMessage())
    assert said in as_given(of_run)
    assert json.dumps(of_run.exc_info[1].args) == json.dumps([said])
