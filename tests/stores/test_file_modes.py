"""A9: who may read what a store makes on a disk; real files, and real users where root runs this."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from shiftboss import Orchestrator

pytestmark = pytest.mark.skipif(os.name == "nt", reason="modes of POSIX")

UMASKS = (0o000, 0o022, 0o077, 0o777)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def modes_while_it_runs(store: Path) -> dict[str, int]:
    """Start a node on *store* and look at everything in its folder."""
    boss = Orchestrator(f"sqlite:///{store}")
    boss.register("body", lambda: None)
    boss.sync.start()
    try:
        boss.sync.wait_for(boss.sync.trigger("body").id, timeout=20)
        found = {str(each.relative_to(store.parent)): mode(each) for each in store.parent.rglob("*")}
    finally:
        boss.sync.stop()
    noted = found.pop(f"{store.name}.nodes/.counted")
    node = [name for name in found if name.startswith(f"{store.name}.nodes/")]
    assert len(node) == 1, found
    assert noted == found[node[0]]
    return {name.replace(node[0], "node"): each for name, each in found.items()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "data"
    made.mkdir()
    made.chmod(0o755)
    return made


@pytest.fixture(params=UMASKS, ids="{:03o}".format)
def _umask(request, folder):  # which is made before: some of these masks keep its own maker out
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.mark.usefixtures("_umask")
def test_a_new_store_and_all_beside_it_is_its_owners_alone_whatever_the_umask(folder):
    """A9"""
    assert modes_while_it_runs(folder / "jobs.db") == {
        "jobs.db": 0o600,
        "jobs.db-wal": 0o600,
        "jobs.db-shm": 0o600,
        "jobs.db.reserve": 0o600,
        "jobs.db.notify": 0o600,
        "jobs.db.audit-key": 0o600,
        "jobs.db.nodes": 0o700,
        "node": 0o600,
    }


@pytest.mark.usefixtures("_umask")
def test_in_a_setgid_folder_it_is_the_groups_too(folder):
    """A9"""
    folder.chmod(0o2775)

    found = modes_while_it_runs(folder / "jobs.db")

    assert found.pop("jobs.db.nodes") & 0o777 == 0o770
    assert set(found.values()) == {0o660}
    assert {each.stat().st_gid for each in folder.rglob("*")} == {folder.stat().st_gid}


@pytest.mark.parametrize(
    ("given", "file", "beside", "nodes"),
    [
        (0o600, 0o600, 0o600, 0o700),
        (0o640, 0o640, 0o600, 0o700),  # who may only read the store has nothing to do with its locks
        (0o644, 0o644, 0o600, 0o700),
        (0o660, 0o660, 0o660, 0o770),
        (0o664, 0o664, 0o660, 0o770),
        (0o666, 0o666, 0o666, 0o777),
    ],
)
def test_a_store_that_is_there_keeps_its_mode_and_so_does_its_log(folder, given, file, beside, nodes):
    """A9"""
    store = folder / "jobs.db"
    modes_while_it_runs(store)
    for each in folder.iterdir():
        if each != store:
            subprocess.run(["rm", "-r", each], check=True)
    store.chmod(given)
    before = os.umask(0o077)
    try:
        found = modes_while_it_runs(store)
    finally:
        os.umask(before)

    assert [found[name] for name in ("jobs.db", "jobs.db-wal", "jobs.db-shm")] == [file] * 3
    assert [found[name] for name in ("node", "jobs.db.reserve", "jobs.db.notify")] == [beside] * 3
    assert found["jobs.db.nodes"] == nodes


WATCH = """
import os, sys
folder, seen = sys.argv[1], set()
print("looking", flush=True)
while not os.path.exists(os.path.join(folder, "over")):
    for root, folders, files in os.walk(folder):
        for name in (*folders, *files):
            try:
                mode = os.lstat(os.path.join(root, name)).st_mode
            except OSError:
                continue
            if mode & 0o077:
                seen.add(f"{name} {mode:o}")
print(*sorted(seen))
"""


def test_nothing_is_wider_for_a_moment_while_a_store_is_made(folder):
    """Somebody else looks all the time while stores are made."""
    looks = subprocess.Popen([sys.executable, "-c", WATCH, folder], stdout=subprocess.PIPE, text=True)
    assert looks.stdout.readline() == "looking\n"
    before = os.umask(0)
    try:
        for number in range(5):
            modes_while_it_runs(folder / f"jobs-{number}.db")
    finally:
        os.umask(before)
        (folder / "over").touch(0o600)

    assert looks.communicate(timeout=20)[0].strip() == ""


def test_many_who_make_the_same_store_at_once_end_with_one_that_is_private(folder):
    from shiftboss.stores.urls import open_store

    stores = [open_store(f"sqlite:///{folder / 'jobs.db'}") for _ in range(8)]
    threads = [threading.Thread(target=store.open, kwargs={"create": True}) for store in stores]
    for each in threads:
        each.start()
    for each in threads:
        each.join(20)
    for store in stores:
        store.close()

    assert [each.name for each in folder.iterdir() if each.name[0] == "."] == []
    assert mode(folder / "jobs.db") == 0o600


@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="only root makes files for others")
@pytest.mark.parametrize("is_there", [True, False], ids=["a store of theirs", "a folder of theirs"])
def test_what_root_makes_belongs_to_the_owner_of_the_store_or_of_its_folder(folder, is_there):
    """A9: root that ran it once keeps nobody out."""
    store = folder / "jobs.db"
    if is_there:
        modes_while_it_runs(store)
        for each in [*folder.iterdir()]:
            if each != store:
                subprocess.run(["rm", "-r", each], check=True)
        os.chown(store, 65534, 65534)
    else:
        os.chown(folder, 65534, 65534)

    modes_while_it_runs(store)

    made = [each for each in folder.rglob("*") if ".audit-" not in each.name or not is_there]
    assert {each.name: each.stat().st_uid for each in made if each.stat().st_uid != 65534} == {}
