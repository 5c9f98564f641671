"""A10: what else could read a secret of ours: commands, children, and what they start; the arguments of a process."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import shiftboss
from shiftboss.executors import environment

SECRET = "Geheimnis-4711-lang"
OURS = {
    "SHIFTBOSS_AUTH_TOKEN": SECRET,
    "SHIFTBOSS_AUTH_TOKEN_FILE": f"/run/{SECRET}",
    "SHIFTBOSS_AUDIT_KEY": SECRET,
    "SHIFTBOSS_ACCESS_FILE": f"/run/{SECRET}",
    "SHIFTBOSS_DEMO_STORE": f"postgresql://ada:{SECRET}@127.0.0.1:1/jobs",
}
APP = """
import json, os, subprocess, sys
from shiftboss import Orchestrator, command

boss = Orchestrator()
LOOK = "import json, os, sys; json.dump(dict(os.environ), open(sys.argv[1], 'w'))"  # results are masked, files are not
boss.register("plain", command([sys.executable, "-c", LOOK, "plain.json"]))
boss.register("given", command([sys.executable, "-c", LOOK, "given.json"], store=True))
boss.register("own", command([sys.executable, "-c", LOOK, "own.json"], env={"SHIFTBOSS_STORE": "mine.db"}))


def child() -> None:
    warden = {}
    parent = os.getppid()
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = open(f"/proc/{name}/cmdline", "rb").read().split(b"\\0")
            if any(word.endswith(b"warden.py") for word in words) and str(parent).encode() in words:
                warden = dict(each.split("=", 1) for each in open(f"/proc/{name}/environ").read().split("\\0") if each)
        except OSError:
            pass
    subprocess.run([sys.executable, "-c", LOOK, "below.json"], check=True)
    found = {"child": dict(os.environ), "warden": warden, "known": {"store": boss.store_url}}
    for name, value in found.items():
        with open(f"{name}.json", "w") as file:
            json.dump(value, file)


boss.register("child", child, executor="process")

if __name__ == "__main__":
    boss.sync.start()
    for name in ("plain", "given", "own", "child"):
        run = boss.sync.wait_for(boss.sync.trigger(name).id, timeout=60)
        assert run.status == "succeeded", run
    boss.sync.stop()
"""


def found_by(folder: Path, **env: str) -> dict:
    (folder / "app.py").write_text(APP)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SHIFTBOSS")}
    done = subprocess.run(
        [sys.executable, "app.py"], cwd=folder, env={**kept, **OURS, **env}, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    return {file.stem: json.loads(file.read_text()) for file in folder.glob("*.json")}


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks at other processes by /proc")
def test_commands_and_children_get_no_secret_of_ours_and_all_that_is_not_ours(tmp_path):
    found = found_by(
        tmp_path,
        SHIFTBOSS_STORE="jobs.db",
        SHIFTBOSS_USER="ada",
        SHIFTBOSS_NEW_THING=SECRET,
        DATABASE_URL="postgresql://shop:theirs@db/shop",
    )
    child, below, warden, known = (found[name] for name in ("child", "below", "warden", "known"))

    for name in ("plain", "given", "own"):
        assert SECRET not in json.dumps(found[name]), name
        assert found[name]["DATABASE_URL"] == "postgresql://shop:theirs@db/shop"
        assert found[name]["SHIFTBOSS_USER"] == "ada"
        assert found[name]["SHIFTBOSS_WORKER"] == name
    assert "SHIFTBOSS_STORE" not in found["plain"]
    assert found["given"]["SHIFTBOSS_STORE"] == f"sqlite:///{tmp_path}/jobs.db"
    assert found["own"]["SHIFTBOSS_STORE"] == "mine.db"
    for each in (child, below):
        assert set(environment.DOORS).isdisjoint(each)
        assert each["SHIFTBOSS_STORE"] == "jobs.db"
        assert each["SHIFTBOSS_NEW_THING"] == SECRET  # it may be the application's, which is imported there
        assert each["DATABASE_URL"] == "postgresql://shop:theirs@db/shop"
        assert each["SHIFTBOSS_DEMO_STORE"] == "postgresql://ada@127.0.0.1:1/jobs"
    assert warden
    assert SECRET not in json.dumps(warden)
    assert known["store"] == "jobs.db"


def test_a_child_knows_the_address_with_its_password_and_what_it_starts_does_not(tmp_path, place):
    url = re.sub(r"//([^@/]*@)?", f"//postgres:{SECRET}@", place.url)  # the server trusts whoever comes
    found = found_by(tmp_path, SHIFTBOSS_STORE=url)
    child, below, warden, known = (found[name] for name in ("child", "below", "warden", "known"))

    assert SECRET not in json.dumps([found["plain"], child, below, warden])
    assert child["SHIFTBOSS_STORE"].startswith("postgresql://postgres@")
    assert known["store"] == url
    assert found["given"]["SHIFTBOSS_STORE"] == url


def test_of_every_variable_of_ours_it_is_known_who_may_have_it():
    """A new one has to be put somewhere before this passes."""
    of_a_run = {"RUN_ID", "WORKER", "ATTEMPT", "OCCURS_AT", "FENCE", "MARK"}
    of_the_command = {"TRUSTED_PROXY", "USER_HEADER", "COMPLETE", "COMMAND_OPTION"}
    known = {
        name.removeprefix("SHIFTBOSS_") for name in (*environment.HARMLESS, *environment.DOORS, *environment.ADDRESSES)
    }
    folder = Path(shiftboss.__file__).parent
    used = {name for file in folder.rglob("*.py") for name in re.findall(r"SHIFTBOSS_([A-Z_]+)", file.read_text())}

    assert used - known - of_a_run - of_the_command == set()


# ── arguments ────────────────────────────────────────────────────────────────────────────────────────────────────

SHOWS_ITSELF = """
import sys
from shiftboss.cli.own_arguments import take_arguments
print(take_arguments())
with open("/proc/self/cmdline", "rb") as file:
    print(file.read().replace(b"\\0", b" ").decode(), sys.argv, sys.orig_argv)
"""


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="the system shows arguments by /proc")
@pytest.mark.parametrize(
    "words",
    [
        ["status", "--store", "{}"],
        ["status", "--store={}", "näme"],
        ["status", "-s", "{}", "--json"],
        ["status", "-s{}"],
        ["status", "-ws", "{}"],
        ["migrate", "--from", "jobs.db", "--to", "{}"],
        ["migrate", "--from", "{}", "--to", "{}"],
    ],
    ids=" ".join,
)
def test_the_arguments_that_others_see_have_no_password_and_the_command_has_it(words):
    for url in (
        f"postgresql://ada:{SECRET}@db.example/jobs",
        f"postgres//ada:{SECRET}/@db",
        f"host=db password={SECRET}",
    ):
        given = [word.format(url) for word in words]
        done = subprocess.run(
            [sys.executable, "-c", SHOWS_ITSELF, *given], capture_output=True, text=True, check=True, timeout=60
        )
        taken, shown = done.stdout.split("\n", 1)

        assert taken == repr(given)
        assert SECRET not in shown
        assert words[0] in shown
    assert ("jobs.db" in shown) == ("jobs.db" in words)


def test_a_file_and_a_payload_are_shown_as_they_were_typed():
    from shiftboss.cli.own_arguments import without_passwords

    words = [
        "trigger",
        "mail",
        "to=ada@example.org",
        '{"password": "x@y"}',
        "-s",
        "/home/ada@corp/jobs.db",
        "--since",
        "1d",
    ]

    assert without_passwords(words) == words
