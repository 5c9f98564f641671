"""A8: the audit in real processes and nodes: several at once, killed before the seal, with several keys."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from shiftboss import Orchestrator
from shiftboss.app.audit_key import Keys, keys_of
from shiftboss.clock import SystemClock
from shiftboss.core.audit import Key
from shiftboss.core.verify import verify
from shiftboss.ports.faces import AuditFilter
from shiftboss.stores.urls import open_store

ACTS = 30


def a_boss(url: str) -> Orchestrator:
    boss = Orchestrator(url)
    for number in range(2):
        boss.register(f"job-{number}", lambda: None, executor="thread")
    return boss


@pytest.fixture(params=["sqlite", "postgres"])
def url(request, tmp_path, monkeypatch) -> str:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'boss.db'}"
    return request.getfixturevalue("place").url


async def switch(boss: Orchestrator, name: str) -> None:
    for number in range(ACTS // 2):
        await boss.disable(name, reason=f"number {number}")
        await boss.enable(name)


async def test_two_nodes_that_write_at_once_make_one_chain(url):
    """A8."""
    one, other = a_boss(url), a_boss(url)
    async with one:
        async with other:
            await asyncio.gather(switch(one, "job-0"), switch(other, "job-1"))
        verdict = await one.verify_audit()
        acts = await one.audit(AuditFilter(limit=1000))

    assert len(acts) == 2 * ACTS
    assert (verdict.holds, verdict.rows) == (True, 2 * ACTS)
    after = verified(url)
    assert after.is_proven
    assert (after.proven, after.unsealed) == (2 * ACTS, 0)  # the last act of a node is to seal what it owes


def verified(url: str, *keys: Key):
    store = open_store(url, SystemClock())
    store.open(create=False)
    session = store.session()
    known = keys_of(store, create=False)
    with session.read() as reader:
        rows, seals = reader.audit(after=0, limit=10_000), reader.seals(after=0, limit=10_000)
    store.close()
    return verify(seals, rows, keys=keys or known.keys, heads=known.heads, now=SystemClock().now())


async def test_two_machines_with_keys_of_their_own_make_one_chain_too(place, tmp_path, monkeypatch):
    """A8: each can prove what its own key vouches for, and both together everything."""
    bosses, keys = [a_boss(place.url), a_boss(place.url)], []
    for number, boss in enumerate(bosses):
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / f"machine-{number}"))
        await boss.start()
        keys += keys_of(boss.store, create=False).keys
    await asyncio.gather(switch(bosses[0], "job-0"), switch(bosses[1], "job-1"))
    for boss in bosses:
        await boss.stop()

    both = verified(place.url, *keys)
    assert len({key.id for key in keys}) == 2
    assert both.is_proven
    assert both.proven == 2 * ACTS
    assert all(verified(place.url, key).holds for key in keys)


KILLED = """
import os, signal, sys
from shiftboss import Orchestrator
boss = Orchestrator(sys.argv[1])
boss.register("job-0", lambda: None, executor="thread")
def last_words(events):  # told between the commit and the seal
    if any(type(event).__name__ == "WorkerDisabled" for event in events):
        os.kill(os.getpid(), signal.SIGKILL)
