"""`trigger`: payloads, options, refusals.  Waiting is in test_processes.py."""

import json

import pytest

from shiftboss import Orchestrator


def payload_of(cli, run_id):
    return cli("show", run_id.strip(), "--json").json["run"]["payload"]


@pytest.mark.parametrize(
    ("words", "payload"),
    [
        ((), None),
        (('{"to": "ada", "copies": 2}',), {"to": "ada", "copies": 2}),
        (("to=ada", "copies=2"), {"to": "ada", "copies": 2}),
        (("to=007", "subject=true", "tags=[1, 2]"), {"to": "007", "subject": True, "tags": [1, 2]}),
        (("to=a=b", "subject="), {"to": "a=b", "subject": ""}),
        (('to="7"',), {"to": "7"}),
    ],
)
def test_a_payload_is_json_or_pairs_whose_values_are_json_where_they_can_be(cli, shop, words, payload):
    found = cli("trigger", "send-mail", *words)

    assert (found.code, found.err) == (0, "")
    assert payload_of(cli, found.out) == payload


def test_a_payload_comes_from_a_file_or_stdin(cli, shop):
    (shop / "mail.json").write_text('{"to": "ada"}')

    assert payload_of(cli, cli("trigger", "send-mail", "@mail.json").out) == {"to": "ada"}
    assert payload_of(cli, cli("trigger", "send-mail", "-", input='{"to": "bob"}').out) == {"to": "bob"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("{",), "is not valid JSON"),
        (("[1]",), "a payload is an object"),
        (("@gone.json",), "gone.json cannot be read"),
        (("ada",), "neither a JSON object nor key=value"),
        (("{}", "to=x"), "is the whole payload; drop"),
        (("--in", "soon", "to=x"), "not understood"),
        (("--at", "someday", "to=x"), "is not a time"),
        (("--in", "1m", "--at", "18:00"), "cannot be combined"),
        (("--timeout", "1m"), "--wait"),
        (("--priority", "urgent"), "low"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(cli, shop, words, said):
    found = cli("trigger", "send-mail", *words)

    assert (found.code, found.out) == (2, "")
    assert said in found.err
    assert len(found.err.splitlines()) == 1


def test_with_the_app_the_payload_is_checked_by_its_type_hints(cli, shop):
    found = cli("trigger", "send-mail", "-a", "app.py", "too=ada")

    assert found.code == 2
    assert "did you mean 'to'?" in found.err
    assert cli("trigger", "send-mail", "-a", "app.py", "to=ada").code == 0


def test_a_number_too_large_for_a_machine_stays_what_it_is(cli, shop):
    run = cli("trigger", "send-mail", "-", input='{"to":"x","id":123456789012345678901234567890}').out

    assert payload_of(cli, run)["id"] == 123456789012345678901234567890


def test_options_are_kept_with_the_run(cli, shop):
    found = cli(
        "trigger",
        "send-mail",
        "to=ada",
        "--key",
        "order-7",
        "--priority",
        "high",
        "--at",
        "2099-01-01T00:00Z",
        "--json",
    )

    assert found.json["key"] == "order-7"
    assert found.json["priority"] == "high"
    assert found.json["due_at"] == "2099-01-01T00:00:00Z"


def test_the_same_key_gives_the_same_run_and_another_payload_is_refused(cli, shop):
    first = cli("trigger", "send-mail", "to=ada", "--key", "order-7")
    again = cli("trigger", "send-mail", "to=ada", "--key", "order-7")
    other = cli("trigger", "send-mail", "to=bob", "--key", "order-7")

    assert first.out == again.out
    assert other.code == 5
    assert "another payload" in other.err


def test_a_disabled_worker_refuses_unless_forced(cli, shop):
    refused = cli("trigger", "report")

    assert refused.code == 5
    assert "moving house" in refused.err
    assert cli("trigger", "report", "--force").code == 0


def test_an_unknown_worker_is_no_such_thing(cli, shop):
    found = cli("trigger", "send-mial")

    assert found.code == 4
    assert "did you mean 'send-mail'?" in found.err


def test_the_run_id_alone_is_on_stdout(cli, shop):
    assert json.loads(cli("trigger", "send-mail", "to=ada").out) > 0


def test_a_store_that_is_missing_is_made_where_that_is_asked_for(cli, shop):
    words = ("trigger", "send-mail", "to=ada", "-s", "new.db", "-a", "app.py")

    missing = cli(*words)
    made = cli(*words, "--create")

    assert (missing.code, (shop / "new.db").exists()) == (4, True)
    assert "start an application on it first" in missing.err
    assert (made.code, made.err) == (0, "")
    assert cli("show", made.out.strip(), "-s", "new.db", "--json").json["run"]["status"] == "pending"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("trigger", "send-mail", "to=x", "--key", ""), 2, "key='' is empty; give a text, or leave key= out"),
        (("trigger", "send-mail", "to=x", "--key", "x" * 501), 2, "has 501 characters; the limit is 500"),
        (("trigger", "send-mail", "to=x", "--in", "200000d"), 2, "is not a usable duration"),
        (("trigger", "send-mail", "to=x", "--at", "0001-01-01T00:00+14:00"), 2, "is not a time"),
        (("disable", "send-mail", "--reason", "x" * 2001), 2, "has 2,001 characters; the limit is 2,000"),
        (("cancel", "0"), 4, "no run 0 is stored"),
        (("prune", "--older-than", "99999999d", "--yes"), 2, "is not a usable duration"),
        (("next", "*/90 * * * *"), 2, 'for a fixed distance use every="90m"'),
        (("dead", "replay", "--all", "--rate", "1/999999999d"), 2, "rate='1/999999999d' cannot be kept"),
    ],
)
def test_a_value_that_cannot_be_is_refused_in_the_words_of_the_library(cli, shop, words, code, said):
    found = cli(*words)

    assert (found.code, found.out) == (code, "")
    assert said in found.err


def test_a_run_that_waits_until_a_broken_worker_has_been_probed_says_so(cli, tmp_path):
    """K5: it is stored, and who has sent it is told."""
    store = f"sqlite:///{tmp_path / 'jobs.db'}"
    boss = Orchestrator(store)

    @boss.worker(max_retries=0, max_consecutive_failures=1)
    def send() -> None:
        raise ValueError("no connection")

    boss.sync.start()
    boss.sync.wait_for(boss.sync.trigger("send").id, timeout=30)
    boss.sync.stop()
    waits = cli("trigger", "send", "--store", store)
    forced = cli("trigger", "send", "--force", "--store", store)

    assert (waits.code, waits.out) == (0, "2\n")
    assert "send is disabled automatically" in waits.err
    assert "triggers are accepted and wait for a test run" in waits.err
    assert (forced.code, forced.err) == (0, "")
