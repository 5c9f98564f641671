"""`why`: what holds a run, and what does not."""

from .conftest import dead_runs


def first_run(cli, worker):
    return cli("runs", "--worker", worker, "--json").lines[-1]["id"]


def test_what_holds_is_named_with_gate_thing_fact_and_the_exit_code(cli, shop):
    assert cli("disable", "pick", "--reason", "stocktaking").code == 0

    found = cli("why", "pick")

    assert found.code == 3
    assert "does not start because" in found.out
    assert "disabled by ada" in found.out
    assert "stocktaking" in found.out
    assert found.out.splitlines()[-1].startswith("starts at the earliest:")


def test_json_has_the_gates_the_sentences_and_the_instants(cli, shop):
    cli("disable", "pick", "--reason", "stocktaking")

    found = cli("why", "pick", "--json")

    assert found.code == 3
    assert found.json["held"] is True
    assert found.json["worker"] == "pick"
    by_gate = {hold["gate"]: hold for hold in found.json["holds"]}
    assert set(by_gate) == {"not_due", "disabled", "unknown_worker"}
    assert by_gate["disabled"]["text"] == "disabled by ada: stocktaking"
    assert by_gate["not_due"]["until"] == found.json["run"]["due_at"]


def test_without_a_node_that_is_what_holds(cli, shop):
    found = cli("why", "cleanup")

    assert found.code == 3
    assert "no live node runs this worker" in found.out


def test_when_nothing_waits_it_says_what_makes_the_next_run(cli, shop):
    found = cli("why", "send-mail")

    assert found.code == 0
    assert "no pending runs; it runs only when triggered" in found.out
    assert "it runs after process-data" in cli("why", "report").out


def test_a_finished_run_says_how_it_ended(cli, shop):
    succeeded = first_run(cli, "fetch-data")
    died = dead_runs(cli)["ValueError"]

    assert "ended: succeeded" in cli("why", str(succeeded)).out
    assert "ended: dead (error)" in cli("why", str(died)).out
    assert "ValueError: cannot send to broken" in cli("why", str(died)).out
    assert cli("why", str(died)).code == 0


def test_neither_a_worker_nor_a_run(cli, shop):
    assert cli("why", "999999").code == 4
    assert cli("why", "9" * 30).code == 4
    assert "did you mean 'pick'?" in cli("why", "pikc").err