boss.on_events(last_words)
boss.sync.start()
boss.sync.disable("job-0", reason="the last words")
"""


def test_an_act_of_a_process_that_was_killed_before_its_seal_is_sealed_by_the_next(url, tmp_path):
    """A8: it is committed, and waits unharmed."""
    program = tmp_path / "killed.py"
    program.write_text(KILLED)
    ended = subprocess.run([sys.executable, str(program), url], timeout=60, check=False, env=dict(os.environ))
    before = verified(url)
    boss = a_boss(url)
    boss.sync.start()
    boss.sync.enable("job-0")
    boss.sync.stop()

    assert ended.returncode == -signal.SIGKILL
    assert (before.rows, before.unsealed, before.head) == (1, 1, None)
    after = verified(url)
    assert after.is_proven
    assert after.proven == 2


def test_what_a_client_without_the_key_did_is_sealed_by_a_node(url, monkeypatch, tmp_path):
    """A8: a client makes no key; whoever has it seals."""
    boss = a_boss(url)
    boss.sync.start()
    boss.sync.stop()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "elsewhere"))
    key = tmp_path / "boss.db.audit-key"
    if key.exists():
        key.rename(tmp_path / "away")
    boss.sync.disable("job-0")
    boss.sync.close()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    if (tmp_path / "away").exists():
        assert not key.exists()
        (tmp_path / "away").rename(key)
    assert verified(url).unsealed == 1
    boss.sync.start()
    boss.sync.enable("job-0")
    boss.sync.stop()

    assert verified(url).proven == 2


def test_a_key_that_everybody_can_read_seals_nothing(tmp_path, caplog):
    """A8."""
    url = f"sqlite:///{tmp_path / 'boss.db'}"
    key = Path(tmp_path, "boss.db.audit-key")
    key.write_text("a key that everybody can read\n")
    key.chmod(0o644)
    boss = a_boss(url)

    with pytest.raises(Exception, match="can be read by every user of this machine; run: chmod o="):
        boss.sync.start()


def test_what_was_recorded_by_the_application_around_us_is_an_act(tmp_path):
    """A1."""
    from shiftboss.app.actor import acting_as

    boss = a_boss(f"sqlite:///{tmp_path / 'boss.db'}")
    boss.sync.start()
    with acting_as("ada"):
        boss.sync.record("log in", after="from 192.0.2.1, password=hunter2 again")
        boss.sync.record("export", about="job-0", before="nothing", after="all")
    found = [(act.by, act.action, act.worker, act.before, act.after) for act in boss.sync.audit()]
    boss.sync.stop()

    assert found == [
        ("ada", "export", "job-0", "nothing", "all"),
        ("ada", "log in", "", "", "from 192.0.2.1, password=[redacted] again"),
    ]


def test_a_memory_store_has_a_key_that_dies_with_it():
    boss = a_boss("memory:")
    boss.sync.start()
    boss.sync.disable("job-0")
    verdict = boss.sync.verify_audit()
    boss.sync.stop()

    assert verdict.holds
    assert verdict.rows == 1
    assert (verdict.unsealed, verdict.is_proven) in {(1, True), (0, True)}  # sealed by now, with that key, or not yet


def test_what_a_machine_remembers_has_a_bound(tmp_path):
    from shiftboss.core.audit import Head

    keys = Keys((Key(b"a key of this test"),), tmp_path / "head")
    for number in range(1, 300):
        keys.remember(Head("a" * 64, number))
        keys.lose(Head("a" * 64, number))

    again = Keys((Key(b"a key of this test"),), tmp_path / "head")
    assert again.head is None
    assert len(again.heads) <= 100


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_root_that_ran_a_command_once_locks_no_node_out(tmp_path):
    """A8: key and memory belong to whose the store is."""
    boss = a_boss(f"sqlite:///{tmp_path / 'boss.db'}")
    boss.sync.start()
    boss.sync.disable("job-0")
    boss.sync.stop()
    os.chown(tmp_path / "boss.db", 1234, 1234)
    boss.sync.start()
    boss.sync.enable("job-0")
    boss.sync.stop()
    facts = os.stat(tmp_path / "boss.db.audit-head")

    assert (facts.st_uid, facts.st_mode & 0o777) == (1234, 0o600)


def test_where_a_group_shares_the_store_it_shares_the_key(tmp_path):
    """A8: and nobody else."""
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o2770)
    boss = a_boss(f"sqlite:///{folder / 'boss.db'}")
    boss.sync.start()
    boss.sync.disable("job-0")
    boss.sync.stop()

    assert {os.stat(folder / f"boss.db.audit-{name}").st_mode & 0o777 for name in ("key", "head")} == {0o660}
