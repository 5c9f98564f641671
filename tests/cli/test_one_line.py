"""A7: one line is one line in every command, whatever bodies, payloads and people have put into a store."""

from __future__ import annotations

import ast
import json
import logging
import re
import shutil
import signal
from pathlib import Path

import pytest

import shiftboss.cli
from shiftboss import Context, Fatal, Orchestrator
from shiftboss.cli.run_output import JsonLines, PlainLines, TerminalLines
from shiftboss.core.printable import UNSEEN

from .conftest import process
from .test_terminal import Terminal

EVIL = "a\nFORGED \x1b[2J\x9b31m\x07\x85FORGED\u2028FORGED\r\u202e\u2066\u200b\ufeff\x7f\U000e0041"
OURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|[\r\n]")  # what rich and our own colours write
SEES = (
    ("status",), ("why", "evil"), ("why", "{waiting}"), ("show", "evil"), ("show", "{dead}"), ("show", "{waiting}"),
    ("show", "{good}"), ("runs",), ("logs", "evil"), ("next", "evil"), ("graph",), ("graph", "--format", "mermaid"),
    ("health",), ("nodes",), ("dead",), ("dead", "show", "{dead}"), ("dead", "export"), ("doctor",),
    ("trigger", "evil", "--force"), ("disable", "other", "--reason", EVIL), ("cancel", "{waiting}", "--reason", EVIL),
    ("dead", "resolve", "{dead}", "--note", EVIL), ("show", EVIL), ("status", EVIL), (EVIL,), ("runs", "--since", EVIL),
    ("trigger", "evil", EVIL), ("doctor", "--store", f"redis://{EVIL}"), ("run", EVIL), ("run", f"{EVIL}.py"),
)  # fmt: skip


TERMINAL = (
    ("status",), ("why", "{waiting}"), ("show", "{dead}"), ("runs",), ("logs", "evil"), ("dead",), ("dead", "export"),
    ("status", "--json"), ("show", "{dead}", "--json"), ("logs", "evil", "--json"), ("runs", "--json"),
)  # fmt: skip


@pytest.fixture(scope="module")
def seeded(tmp_path_factory):
    """A store whose every text is hostile, and the ids of three runs in it."""
    folder = tmp_path_factory.mktemp("evil")
    boss = Orchestrator(f"sqlite:///{folder / 'shiftboss.db'}", code_version=EVIL)

    async def evil_body(ctx: Context, text: str = EVIL, fails: bool = False) -> dict[str, str]:
        ctx.log.warning("%s", text)
        ctx.progress(1, 2, text)
        if fails:
            raise Fatal(text)
        return {text: text}

    evil_body.__doc__ = EVIL
    boss.register("evil", evil_body, max_retries=0)
    boss.register("other", evil_body, after=["evil"])
    with pytest.MonkeyPatch.context() as patched:
        patched.delenv("SHIFTBOSS_STORE", raising=False)
        patched.setenv("SHIFTBOSS_USER", EVIL)
        boss.sync.start()
        good = boss.sync.trigger("evil", {"text": EVIL}, key=EVIL).id
        dead = boss.sync.trigger("evil", {"text": EVIL, "fails": True}).id
        for run in (good, dead):
            boss.sync.wait_for(run, timeout=20)
        waiting = boss.sync.trigger("evil", {"text": EVIL}, delay=3600).id
        boss.sync.disable("evil", reason=EVIL)
        boss.sync.stop()
    return folder, {"good": str(good), "dead": str(dead), "waiting": str(waiting)}


@pytest.fixture
def evil(seeded, tmp_path, monkeypatch):
    """The ids; we are in a folder with a copy of that store."""
    folder, ids = seeded
    for file in folder.glob("shiftboss.db*"):
        if file.is_file():
            shutil.copy(file, tmp_path)
    monkeypatch.chdir(tmp_path)
    return ids


def filled(words, ids):
    return [ids.get(word.strip("{}"), word) for word in words]


@pytest.mark.parametrize("words", SEES, ids=lambda words: " ".join(words).encode("unicode_escape").decode()[:40])
def test_no_text_of_a_store_or_of_an_argument_ends_a_line_of_a_command(cli, evil, words):
    shown = cli(*filled(words, evil))
    text = shown.out + shown.err

    is_json = words[-1] == "export"
    assert text
    assert not any(line.startswith("FORGED") for line in text.split("\n"))
    assert is_json or not UNSEEN.search(text.replace("\n", "")), text.encode("unicode_escape")


@pytest.mark.parametrize("words", TERMINAL, ids=" ".join)
def test_on_a_terminal_nothing_of_it_reaches_the_terminal(evil, words, tmp_path):
    screen = Terminal(*filled(words, evil), cwd=tmp_path, columns=200)
    try:
        screen.ends()
    finally:
        screen.close()

    assert not UNSEEN.search(OURS.sub("", screen.raw)), screen.raw.encode("unicode_escape")
    assert "\x1b[2J" not in screen.raw
    assert not any(line.startswith("FORGED") for line in screen.text.split("\n"))
    if words[-1] == "--json" and words[0] not in ("runs", "logs"):
        json.loads(screen.text)


