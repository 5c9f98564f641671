"""`runs`, `show`, `next`, `graph`."""

import getpass
import json
import re

import pytest

from shiftboss import Orchestrator

from .conftest import dead_runs


def test_runs_are_listed_newest_first(cli, shop):
    found = cli("runs")

    ids = [int(line.split()[0]) for line in found.out.splitlines()[1:]]
    assert found.code == 0
    assert ids == sorted(ids, reverse=True)


def test_runs_are_chosen_by_worker_status_and_age(cli, shop):
    dead = cli("runs", "--worker", "send-mail", "--status", "dead", "--json").lines

    assert {run["worker"] for run in dead} == {"send-mail"}
    assert {run["status"] for run in dead} == {"dead"}
    assert len(dead) == 2
    assert cli("runs", "--status", "dead", "--since", "2099-01-01", "--json").out == ""


def test_json_of_runs_is_an_object_a_line(cli, shop):
    found = cli("runs", "--limit", "4", "--json")

    assert len(found.lines) == 4
    assert all({"id", "worker", "status", "origin", "due_at", "attempts", "error"} <= set(run) for run in found.lines)


@pytest.mark.parametrize("args", [("--status", "lost"), ("--limit", "0"), ("--since", "yesterday-ish")])
def test_a_filter_that_is_not_understood_is_a_usage_error(cli, shop, args):
    assert cli("runs", *args).code == 2


def test_runs_of_an_unknown_worker_are_no_such_thing(cli, shop):
    assert cli("runs", "--worker", "nobody").code == 4


def test_a_run_shows_attempts_error_traceback_and_payload(cli, shop):
    run = dead_runs(cli)["ValueError"]

    out = cli("show", str(run)).out

    assert out.startswith(f"send-mail  run {run}  dead (error)")
    assert "ValueError: cannot send to broken" in out
    assert 'raise ValueError(f"cannot send to {to}")' in out
    assert '"to": "broken"' in out
    assert "dead letter  open" in out


def test_a_run_shows_what_it_came_from(cli, shop):
    run = cli("runs", "--worker", "report", "--status", "succeeded", "--json").lines[-1]

    found = cli("show", str(run["id"]))

    assert f"process-data {run['caused_by']} → this, {run['id']}" in found.out


def test_a_result_is_shown_as_it_is_stored(cli, shop):
    run = cli("runs", "--worker", "send-mail", "--status", "succeeded", "--json").lines[0]

    assert cli("show", str(run["id"]), "--json").json["run"]["result"] == {"to": "ada", "copies": 2}


