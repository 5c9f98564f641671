"""`trigger NAME --from FILE`: a trigger for each line, in batches, safe to repeat."""

from __future__ import annotations

import json

import pytest

from shiftboss.cli import line_import


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    monkeypatch.setattr(line_import, "BATCH_LINES", 3)


def mails(*names: str) -> str:
    return "".join(json.dumps({"to": name}) + "\n" for name in names)


def waiting(cli) -> dict[str, str]:
    """Recipients by key, of the runs of send-mail that wait."""
    runs = cli("runs", "--worker", "send-mail", "--status", "pending", "--json").lines
    shown = [cli("show", str(run["id"]), "--json").json["run"] for run in runs]
    return {run["key"]: run["payload"]["to"] for run in shown}


def test_each_line_is_a_trigger_and_a_repetition_triggers_nothing_twice(cli, shop):
    """O5, O6: keys of the file's name and the line's number."""
    (shop / "mails.jsonl").write_text(mails("a", "b", "c", "d"))
    first = cli("trigger", "send-mail", "--from", "mails.jsonl")
    again = cli("trigger", "send-mail", "--from", "mails.jsonl")

    assert (first.code, first.out, first.err) == (0, "4\n", "")
    assert (again.code, again.out) == (0, "4\n")
    assert waiting(cli) == {f"mails.jsonl:{number}": name for number, name in enumerate("abcd", 1)}


def test_it_is_committed_in_batches_and_json_has_the_ids(cli, shop):
    """O6: a line for each commit, and the ids in the order of the lines."""
    (shop / "mails.jsonl").write_text(mails(*"abcde"))
    found = cli("trigger", "send-mail", "--from", "mails.jsonl", "--json").lines

    assert [(each["first_line"], each["last_line"]) for each in found] == [(1, 3), (4, 5)]
    ids = [run for each in found for run in each["runs"]]
    assert ids == sorted(ids)
    assert [cli("show", str(run), "--json").json["run"]["payload"]["to"] for run in ids] == list("abcde")


def test_a_line_may_have_its_own_key_which_is_no_parameter(cli, shop):
    (shop / "mails.jsonl").write_text('{"$key": "order-7", "to": "a", "copies": 1.50}\n{"to": "b"}\n')
    ids = cli("trigger", "send-mail", "--from", "mails.jsonl", "--import", "friday", "--json").lines[0]["runs"]

    assert waiting(cli) == {"order-7": "a", "friday:2": "b"}
    assert cli("show", str(ids[0]), "--json").out.count('{"to":"a","copies":1.50}') == 1
    assert cli("trigger", "send-mail", '{"to": "a", "copies": 1.5}', "--key", "order-7").out == f"{ids[0]}\n"


def test_it_reads_stdin_and_says_how_that_is_repeated(cli, shop):
    """A stream has no name: what is said has the one that was made."""
    found = cli("trigger", "send-mail", "--from", "-", input=mails(*"abc") + "{\n")

    assert (found.code, found.out) == (2, "")
    assert "line 4: worker 'send-mail': the payload is not valid JSON" in found.err
    assert "lines 1 to 3 are stored; to go on, repeat the command with --import stdin-" in found.err
    name = found.err.partition("--import ")[2].split()[0]
    mended = cli("trigger", "send-mail", "--from", "-", "--import", name, input=mails(*"abcd"))
    assert (mended.code, mended.out) == (0, "4\n")
    assert waiting(cli) == {f"{name}:{number}": to for number, to in enumerate("abcd", 1)}


def test_of_a_batch_with_a_refused_line_nothing_is_stored_and_all_of_them_are_named(cli, shop):
    """O6"""
    lines = [*mails(*"abcd").splitlines(), "[1]", '{"to": "e", "to": "f"}', '{"to": "g"}']
    (shop / "mails.jsonl").write_text("\n".join(lines))
    found = cli("trigger", "send-mail", "--from", "mails.jsonl")

    assert found.code == 2
    said = found.err.splitlines()
    assert [line.partition(" worker")[0] for line in said[:2]] == ["line 5:", "line 6:"]
    assert "is a list; give an object" in said[0]
    assert "has the name 'to' twice" in said[1]
    assert said[2] == "lines 1 to 3 are stored; to go on, repeat the same command: no line is stored twice"
    assert said[3].endswith("2 lines were refused; nothing of lines 4 to 6 is stored")
    assert sorted(waiting(cli).values()) == ["a", "b", "c"]


def test_as_json_every_refused_line_is_there(cli, shop):
    (shop / "mails.jsonl").write_text("[1]\n" + mails("a") + "7\n")
    found = cli("trigger", "send-mail", "--from", "mails.jsonl", "--json")

    assert [(each["line"], each["type"]) for each in found.lines] == [(1, "WrongPayload"), (3, "WrongPayload")]


def test_with_the_app_each_line_is_checked_by_the_type_hints(cli, shop):
    """W5"""
    (shop / "mails.jsonl").write_text('{"to": "a"}\n{"to": 7}\n{"too": "b"}\n')
    found = cli("trigger", "send-mail", "-a", "app.py", "--from", "mails.jsonl")

    assert found.code == 2
    assert "line 2: " in found.err
    assert "did you mean 'to'?" in found.err
    assert waiting(cli) == {}


def test_blank_lines_are_left_out_and_named(cli, shop):
    (shop / "mails.jsonl").write_text("\n" + mails("a") + "  \r\n" + mails("b") + "\n")
    found = cli("trigger", "send-mail", "--from", "mails.jsonl")

    assert (found.code, found.out, found.err) == (0, "2\n", "blank lines were skipped: 1, 3, 5\n")
    assert waiting(cli) == {"mails.jsonl:2": "a", "mails.jsonl:4": "b"}


