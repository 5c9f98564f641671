"""The command reads through an application that has the codec, and says so where it cannot (E1 to E3)."""

from __future__ import annotations

import base64
import os
import shutil

import pytest

from shiftboss import Context, Fatal, Orchestrator
from shiftboss.codec import AesGcmCodec, new_key

from .conftest import APPS, PATIENCE_S
from .running import Running

CANARY = "canary-3f9a1c77"
OLD, NEW = f"k1={new_key()}", f"k2={new_key()}"
READS = (
    ("status",),
    ("status", "--json"),
    ("runs",),
    ("runs", "--json"),
    ("show", "{dead}"),
    ("show", "{dead}", "--json"),
    ("show", "{done}"),
    ("show", "{done}", "--json"),
    ("show", "{waits}"),
    ("show", "lose"),
    ("show", "lose", "--json"),
    ("why", "{waits}"),
    ("why", "{waits}", "--json"),
    ("logs", "{done}"),
    ("logs", "{done}", "--json"),
    ("dead",),
    ("dead", "list", "--json"),
    ("dead", "show", "{dead}"),
    ("dead", "export"),
    ("nodes", "--json"),
    ("doctor",),
    ("doctor", "--json"),
)


@pytest.fixture(scope="session")
def _filled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vault")
    shutil.copy(APPS / "vault.py", folder / "vault.py")
    boss = Orchestrator(f"sqlite:///{folder / 'shiftboss.db'}", codec=AesGcmCodec(dict([OLD.split("=", 1)])))
    boss.register("keep", keep)
    boss.register("lose", lose, max_retries=0)
    boss.sync.start()
    try:
        for worker in ("keep", "lose"):
            boss.sync.wait_for(boss.sync.trigger(worker, {"text": CANARY}).id, timeout=PATIENCE_S)
        boss.sync.trigger("keep", {"text": CANARY}, delay="1h")
    finally:
        boss.sync.stop()
    return folder


async def keep(ctx: Context, text: str) -> str:
    ctx.log.warning("kept %s", text)
    return text


async def lose(text: str) -> None:
    raise Fatal(f"lost {text}")


@pytest.fixture
def vault(_filled, tmp_path, monkeypatch):
    """A folder with an application and its store, in which we are; our environment has the key."""
    folder = tmp_path / "vault"
    shutil.copytree(_filled, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("VAULT_KEYS", OLD)
    return {"done": 1, "dead": 2, "waits": 3}


def said(cli, words, ids, *more):
    done = cli(*(word.format(**ids) for word in words), *more)
    assert done.code in (0, 1, 3), (words, done.err)
    return done.out + done.err


def test_with_the_application_everything_is_read(cli, vault):
    """E1."""
    dead = said(cli, ("show", "{dead}"), vault, "--app", "vault.py")
    done = said(cli, ("show", "{done}"), vault, "--app", "vault.py")

    assert f"lost {CANARY}" in dead
    assert done.count(CANARY) == 3  # payload, result, log line
    assert f"kept {CANARY}" in said(cli, ("logs", "{done}"), vault, "--app", "vault.py")


def test_without_it_every_question_is_answered_and_nothing_is_told(cli, vault):
    """E3: the file lies here; an application that nobody named is not imported to read it."""
    for words in READS:
        assert CANARY not in said(cli, words, vault), words


def test_what_cannot_be_decoded_is_said_as_such(cli, vault):
    """E3: to people in a sentence with the remedy, in JSON by a field."""
    shown = said(cli, ("show", "{dead}"), vault)
    (page,) = cli("show", "2", "--json").lines
    (exported,) = cli("dead", "export").lines

    assert "encrypted with key 'k1', but this process has no codec" in shown
    assert page["run"]["undecodable"] == "encrypted with key 'k1', but this process has no codec"
    assert page["run"]["payload"] == {"$encrypted": {"key": "k1", "reason": page["run"]["undecodable"]}}
    assert page["run"]["error"]["type"] == "shiftboss.context.Fatal"
    assert page["run"]["error"]["message"] == f"({page['run']['undecodable']})"
    assert exported["payload_encrypted"] == page["run"]["undecodable"]
    assert base64.b64decode(exported["payload_base64"]).startswith(b"$sb1$k1$")
    assert (exported["payload_sha256"], exported["payload_text"]) == (None, None)


def test_dead_export_says_that_it_writes_plain_what_lies_encrypted(cli, vault):
    """Q2, E1."""
    plain = cli("dead", "export", "--app", "vault.py")
    sealed = cli("dead", "export")

    assert plain.lines[0]["payload_text"] == f'{{"text":"{CANARY}"}}'
    assert "1 payload decrypted, although encrypted in the store" in plain.err
    assert "1 payload still encrypted" in sealed.err


def test_doctor_says_which_key_is_missing_and_who_has_no_codec(cli, vault):
    """E2, E3."""
    with Running("run", "vault.py", cwd=".", VAULT_KEYS=NEW) as node:
        node.says(" joined")
        missing = cli("doctor").out
        os.environ["VAULT_KEYS"] = ""
        with Running("run", "vault.py", cwd=".", VAULT_KEYS="") as other:
            other.says(" joined")
            plain = cli("trigger", "keep", "text=x", "--in", "1h")
            mixed = cli("doctor").out

    assert "the payload of 1 unfinished run is encrypted with key 'k1', which no live node has" in missing
    assert "has no codec and stores in plain text what other nodes encrypt" in mixed
    assert "payloads are stored in plain text although the nodes encrypt" in plain.err
    assert "the payload of 1 unfinished run is stored in plain text" in mixed


def test_trigger_and_wait_says_that_the_result_cannot_be_decoded(cli, vault):
    """E3, W6."""
    with Running("run", "vault.py", cwd=".", VAULT_KEYS=OLD) as node:
        node.says(" joined")
        sealed = cli("trigger", "keep", "text=x", "--wait")
        opened = cli("trigger", "keep", "text=x", "--wait", "--app", "vault.py")

    assert (sealed.code, sealed.out) == (0, "")
    assert "its result is encrypted with key 'k1', but this process has no codec" in sealed.err
    assert (opened.code, opened.out) == (0, '"x"\n')
