"""On a terminal: colour, live pages, questions.  A pseudo-terminal stands in for one."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import time

import pytest

from .conftest import COMMAND, PATIENCE_S, clean_environment

pty = pytest.importorskip("pty")
pytest.importorskip("rich")
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A command that believes somebody looks at it."""

    def __init__(self, *args, cwd, columns=100, **env):
        self._ours, theirs = pty.openpty()
        size = {"COLUMNS": str(columns), "LINES": "40", "TERM": "xterm-256color"}
        self.process = subprocess.Popen(
            [*COMMAND, *args],
            cwd=cwd,
            env=clean_environment(**{**size, **env}),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self.raw = ""

    @property
    def text(self):
        return ESCAPE.sub("", self.raw).replace("\r\n", "\n")

    def shows(self, text):
        """Read until the screen has had *text*."""
        until = time.monotonic() + PATIENCE_S
        while text not in self.text:
            assert self._read(until), f"{text!r} was not shown: {self.text}"
        return self

    def ends(self):
        """Read all that is left; the exit code."""
        until = time.monotonic() + PATIENCE_S
        while self._read(until):
            pass
        return self.process.wait(PATIENCE_S)

    def _read(self, until):
        ready, _, _ = select.select([self._ours], [], [], max(0.0, until - time.monotonic()))
        try:
            data = os.read(self._ours, 65536) if ready else b""
        except OSError:  # Linux: the other side is closed
            data = b""
        self.raw += data.decode(errors="replace")
        return bool(data)

    def type(self, text):
        os.write(self._ours, text.encode())

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self._ours)


@pytest.fixture
def terminal(shop):
    opened = []

    def open_(*args, **env):
        opened.append(Terminal(*args, cwd=shop, **env))
        return opened[-1]

    yield open_
    for each in opened:
        each.close()


def test_a_state_has_a_colour_and_no_line_is_wider_than_the_window(terminal):
    screen = terminal("status", columns=72)

    assert screen.ends() == 3
    assert "\x1b[35mdisabled" in screen.raw
    assert max(map(len, screen.text.splitlines())) <= 72
    assert "ATTENTION" in screen.text


def test_no_color_is_honoured(terminal):
    screen = terminal("status", NO_COLOR="1")

    assert screen.ends() == 3
    assert not re.search(r"\x1b\[(?:\d+;)*3\d", screen.raw)


def test_a_dumb_terminal_gets_plain_lines(terminal):
    screen = terminal("status", TERM="dumb")

    assert screen.ends() == 3
    assert "\x1b" not in screen.raw


def test_without_rich_a_terminal_gets_plain_tables(terminal, shop):
    (shop / "rich.py").write_text("raise ImportError('not installed')\n")
    for args in (("status",), ("doctor",), ("show", "send-mail"), ("why", "pick")):
        screen = terminal(*args, PYTHONPATH=str(shop))

        assert screen.ends() in (0, 3)
        assert "Traceback" not in screen.text


def test_an_error_is_one_red_line(terminal):
    screen = terminal("status", "nobody")

    assert screen.ends() == 4
    assert screen.raw.startswith("\x1b[31m\x1b[1merror:")
    assert len(screen.text.splitlines()) == 1


def test_watching_is_a_live_page_that_is_given_back(cli, terminal, shop):
    screen = terminal("status", "--watch").shows("moving house")

    cli("disable", "pick", "--reason", "stocktaking")
    screen.shows("stocktaking")
    screen.process.send_signal(signal.SIGINT)

    assert screen.ends() == 0
    assert "\x1b[?1049h" in screen.raw
    assert screen.raw.index("\x1b[?1049l") > screen.raw.index("\x1b[?1049h")
    assert "\x1b[?25h" in screen.raw.rpartition("\x1b[?25l")[2], "the cursor is shown again"


def test_a_terminated_watch_gives_the_screen_back_as_well(terminal):
    screen = terminal("status", "--watch").shows("moving house")
    screen.process.send_signal(signal.SIGTERM)

    assert screen.ends() == 143
    assert "\x1b[?1049l" in screen.raw


def test_a_question_is_asked_and_a_no_changes_nothing(cli, terminal, shop):
    screen = terminal("forget", "pick").shows("[y/N]")
    screen.type("n\n")

    assert screen.ends() == 1
    assert "nothing was changed" in screen.text
    assert cli("show", "pick").code == 0


def test_a_yes_does_it(cli, terminal, shop):
    screen = terminal("forget", "pick").shows("[y/N]")
    screen.type("y\n")

    assert screen.ends() == 0
    assert cli("show", "pick").code == 4


def test_run_begins_with_a_banner_and_says_how_to_end_it(terminal):
    screen = terminal("run", "--only", "send-*").shows("joined")
    screen.process.send_signal(signal.SIGINT)

    assert screen.ends() == 0
    assert "app.py:boss" in screen.text
    assert "1 worker: 1 triggered" in screen.text
    assert "5 for other processes" in screen.text
    assert "Ctrl-C drains" in screen.text


def test_waiting_moves_one_line_and_clears_it(terminal, shop):
    terminal("run").shows("joined")
    screen = terminal("trigger", "pick", "--wait").shows("first parcel")
    screen.process.send_signal(signal.SIGINT)

    assert screen.ends() == 130
    assert screen.raw.count("\r\x1b[2K") >= 2


def test_rich_is_not_imported_off_a_terminal(shop):
    code = """
import sys
from shiftboss.cli.root import root
try:
    root.main(["status"])
except SystemExit:
    pass
assert not [name for name in sys.modules if name.startswith("rich")]
"""
    subprocess.run([sys.executable, "-c", code], cwd=shop, env=clean_environment(), check=True, capture_output=True)


@pytest.mark.chaos  # off a terminal it is a step of .ci/run
def test_the_demo_shows_its_workers_and_ends_by_itself(cli, terminal, shop):
    pytest.importorskip("psutil")
    screen = terminal("demo", "--for", "5s")
    screen.shows("dashboard: http://127.0.0.1:")  # on the page itself, which hides what was printed before

    assert screen.ends() == 0
    assert "outlook" in screen.text
    assert "walks" in screen.text
    assert "Traceback" not in screen.text
    assert "lost 0" in screen.text
    runs = cli("runs", "--status", "succeeded", "--json", "-s", "shiftboss-demo/demo.db").lines
    assert {"sample", "summarize", "prune", "dispatch", "backup", "outlook"} <= {run["worker"] for run in runs}