def test_another_file_of_that_name_is_refused_unless_it_gets_a_name(cli, shop):
    """O5: nothing is taken for a repetition that is none."""
    (shop / "mails.jsonl").write_text(mails("a"))
    cli("trigger", "send-mail", "--from", "mails.jsonl")
    (shop / "mails.jsonl").write_text(mails("b"))
    found = cli("trigger", "send-mail", "--from", "mails.jsonl")

    assert found.code == 5
    assert "line 1: key 'mails.jsonl:1' of worker 'send-mail' belongs to run" in found.err
    assert "a name of its own: --import NAME" in found.err
    assert cli("trigger", "send-mail", "--from", "mails.jsonl", "--import", "b").code == 0
    assert waiting(cli) == {"mails.jsonl:1": "a", "b:1": "b"}


def test_an_unknown_worker_is_said_once(cli, shop):
    (shop / "mails.jsonl").write_text(mails(*"abcde"))
    found = cli("trigger", "send-mial", "--from", "mails.jsonl")

    assert found.code == 4
    assert found.err.count("did you mean 'send-mail'?") == 1
    assert found.err.startswith("lines 1 to 3: ")
    assert "nothing is stored; to go on, repeat the same command" in found.err


def test_options_count_for_all_lines(cli, shop):
    (shop / "mails.jsonl").write_text(mails(*"ab"))
    found = cli("trigger", "send-mail", "--from", "mails.jsonl", "--priority", "high", "--in", "1h", "--json")
    runs = [cli("show", str(run), "--json").json["run"] for run in found.lines[0]["runs"]]

    assert [run["priority"] for run in runs] == ["high", "high"]
    assert cli("trigger", "report", "--from", "mails.jsonl").code == 5  # it is disabled
    assert cli("trigger", "pick", "--from", "mails.jsonl", "--force").code == 0


def test_what_a_person_triggers_is_audited_once_for_each_batch(cli, shop):
    """A1, O6"""
    (shop / "mails.jsonl").write_text(mails(*"abcde"))
    cli("trigger", "send-mail", "--from", "mails.jsonl")
    acts = cli("audit", "--action", "trigger", "--worker", "send-mail", "--json").lines[:2]

    assert [(act["by"], act["after"].partition(",")[0]) for act in acts] == [("ada", "2 runs"), ("ada", "3 runs")]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--from", "gone.jsonl"), "gone.jsonl cannot be read"),
        (("--from", "."), "cannot be read"),
        (("--from", "mails.jsonl", "to=ada"), "without a payload"),
        (("--from", "mails.jsonl", "--key", "a"), '"$key"'),
        (("--from", "mails.jsonl", "--wait"), "--wait"),
        (("--import", "x"), "--from"),
        (("--from", "key.jsonl"), 'line 1: "$key" is not a string'),
        (("--from", "long.jsonl"), "line 2 has more than"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(cli, shop, monkeypatch, words, said):
    monkeypatch.setattr(line_import, "MAX_LINE_BYTES", 100)
    (shop / "mails.jsonl").write_text(mails("a"))
    (shop / "key.jsonl").write_text('{"$key": 7, "to": "a"}\n')
    (shop / "long.jsonl").write_text(mails("a") + "x" * 200)
    found = cli("trigger", "send-mail", *words)

    assert (found.code, found.out) == (2, "")
    assert said in found.err
    assert waiting(cli) == {}


def test_no_more_than_a_batch_is_read_ahead(cli, shop, monkeypatch):
    """A file may be larger than memory."""
    held = []

    class Watched(line_import.Lines):
        def batches(self):
            for batch in super().batches():
                held.append((len(batch.numbers), self.read_bytes))
                yield batch

    monkeypatch.setattr(line_import, "Lines", Watched)
    monkeypatch.setattr(line_import, "BATCH_BYTES", 40)
    (shop / "mails.jsonl").write_text(mails("a", "b" * 50, "c", "d", "e", "f"))

    assert cli("trigger", "send-mail", "--from", "mails.jsonl").code == 0
    assert [count for count, _ in held] == [2, 3, 1]
    assert held[0][1] == len(mails("a", "b" * 50))


def test_on_a_terminal_there_is_a_bar_and_elsewhere_a_line_now_and_then(cli, shop, monkeypatch):
    (shop / "mails.jsonl").write_text(mails(*"abcdef"))
    monkeypatch.setattr(line_import, "NOTE_LINES", 4)
    plain = cli("trigger", "send-mail", "--from", "mails.jsonl").err
    monkeypatch.setattr(line_import.messages, "is_terminal", lambda stream: True)
    shown = cli("trigger", "send-mail", "--from", "mails.jsonl").err
    streamed = cli("trigger", "send-mail", "--from", "-", input=mails("a")).err

    assert plain == "6 triggered\n"
    assert " 50 %  3 triggered" in shown
    assert "100 %  6 triggered" in shown
    assert "1 triggered" in streamed
    assert "%" not in streamed


def test_an_interruption_says_what_is_stored_and_how_to_go_on(cli, shop, monkeypatch):
    def interrupted(count, **_):
        if count > 3:
            raise KeyboardInterrupt

    (shop / "mails.jsonl").write_text(mails(*"abcdefgh"))
    with monkeypatch.context() as patch:
        patch.setattr(line_import, "_show", interrupted)
        found = cli("trigger", "send-mail", "--from", "mails.jsonl")

    assert found.code == 130
    assert "lines 1 to 6 are stored; to go on, repeat the same command" in found.err
    assert cli("trigger", "send-mail", "--from", "mails.jsonl").out == "8\n"
    assert len(waiting(cli)) == 8
