"""`dead`: list, show, replay, resolve, discard, export."""

import base64
import hashlib

from .conftest import dead_runs, process


def test_the_list_is_grouped_by_worker_cause_and_error(cli, shop):
    found = cli("dead", "--json").json

    assert found["total"] == 2
    assert [(each["worker"], each["cause"], each["count"]) for each in found["groups"]] == [
        ("send-mail", "error", 1),
        ("send-mail", "fatal", 1),
    ]
    assert cli("dead").out.splitlines()[0].split()[:4] == ["DEAD", "WORKER", "CAUSE", "ERROR"]


def test_the_list_can_be_filtered_by_the_short_name_of_an_error(cli, shop):
    assert cli("dead", "--error", "ValueError", "--json").json["total"] == 1
    assert cli("dead", "list", "--worker", "send-mail", "--since", "1h", "--json").json["total"] == 2
    assert cli("dead", "--error", "KeyError").err.strip() == "no dead letters"


def test_one_is_shown_like_a_run(cli, shop):
    run = dead_runs(cli)["ValueError"]

    assert "cannot send to broken" in cli("dead", "show", str(run)).out
    assert cli("dead", "show", str(run), "--json").json["letter"]["state"] == "open"


def test_what_is_no_dead_letter_is_refused(cli, shop):
    alive = cli("runs", "--status", "succeeded", "--json").lines[0]["id"]

    assert cli("dead", "show", str(alive)).code == 5
    assert cli("dead", "replay", str(alive)).code == 5
    assert cli("dead", "replay", "999999").code == 4


def test_a_replay_is_a_new_run_with_the_same_payload(cli, shop):
    dead = dead_runs(cli)["ValueError"]

    found = cli("dead", "replay", str(dead))

    old, new = map(int, found.out.split())
    run = cli("show", str(new), "--json").json["run"]
    assert old == dead
    assert run["replay_of"] == dead
    assert run["payload"] == {"to": "broken"}
    assert f"replayed as run {new}" in cli("show", str(dead)).out


def test_a_replayed_one_is_not_replayed_again(cli, shop):
    dead = str(dead_runs(cli)["ValueError"])
    cli("dead", "replay", dead)

    assert cli("dead", "replay", dead).code == 5


def test_many_need_a_yes_and_a_dry_run_changes_nothing(cli, shop):
    dry = cli("dead", "replay", "--all", "--dry-run")

    assert dry.code == 0
    assert len(dry.out.splitlines()) == 2
    assert "would replay 2 dead letters of send-mail" in dry.err
    assert cli("dead", "replay", "--worker", "send-mail").code == 2
    assert cli("dead", "--json").json["total"] == 2


def test_a_pace_is_kept_by_the_instants_at_which_they_are_due(cli, shop):
    found = cli("dead", "replay", "--all", "--rate", "1/h", "--yes", "--json")

    due = sorted(line["due_at"] for line in found.lines)
    assert found.code == 0
    assert due[0][:13] != due[1][:13]


def test_nothing_to_do_is_no_failure(cli, shop):
    found = cli("dead", "replay", "--error", "KeyError", "--yes")

    assert (found.code, found.out) == (0, "")
    assert "nothing to replay" in found.err


def test_what_is_meant_must_be_said(cli, shop):
    assert cli("dead", "replay").code == 2
    assert cli("dead", "discard", "12", "--all", "--yes").code == 2
    assert cli("dead", "replay", "--rate", "fast", "--all").code == 2
    assert cli("dead", "reply", "12").code == 2


def test_resolve_closes_with_a_note(cli, shop):
    dead = str(dead_runs(cli)["ValueError"])

    assert cli("dead", "resolve", dead, "--note", "booked by hand").code == 0
    assert cli("dead", "--json").json["total"] == 1
    assert "resolved by ada just now: booked by hand" in cli("dead", "show", dead).out


def test_discard_asks_also_for_a_single_one(cli, shop):
    dead = str(dead_runs(cli)["ValueError"])

    assert cli("dead", "discard", dead).code == 2
    assert cli("dead", "discard", dead, "--yes").code == 0
    assert cli("dead", "--json").json["total"] == 1


def test_export_has_the_payload_byte_for_byte_and_every_attempt(cli, shop):
    entry = next(line for line in cli("dead", "export").lines if line["error_type"].endswith("ValueError"))

    payload = base64.b64decode(entry["payload_base64"])
    assert payload == b'{"to":"broken"}'
    assert entry["payload_text"] == '{"to":"broken"}'
    assert entry["payload_sha256"] == hashlib.sha256(payload).hexdigest()
    assert entry["attempts"][0]["error"]["message"] == "cannot send to broken"
    assert entry["payload_masked"] is False


def test_export_masks_a_payload_with_secrets_unless_it_is_told_not_to(cli, shop):
    """Q2, A12: what is masked has no bytes to run again; the audit says which it was."""
    given = b'{"subject":"password=open-sesame","to":"broken"}'
    run = cli("trigger", "send-mail", given.decode()).out.strip()
    assert process("run", "--burst", cwd=shop).code == 0
    masked, whole = (
        next(line for line in cli(*words).lines if str(line["run"]) == run)
        for words in (("dead", "export"), ("dead", "export", "--unmasked"))
    )

    assert (masked["payload_masked"], masked["payload_base64"]) == (True, None)
    assert masked["payload_text"] == '{"subject":"password=[redacted]","to":"broken"}'
    assert (whole["payload_masked"], base64.b64decode(whole["payload_base64"])) == (False, given)
    assert masked["payload_sha256"] == whole["payload_sha256"] == hashlib.sha256(given).hexdigest()
    assert [act["after"] for act in cli("audit", "--action", "export dead letters", "--json").lines] == ["unmasked", ""]
