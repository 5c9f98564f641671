"""What `make advisories` makes of the answers of an index: found, not found, not answered."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parents[1] / "tools/advisories.py"
PARSER = {"id": "PYSEC-2026-7", "aliases": ["CVE-2026-1234"], "fixed_in": ["1.1"], "link": "https://osv.example/7"}
UNMENDED = {"id": "GHSA-x", "aliases": [], "fixed_in": [], "link": None}
TAKEN_BACK = {"id": "PYSEC-2026-8", "aliases": [], "fixed_in": [], "withdrawn": "2026-02-03T00:00:00Z"}
SOUND, BROKEN = "[]", '[{"id": "PYSEC-2026-7", "aliases": [], "fixed_in": ["1.1"], "link": ""}]'


@pytest.fixture
def tool(monkeypatch):
    spec = importlib.util.spec_from_file_location("advisories", TOOL)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "advisories", module)
    spec.loader.exec_module(module)
    return module


def test_pins_are_names_and_versions(tool):
    text = "# tools\npsycopg[binary]==3.3.9\n\nDjango==5.2.19  # a host\nloose>=1\nruff==0.17.6; python_version>'3'\n"

    assert list(map(str, tool.pins_of(text))) == ["psycopg 3.3.9", "django 5.2.19", "ruff 0.17.6"]
    assert len(tool.pins_of((TOOL.parents[1] / "requirements-dev.txt").read_text())) > 30


def test_each_advisory_that_holds_is_a_line(tool):
    pin = tool.Pin("parser", "1.0")

    assert tool.judged(pin, {"vulnerabilities": []}) == []
    assert tool.judged(pin, {"vulnerabilities": [PARSER, TAKEN_BACK, UNMENDED]}) == [
        "VULNERABLE: parser 1.0: PYSEC-2026-7 CVE-2026-1234; mended in: 1.1; https://osv.example/7",
        "VULNERABLE: parser 1.0: GHSA-x; mended in: no release yet",
    ]


@pytest.mark.parametrize("answer", [{}, {"vulnerabilities": None}, [], None, "no"])
def test_an_answer_without_advisories_is_not_an_answer_of_none(tool, answer):
    with pytest.raises(tool.CannotAsk, match="without `vulnerabilities`"):
        tool.judged(tool.Pin("parser", "1.0"), answer)


def a_file(name, yanked):
    return {"filename": name, "yanked": yanked}


def test_a_release_is_withdrawn_when_all_of_its_files_are(tool):
    pin = tool.Pin("json-parser", "1.0")
    wheel, source = "json_parser-1.0-py3-none-any.whl", "json-parser-1.0.tar.gz"
    newer = a_file("json_parser-1.0.1-py3-none-any.whl", False)

    assert tool.judged_files(pin, {"files": [a_file(wheel, False), a_file(source, False), newer]}) == []
    assert tool.judged_files(pin, {"files": [a_file(wheel, "bad build"), a_file(source, False)]}) == []
    assert tool.judged_files(pin, {"files": [a_file(wheel, "leaks keys"), a_file(source, "leaks keys"), newer]}) == [
        "WITHDRAWN: json-parser 1.0: leaks keys"
    ]
    assert tool.judged_files(pin, {"files": [a_file(wheel, True)]}) == ["WITHDRAWN: json-parser 1.0: no reason given"]
    assert tool.judged_files(pin, {"files": [a_file(wheel, "")]}) == ["WITHDRAWN: json-parser 1.0: no reason given"]
    with pytest.raises(tool.CannotAsk, match="lists no file of this release"):
        tool.judged_files(pin, {"files": [newer]})


def test_what_does_not_concern_us_is_shown_with_its_reason_and_fails_nothing(tool):
    tool.ACCEPTED["CVE-2026-1234"] = "we parse nothing of strangers"
    answers = {"application/json": {"vulnerabilities": [PARSER]}}

    report = tool.look([tool.Pin("parser", "1.0")], lambda address, accept: answers.get(accept))

    assert report.code == 0
    assert report.lines()[0].endswith("https://osv.example/7: we parse nothing of strangers")


def test_who_has_not_answered_in_time_was_not_asked(tool):
    gate = threading.Event()

    def ask(address, accept):
        gate.wait(30)
        raise tool.CannotAsk("too late")

    report = tool.look([tool.Pin("parser", "1.0")], ask, deadline_s=0)
    gate.set()

    assert report.code == 0
    assert report.lines() == [
        "NOT ASKED: vulnerabilities: no answer within 0 s: 1 packages (parser)",
        "NOT ASKED: withdrawn releases: no answer within 0 s: 1 packages (parser)",
        "advisories: nothing could be asked",
    ]


# ── the whole of it, at an index ─────────────────────────────────────────────────────────────────────────────────


@contextmanager
def index(answers):
    """An index that has these paths, and 404 for others."""

    class Index(BaseHTTPRequestHandler):
        def do_GET(self):
            body = answers.get(self.path)
            self.send_response(404 if body is None else 200)
            self.end_headers()
            self.wfile.write((body or "").encode())

        def log_message(self, *args): ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Index)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def advisories(tmp_path, address):
    """Its code, and what it prints about two pins."""
    file = tmp_path / "pinned.txt"
    file.write_text("sound==2.0\nparser==1.0\n")
    ran = subprocess.run(
        [sys.executable, TOOL, file],
        env={"SHIFTBOSS_INDEX": address, "NO_PROXY": "127.0.0.1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return ran.returncode, ran.stdout.replace(address, "INDEX").splitlines()


@pytest.mark.parametrize(("found", "code"), [(SOUND, 0), (BROKEN, 1)])
def test_a_known_vulnerability_fails_and_what_was_not_answered_is_said(tmp_path, found, code):
    answers = {"/pypi/parser/1.0/json": f'{{"vulnerabilities": {found}}}', "/pypi/sound/2.0/json": "{not json"}
    with index(answers) as address:
        ended, lines = advisories(tmp_path, address)

    assert ended == code
    assert lines[:-3] == ["VULNERABLE: parser 1.0: PYSEC-2026-7; mended in: 1.1"][:code]
    assert lines[-3].startswith("NOT ASKED: vulnerabilities: INDEX: JSONDecodeError")
    assert lines[-2:] == [
        "NOT ASKED: withdrawn releases: INDEX answers 404: 2 packages (parser, sound)",
        f"advisories: 1 answers, {code} findings",
    ]


def test_an_index_that_cannot_be_reached_fails_nothing_and_is_said(tmp_path):
    with index({}) as address:
        pass

    ended, lines = advisories(tmp_path, address)

    assert ended == 0
    assert len(lines) == 3
    assert all("ConnectionRefusedError" in line for line in lines[:2])
    assert lines[2] == "advisories: nothing could be asked"
