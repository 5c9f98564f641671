"""`doctor`, `nodes`, `drain` and `migrate` on a real PostgreSQL server."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from postgres_server import Cluster, Place, a_cluster, free_port, unprivileged
from shiftboss import Orchestrator
from shiftboss.cli import doctor_postgres
from shiftboss.cli.doctor import Level
from shiftboss.clock import SystemClock
from shiftboss.stores.postgres import diagnostics
from shiftboss.stores.postgres.address import address_of
from shiftboss.stores.postgres.diagnostics import (
    Connections,
    Server,
    ServerFacts,
    Slot,
    Standby,
    TableStats,
    Who,
    look,
)

SERVER = Server(170_000, "17.0", False, False, "shop", "on", True, True, True, 1)
FACTS = ServerFacts(SERVER, "shiftboss", "127.0.0.1", False, False, "", 0.0, 0.001)
A_WRITER = Who(7, "ada", "psql", "idle in transaction", "meta", 10.0, 2)


@pytest.fixture
def store(cli, empty, place: Place) -> str:
    assert cli("migrate", "--store", place.url).code == 0
    return place.url


@contextmanager
def a_node(url: str, **options: object) -> Iterator[Orchestrator]:
    boss = Orchestrator(url, **options)  # type: ignore[arg-type]

    @boss.worker
    def idle() -> None: ...

    boss.sync.start()
    try:
        yield boss
    finally:
        boss.sync.stop()


def findings(cli, url: str) -> dict[str, tuple[str, str, str]]:
    """The severity, text and remedy of each finding that is not good, else of the first, by what it is about."""
    found: dict[str, tuple[str, str, str]] = {}
    for each in cli("doctor", "--json", "--store", url).json["findings"]:
        if each["about"] not in found or each["severity"] != "good":
            found[each["about"]] = (each["severity"], each["text"], each["remedy"])
    return found


def judged(facts: ServerFacts) -> dict[str, tuple[Level, str]]:
    return {
        each.about: (each.severity, each.text)
        for each in doctor_postgres.server(facts)
        if each.severity is not Level.GOOD
    }


# ── doctor ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_healthy_server_is_good_in_every_respect_but_what_the_tests_turn_off(cli, store):
    found = cli("doctor", "--json", "--store", store).json

    assert found["problems"] == 0
    about = {each["about"] for each in found["findings"]}
    assert about >= {"server", "connection", "clock", "privileges", "connections", "locks", "vacuum", "store"}
    warned = [each["text"].partition(" ")[0] for each in found["findings"] if each["severity"] == "warning"]
    assert warned == ["fsync", "full_page_writes"]
    assert all(each["remedy"] for each in found["findings"] if each["severity"] != "good")


def test_it_says_what_is_lost_without_waiting_for_the_disk(cli, store, place: Place):
    place.cluster.execute("ALTER ROLE postgres SET synchronous_commit = off")
    try:
        found = [each["text"] for each in cli("doctor", "--json", "--store", store).json["findings"]]
    finally:
        place.cluster.execute("ALTER ROLE postgres RESET synchronous_commit")

    assert any("loses the commits of its last moments" in text for text in found)


def test_it_names_who_holds_the_lock_and_how_to_end_it(cli, store, place: Place):
    with psycopg.connect(place.cluster.url, application_name="a report") as other:
        other.execute(f"SELECT FROM {place.schema}.meta FOR UPDATE")
        other.execute("SELECT pg_sleep(1.1)")
        severity, text, remedy = findings(cli, store)["locks"]
        pid = other.info.backend_pid

    assert severity == "warning"
    assert f"process {pid} (a report as postgres) holds locks on meta for 1." in text
    assert remedy.endswith(f"SELECT pg_terminate_backend({pid})")


def test_it_knows_who_keeps_whom_waiting(store, place: Place):
    lock = f"SELECT FROM {place.schema}.meta FOR UPDATE"
    with psycopg.connect(place.cluster.url) as holder, psycopg.connect(place.cluster.url) as waiter:
        holder.execute(lock)
        waits = threading.Thread(target=waiter.execute, args=(lock,))
        waits.start()
        while not place.execute("SELECT FROM pg_locks WHERE NOT granted"):
            time.sleep(0.01)  # the server notifies nobody of it
        (held,) = [who for who in look(address_of(store), SystemClock()).holders if who.keeps_waiting]
        holder.rollback()
        waits.join()
        pid = holder.info.backend_pid

    assert (held.pid, held.tables, held.keeps_waiting) == (pid, "meta", 1)


def test_every_question_is_one_that_the_server_understands(store, place: Place):
    values = {"schema": place.schema, "application": "shiftboss", "limit": 20}
    names = ("ROOM", "HOLDERS", "LONG", "PREPARED", "TABLES", "STANDBYS", "SLOTS", "RIGHTS", "ENTERS")
    with psycopg.connect(place.cluster.url, autocommit=True) as connection:
        for name in names:
            connection.execute(getattr(diagnostics, name), values)


def test_a_prepared_transaction_that_nobody_ends_is_named(cli, empty):
    with a_cluster("max_prepared_transactions=2", "fsync=off") as cluster:
        assert cli("migrate", "--store", cluster.url).code == 0
        with psycopg.connect(cluster.url) as other:
            other.execute("UPDATE shiftboss.meta SET number = number")
            other.execute("PREPARE TRANSACTION 'left over'")
        found = cli("doctor", "--json", "--store", cluster.url).json["findings"]

    assert [each["remedy"] for each in found if "'left over'" in each["text"]] == [
        "COMMIT PREPARED 'left over' or ROLLBACK PREPARED 'left over'"
    ]


def test_privileges_that_are_missing_come_with_their_grant(cli, store, place: Place):
    place.cluster.execute("CREATE ROLE clerk LOGIN")
    try:
        url = store.replace("postgres@", "clerk@")
        outside = cli("doctor", "--json", "--store", url).json["findings"]
        place.execute(f"GRANT USAGE ON SCHEMA {place.schema} TO clerk")
        place.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA {place.schema} TO clerk")
        inside = cli("doctor", "--json", "--store", url).json["findings"]
        place.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA {place.schema} TO clerk")
        without_ids = cli("doctor", "--json", "--store", url).json["findings"]
        place.execute(f"GRANT USAGE, SELECT, UPDATE ON ALL SEQUENCES IN SCHEMA {place.schema} TO clerk")
        at_last = cli("doctor", "--json", "--store", url).json
    finally:
        place.drop()
        place.cluster.execute("DROP ROLE clerk")

    assert any("clerk has no access to schema" in each["text"] for each in outside)
    lacks = next(each for each in inside if "clerk lacks" in each["text"])
    assert "lacks INSERT on" in lacks["text"]
    assert lacks["remedy"].startswith("as postgres: GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES")
    lacks = next(each for each in without_ids if "clerk lacks" in each["text"])
    assert "lacks USAGE on" in lacks["text"]
    assert "run_id" in lacks["text"]
    assert "ON ALL SEQUENCES" in lacks["remedy"]
    assert at_last["problems"] == 0


def test_a_standby_is_a_problem_and_its_primary_knows_of_it(cli, empty):
    with a_cluster("fsync=off") as primary:
        assert cli("migrate", "--store", primary.url).code == 0
        with a_cluster("fsync=off", following=primary) as standby:
            of_standby = findings(cli, standby.url)
            of_primary = findings(cli, primary.url)

    assert of_standby["role of the server"][0] == "problem"
    assert "follows (async" in of_primary["standby"][1]


def test_it_looks_at_a_server_without_a_store(cli, empty, place: Place):
    found = findings(cli, place.url)

    assert found["server"][0] == "good"
    assert "there is no store in schema" in found["store"][1]


def test_the_facts_of_the_way_there(store):
    facts = look(address_of(store), SystemClock())

    assert (facts.pooler, facts.is_encrypted, facts.host) == ("", False, "127.0.0.1")
    assert abs(facts.ahead_s) <= facts.unsure_s + 0.1


@pytest.mark.parametrize(
    ("facts", "about", "severity", "says"),
    [
        (FACTS._replace(host="db.example.org"), "connection", "warning", "can be read in transit"),
        (FACTS._replace(host="db.example.org", is_encrypted=True), "connection", "warning", "is not verified"),
        (FACTS._replace(ahead_s=90.0), "clock", "warning", "1 min 30 s ahead of this machine's"),
        (FACTS._replace(ahead_s=-90.0), "clock", "warning", "behind"),
        (FACTS._replace(pooler="statement"), "pooler", "problem", "does not support transactions"),
        (FACTS._replace(server=SERVER._replace(version_num=130_000)), "server", "warning", "no longer maintained"),
        (FACTS._replace(server=SERVER._replace(version_num=120_000)), "server", "problem", "too old"),
        (FACTS._replace(server=SERVER._replace(is_read_only=True)), "role of the server", "problem", "read_only is on"),
        (FACTS._replace(server=SERVER._replace(has_autovacuum=False), tables=(TableStats("run", 1, 0, 8192, None),)),
         "vacuum", "warning", "autovacuum is off"),
        (FACTS._replace(holders=(A_WRITER,)), "locks", "problem", "for 10 s and blocks 2 sessions"),
        (FACTS._replace(holders=(A_WRITER._replace(keeps_waiting=0),)), "locks", "warning", "for 10 s"),
        (FACTS._replace(long=(A_WRITER._replace(for_s=90.0),)), "transactions", "warning", "for 1 min 30 s, idle"),
        (FACTS._replace(tables=(TableStats("run", 5, 50_000, 1 << 20, None),)), "vacuum", "warning", "vacuumed never"),
        (FACTS._replace(tables=(TableStats("meta", 1, 0, 1 << 25, 60.0),)), "vacuum", "warning", "32 MiB"),
        (
            FACTS._replace(room=Connections(97, 95, 4, None, None, 0), nodes=2),
            "connections",
            "warning",
            "2 nodes need 6",
        ),
        (FACTS._replace(room=Connections(97, 5, 4, 1, None, 0), nodes=1), "connections", "warning", "1 left"),
        (
            FACTS._replace(room=Connections(97, 5, 4, None, None, 3)),
            "privileges",
            "warning",
            "3 sessions of other roles",
        ),
        (FACTS._replace(standbys=(Standby("b", "async", 40.0, 99),)), "standby", "warning", "40 s late"),
        (FACTS._replace(slots=(Slot("old", 1 << 31),)), "standby", "warning", "keeps 2.0 GiB of log"),
    ],
)  # fmt: skip
def test_what_facts_mean(facts: ServerFacts, about: str, severity: str, says: str):
    found = judged(facts)

    assert found[about][0] == severity
    assert says in found[about][1]


@pytest.mark.parametrize(
    "facts",
    [
        FACTS._replace(holders=(A_WRITER._replace(for_s=0.2),)),
        FACTS._replace(holders=(A_WRITER._replace(for_s=None, keeps_waiting=0),)),
        FACTS._replace(long=(A_WRITER._replace(for_s=200.0, state="active"),)),
        FACTS._replace(tables=(TableStats("history", 5, 50_000, 1 << 20, None),)),
        FACTS._replace(standbys=(Standby("", "", None, None),)),
    ],
)
def test_what_is_as_it_should_be_is_no_finding(facts: ServerFacts):
    assert judged(facts) == {}


@pytest.mark.chaos
@pytest.mark.parametrize("mode", ["transaction", "session", "statement"])
def test_a_pooler_is_known_by_its_mode(cluster: Cluster, place: Place, mode: str):
    program = shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    if program is None:
        pytest.fail("pgbouncer is not installed: apt-get install pgbouncer", pytrace=False)
    port = free_port()
    configuration = cluster.folder / f"pgbouncer-{mode}.ini"
    configuration.write_text(
        f"[databases]\n* = host=127.0.0.1 port={cluster.port} user=postgres\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
        f"listen_port = {port}\nunix_socket_dir =\nauth_type = any\npool_mode = {mode}\n"
    )
    process = subprocess.Popen([program, configuration], user=unprivileged(), stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        next(line for line in process.stderr if "process up" in line)
        facts = look(address_of(f"postgresql://postgres@127.0.0.1:{port}/postgres"), SystemClock())
    finally:
        process.terminate()
        process.communicate(timeout=60)

    assert facts.pooler == mode


# ── nodes and drain ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_node_is_live_by_the_clock_of_the_store(cli, empty, place: Place):
    """C2"""
    with a_node(place.url, max_concurrency=7):
        (node,) = cli("nodes", "--json", "--store", place.url).json["nodes"]
        shown = cli("nodes", "--store", place.url).out
        checked = findings(cli, place.url)
        facts = look(address_of(place.url), SystemClock())

    assert node["live"]
    assert (node["mode"], node["slots"]) == ("running", 7)
    assert 15 < node["lease_left_s"] <= 30
    assert "running" in shown
    assert checked["nodes"] == ("good", "1 live node", "")
    assert facts.nodes == 1
    assert cli("nodes", "--json", "--store", place.url).json["nodes"] == []


def test_drained_from_elsewhere_it_starts_nothing_new(cli, empty, place: Place):
    with a_node(place.url) as boss:
        (node,) = cli("nodes", "--json", "--store", place.url).json["nodes"]
        drained = cli("drain", node["name"], "--store", place.url)
        (after,) = cli("nodes", "--json", "--store", place.url).json["nodes"]
        run = boss.sync.trigger("idle")
        waits = cli("why", str(run.id), "--json", "--store", place.url)

    assert drained.code == 0
    assert (after["mode"], after["live"]) == ("draining", True)
    assert waits.code == 3


# ── migrate ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_migrate_says_what_it_made_and_then_that_there_is_nothing_to_do(cli, empty, place: Place):
    first, again = cli("migrate", "--store", place.url), cli("migrate", "--store", place.url)

    assert first.err.startswith(f"created postgresql://postgres@127.0.0.1:{place.cluster.port}")
    assert "already has the newest schema" in again.err


def test_a_file_moves_to_a_fleet(cli, shop, place: Place):
    moved = cli("migrate", "--from", "sqlite:///shiftboss.db", "--to", place.url)

    assert moved.code == 0
    assert cli("runs", "--store", place.url, "--json").out == cli("runs", "--json").out
