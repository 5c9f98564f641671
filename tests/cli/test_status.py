"""`status`, `health`, `nodes`: how is everything."""

import re

import pytest

from .conftest import process


def columns(out, title):
    """A column of a plain table, by the place of its title."""
    head, *rows = [line for line in out.splitlines() if line.startswith(("WORKER", " ")) or "  " in line][1:]
    start = head.index(title)
    return [row[start:].split("  ")[0] for row in rows]


def test_disabled_workers_stand_first_and_the_exit_code_says_not_healthy(cli, shop):
    found = cli("status")

    assert found.code == 3
    assert columns(found.out, "WORKER")[0] == "report"
    assert columns(found.out, "HEALTH")[0] == "disabled"


def test_off_a_terminal_a_worker_is_one_line_and_nothing_is_cut(cli, shop):
    out = cli("status", COLUMNS="20").out

    assert len(out.splitlines()) == 2 + 6
    assert "every day at 02:30 (Europe/Berlin)" in out
    assert re.search(r"disabled by ada .*: moving house", out)
    assert "\x1b" not in out
    assert "\t" not in out


def test_a_worker_that_is_asked_for_is_judged_alone(cli, shop):
    found = cli("status", "report", "--json")

    assert found.code == 3
    assert found.json["name"] == "report"
    assert found.json["disabled"]["reason"] == "moving house"


def test_what_is_cut_says_so_for_people_and_for_scripts(cli, shop):
    found, data = cli("status", "--limit", "2"), cli("status", "--limit", "2", "--json").json
    whole = cli("status", "--json").json

    assert columns(found.out, "WORKER")[0] == "report"
    assert found.err == "and 4 more workers: show them with --all\n"
    assert [each["name"] for each in data["workers"]] == [each["name"] for each in whole["workers"]][:2]
    assert (data["next"] is None, whole["next"]) == (False, None)
    assert data["totals"] == whole["totals"]
    assert data["matching"] == whole["totals"]["workers"] == 6


@pytest.mark.parametrize("more", [["report"], ["--all"], ["--watch"]])
def test_a_limit_goes_with_the_whole_list_alone(cli, shop, more):
    assert cli("status", "--limit", "2", *more).code == 2


def test_an_unknown_worker_is_no_such_thing(cli, shop):
    found = cli("status", "reprot")

    assert (found.code, found.out) == (4, "")
    assert "did you mean 'report'?" in found.err


def test_json_is_one_object_with_every_field_whatever_its_value(cli, shop):
    found = cli("status", "--json").json

    fields = {"at", "health", "reasons", "nodes", "running", "workers", "store", "totals", "matching", "next"}
    assert set(found) == fields
    worker = next(each for each in found["workers"] if each["name"] == "send-mail")
    assert worker["dead_letters"] == 2
    assert worker["latest"]["ok"] is False
    assert worker["breaker"] == "closed"
    assert worker["disabled"] is None
    assert worker["holds"] == []


def test_an_empty_store_is_healthy_and_says_that_there_is_nothing(cli, empty):
    assert cli("migrate").code == 0

    found = cli("status")

    assert found.code == 0
    assert "no workers are registered in this store" in found.err


def test_health_gives_a_word_and_the_reasons(cli, shop):
    found = cli("health")

    assert found.code == 3
    assert found.out.split()[0] in ("degraded", "unhealthy")
    assert "moving house" in found.out
    assert cli("health", "--json").json["workers"]["report"]["status"] == "disabled"


def test_health_with_a_limit_is_about_the_worst_and_counts_all(cli, shop):
    one = cli("health", "--limit", "1")
    whole, page = cli("health", "--json").json, cli("health", "--limit", "1", "--json").json

    assert one.code == 3
    assert f"and {len(whole['workers']) - 1} more workers" in one.err
    assert (page["status"], page["counts"]) == (whole["status"], whole["counts"])
    assert (list(page["workers"]), page["matching"]) == (["report"], len(whole["workers"]))
    assert (whole["next"], page["next"] is None) == (None, False)
    assert cli("health", "--limit", "1", "--all").code == 2


def test_nodes_says_that_there_is_none(cli, shop):
    found = cli("nodes")

    assert (found.code, found.out) == (0, "")
    assert "no node" in found.err
    assert cli("nodes", "--json").json == {"nodes": []}


@pytest.mark.parametrize(
    "args", [("status",), ("why", "pick"), ("show", "send-mail"), ("runs",), ("dead",), ("doctor",)]
)
def test_without_rich_everything_is_still_there(shop, args):
    (shop / "rich.py").write_text("raise ImportError('not installed')\n")

    found = process(*args, cwd=shop, PYTHONPATH=str(shop))

    assert found.code in (0, 3)
    assert found.out
    assert "Traceback" not in found.err