def test_a_worker_with_a_ceiling_shows_it(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    boss = Orchestrator("sqlite:///shiftboss.db")
    boss.worker(name="measure", executor="process", max_memory="200MB")(getpass.getuser)
    boss.sync.start()
    boss.sync.stop()

    assert re.search(r"memory limit +200 MiB", cli("show", "measure").out)


def test_a_worker_shows_its_settings_relations_and_last_runs(cli, shop):
    out = cli("show", "process-data").out

    assert "Turn orders into parcels." in out
    for said in (
        "every 2 hours",
        "depends on",
        "fetch-data",
        "never runs with",
        "cleanup",
        "triggers",
        "report",
        "Last runs",
    ):
        assert said in out


def test_the_next_times_of_a_worker_are_in_the_zone_of_its_schedule(cli, shop):
    out = cli("show", "cleanup").out

    assert re.search(r"next +(\S+ )?02:30(:00)?, \S+ 02:30, \S+ 02:30 \(Europe/Berlin\), the first in \d+ ", out)


def test_the_page_of_a_worker_as_json_has_the_whole_declaration(cli, shop):
    found = cli("show", "send-mail", "--json").json

    assert found["definition"]["breaker"] == "mailer"
    assert found["definition"]["retry"]["max_retries"] == 0
    assert found["worker"]["dead_letters"] == 2
    assert len(found["runs"]) == 3


def test_texts_of_users_cannot_move_the_cursor(cli, shop):
    cli("disable", "pick", "--reason", "evil \x1b[2J\x07 and\nmore")

    for command in (("status",), ("show", "pick"), ("why", "pick"), ("health",), ("doctor",)):
        out = cli(*command).out
        assert "\x1b" not in out
        assert "\x07" not in out


# ── next ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_next_lists_instants_in_the_zone_of_the_worker(cli, shop):
    found = cli("next", "cleanup", "-n", "3")

    head, *rows = found.out.splitlines()
    assert found.code == 0
    assert head == '"30 2 * * *" every day at 02:30 (Europe/Berlin)'
    assert len(rows) == 3
    assert all(" 02:30 +0" in row for row in rows)


def test_next_marks_the_days_on_which_clocks_change(cli, shop):
    found = cli("next", "cleanup", "-n", "400")

    marked = [row for row in found.out.splitlines() if "clocks go" in row]
    assert len(marked) == 2
    assert any("03:00 +02:00" in row and "clocks go forward by 1 h at 02:00" in row for row in marked)
    assert any("02:30 +02:00" in row and "clocks go back by 1 h at 03:00" in row for row in marked)


def test_next_answers_for_any_cron_expression_without_a_store(cli, empty):
    found = cli("next", "0 9 * * MON", "-n", "2", "--timezone", "Europe/Berlin")

    assert found.code == 0
    assert [row.split()[0] for row in found.out.splitlines()[1:]] == ["Mon", "Mon"]
    assert cli("next", "0 9 * *").code == 2


@pytest.mark.parametrize(
    ("options", "head", "day"),
    [
        (("--on-calendar", "Mon 09:00"), '"Mon 09:00" Monday at 09:00 (UTC)', "Mon"),
        (
            ("--every", "2w", "--anchor", "2026-01-05 09:00", "--timezone", "Europe/Berlin"),
            "every 14 days from Monday 2026-01-05 09:00 (Europe/Berlin)",
            "Mon",
        ),
        (
            ("--rrule", "FREQ=WEEKLY;BYDAY=TU", "--anchor", "2026-01-06"),
            "every week on Tuesday, from Tuesday 2026-01-06 00:00 (UTC)",
            "Tue",
        ),
        (
            ("0 9 * * SAT", "--weekdays", "Mon..Fri", "--otherwise", "next"),
            '"0 9 * * SAT" Saturdays at 09:00, Monday to Friday only, but on the next such day instead (UTC)',
            "Mon",
        ),
    ],
)
def test_next_answers_for_any_schedule_without_a_store(cli, empty, options, head, day):
    """M4"""
    found = cli("next", *options, "-n", "2")

    assert found.code == 0
    first, *rows = found.out.splitlines()
    assert first.endswith(head.partition('" ')[2] or head)
    assert [row.split()[0] for row in rows] == [day, day]


def test_next_says_where_a_schedule_ends(cli, empty):
    found = cli("next", "--at", "2199-01-01", "--at", "2199-02-01")

    assert len(found.out.splitlines()) == 3
    assert "the schedule ends here" in found.err
    assert "it has no further time" in cli("next", "--at", "2026-01-01").err
    assert len(cli("next", "--at", "2199-01-01", "--json").json["instants"]) == 1


def test_next_takes_one_schedule(cli, empty):
    for options in ((), ("cleanup", "--every", "5m"), ("cleanup", "--timezone", "UTC"), ("--every", "5m", "--at", "x")):
        assert cli("next", *options).code == 2


def test_next_of_a_worker_without_a_schedule_says_so(cli, shop):
    found = cli("next", "send-mail")

    assert (found.code, found.out) == (0, "")
    assert "has no schedule" in found.err


def test_next_warns_that_a_disabled_worker_will_not_start(cli, shop):
    cli("disable", "cleanup")

    assert "cleanup is disabled by ada: no runs start" in cli("next", "cleanup").err


def test_next_as_json_has_instants_and_clock_changes(cli, shop):
    found = cli("next", "cleanup", "-n", "400", "--json").json

    assert len(found["instants"]) == 400
    assert sorted(change["change_s"] for change in found["clock_changes"]) == [-3600, 3600]


# ── graph ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_graph_is_a_tree_of_upstreams_and_what_is_shared(cli, shop):
    out = cli("graph").out

    assert "fetch-data  every hour\n└─ process-data  every 2 hours\n   └─ report" in out
    assert "cleanup never runs with process-data" in out
    assert "warehouse (1 concurrency slot)" in out
    assert "mailer" in out


def test_the_graph_around_a_worker_shows_the_nearest_and_counts_the_others(cli, shop):
    graph = cli("graph", "--around", "report", "--limit", "2")
    whole = cli("graph", "--json").json["workers"]

    assert "fetch-data  not shown here\n└─ process-data  every 2 hours\n   └─ report" in graph.out
    assert f"and {len(whole) - 2} more workers" in graph.err
    assert cli("graph", "--around", "report", "--limit", "2", "--json").json["workers"].keys() == {
        "process-data",
        "report",
    }


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("--around", "reprot"), "did you mean"),
        (("--limit", "2", "--all"), "--all"),
        (("app.py", "--limit", "2"), "about the store"),
    ],
)
def test_a_graph_that_cannot_be_chosen_so_is_refused(cli, shop, args, says):
    refused = cli("graph", *args)

    assert refused.code != 0
    assert says in refused.err


def test_the_graph_of_an_app_needs_no_store(cli, shop):
    (shop / "shiftboss.db").unlink()

    assert "└─ process-data" in cli("graph", "app.py").out


def test_mermaid_has_an_arrow_for_each_edge(cli, shop):
    out = cli("graph", "--format", "mermaid").out

    ids = {line.split('["')[1].split("<")[0]: line.split("[")[0].strip() for line in out.splitlines() if '["' in line}
    assert out.startswith("flowchart LR\n")
    assert f"    {ids['fetch-data']} --> {ids['process-data']}\n" in out
    assert f"    {ids['process-data']} -.->|after| {ids['report']}\n" in out
    assert f"    {ids['cleanup']} x--x {ids['process-data']}\n" in out


def test_the_graph_as_json_is_edges(cli, shop):
    found = json.loads(cli("graph", "--json").out)

    assert found["depends_on"] == [["fetch-data", "process-data"]]
    assert found["after"] == [["process-data", "report"]]
    assert found["blocks"] == [["cleanup", "process-data"]]
    assert found["resources"] == {"warehouse": {"size": 1, "used_by": {"pick": 1}}}