def test_json_into_a_pipe_is_exact(cli, evil):
    shown = cli("show", evil["good"], "--json")

    assert shown.json["run"]["key"] == EVIL
    assert json.loads(cli("logs", evil["good"], "--json").out)["text"] == EVIL
    assert "\u202e" in shown.out


def test_a_traceback_in_user_code_is_a_block_and_an_app_says_nothing_else(tmp_path):
    (tmp_path / "app.py").write_text(f"# shiftboss\nraise ValueError({EVIL!r})\n")
    for more in ((), ("--debug",)):
        done = process("run", "app.py", *more, cwd=tmp_path)

        assert done.code == 2
        assert not UNSEEN.search(done.err.replace("\n", ""))
        assert not any(line.startswith(("FORGED", "Traceback")) for line in done.err.split("\n"))
        assert "    Traceback" in done.err


# ── log lines ────────────────────────────────────────────────────────────────────────────────────────────────────


def a_record(message, *args, name="some.library", exc=None):
    info = None if exc is None else (type(exc), exc, exc.__traceback__)
    return logging.LogRecord(name, logging.ERROR, "", 0, message, args, info)


@pytest.mark.parametrize("formatter", [PlainLines(), TerminalLines(8)], ids=["plain", "terminal"])
def test_a_log_line_of_any_logger_is_one_line_and_what_is_below_it_is_indented(formatter):
    text = formatter.format(a_record(f"{EVIL} %s", EVIL, exc=ValueError(EVIL)))
    first, *below = text.split("\n")

    assert not UNSEEN.search(text.replace("\n", ""))
    assert first.count("FORGED") == 6
    assert below
    assert all(line.startswith("    ") for line in below)


def test_a_json_log_line_has_the_texts_as_they_were():
    line = json.loads(JsonLines().format(a_record(f"{EVIL} %s", EVIL, exc=ValueError(EVIL))))

    assert line["message"] == f"{EVIL} {EVIL}"
    assert EVIL in line["exception"]


@pytest.mark.parametrize("form", ["text", "json"])
def test_the_lines_of_a_run_cannot_be_forged(tmp_path, form):
    (tmp_path / "app.py").write_text(
        "import logging\n"
        "from shiftboss import Context, Orchestrator\n"
        "boss = Orchestrator()\n"
        f"EVIL = {EVIL!r}\n"
        "def fails(ctx: Context):\n"
        "    ctx.log.warning(EVIL)\n"
        "    try:\n"
        "        raise ValueError(EVIL)\n"
        "    except ValueError:\n"
        "        ctx.log.exception('%s', EVIL)\n"
        "        logging.getLogger('lib').exception(EVIL)\n"
        "        raise\n"
        "for executor in ('thread', 'process'):\n"
        "    boss.register(executor, fails, every='1h', executor=executor, max_retries=0)\n"
    )
    done = process("run", "--burst", "--log-format", form, cwd=tmp_path)
    lines = done.err.rstrip("\n").split("\n")

    assert done.code == 0, done.err
    if form == "json":
        said = [json.loads(line) for line in lines if line.startswith("{")]
        assert sum(each["message"] == EVIL for each in said) == 6
        assert sum(EVIL in each.get("exception", "") for each in said) >= 4
        return
    assert not UNSEEN.search(done.err.replace("\n", ""))
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [A-Z]+ |    |using ", line) for line in lines), lines
    assert sum("FORGED" in line and not line.startswith("  ") for line in lines) == 8


# ── the one way out ──────────────────────────────────────────────────────────────────────────────────────────────


def test_nothing_in_the_command_writes_but_by_its_two_ways_out():
    folder = Path(shiftboss.cli.__file__).parent
    found = []
    for file in sorted(folder.rglob("*.py")):
        if file.name in ("messages.py", "table.py"):
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                is_print = called in ("print", "click.echo", "click.secho", "click.confirm", "click.prompt")
                if is_print or called.startswith(("sys.stdout.w", "sys.stderr.w", "traceback.print_")):
                    found.append(f"{file.relative_to(folder)}:{node.lineno} {called}")

    assert found == []


def test_what_is_watched_on_a_terminal_is_escaped_as_well(evil, tmp_path):
    screen = Terminal("status", "--watch", cwd=tmp_path, columns=200)
    try:
        screen.shows("FORGED")
        screen.process.send_signal(signal.SIGINT)
        screen.ends()
    finally:
        screen.close()

    assert "\u202e" not in screen.raw
    assert "\x9b" not in screen.raw
