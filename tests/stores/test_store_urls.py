"""An address names one store or is refused with what is accepted."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from store_values import FrozenClock

from shiftboss import Orchestrator
from shiftboss.core.address import shown
from shiftboss.errors import ConfigurationError
from shiftboss.stores.memory.store import MemoryStore
from shiftboss.stores.sqlite.store import SqliteStore
from shiftboss.stores.urls import open_store


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def path_of(url: str) -> Path:
    store = open_store(url, FrozenClock())
    assert isinstance(store, SqliteStore)
    return store.path


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///jobs.db", "jobs.db"),
        ("sqlite:///data/jobs.db", "data/jobs.db"),
        ("sqlite:///./jobs", "jobs"),
        ("sqlite:////var/lib/jobs.db", "/var/lib/jobs.db"),
        ("jobs.db", "jobs.db"),
        ("./jobs", "jobs"),
        ("/var/lib/jobs", "/var/lib/jobs"),
        ("sqlite:///jobs.db?durability=process", "jobs.db"),
        ("./ada@home/jobs.db", "ada@home/jobs.db"),
        ("sqlite:///./year=2027/jobs.db", "year=2027/jobs.db"),
        ("/home/ada@corp/a=b/jobs.db", "/home/ada@corp/a=b/jobs.db"),
    ],
)
def test_an_address_names_a_file(url: str, path: str, tmp_path: Path):
    assert path_of(url) == tmp_path / path


def test_the_default_is_a_file_in_the_working_folder(tmp_path: Path):
    assert open_store().url == f"sqlite:///{tmp_path}/shiftboss.db"


def test_the_address_of_a_store_leads_back_to_it(tmp_path: Path):
    url = open_store("sqlite:///jobs.db", FrozenClock()).url

    assert path_of(url) == tmp_path / "jobs.db"


def test_a_memory_store_is_a_new_one_each_time():
    one, two = open_store("memory:", FrozenClock()), open_store("memory:", FrozenClock())

    assert isinstance(one, MemoryStore)
    assert one is not two


def test_nothing_is_made_or_opened_by_naming_it(tmp_path: Path):
    open_store("sqlite:///jobs.db", FrozenClock())

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgresql:localhost/jobs", "lacks its slashes"),
        ("postgresql+psycopg://localhost/jobs", "names a driver"),
        ("sqlite://jobs.db", "too few slashes"),
        ("sqlite:jobs.db", "too few slashes"),
        ("sqlite:///", "names no file"),
        ("sqlite:////", "names no file"),
        ("sqlite:///data/", "names no file"),
        ("sqlite:///:memory:", "memory:"),
        ("mysql://localhost/jobs", "not understood"),
        ("memory", "not understood"),
        ("", "not understood"),
        ("jobs", "not understood"),
        ("sqlite:///jobs.db?mode=ro", "'mode' is unknown"),
        ("sqlite:///jobs.db?durability=none", "'power'"),
        ("sqlite:///jobs.db?durability=", "'power'"),
        ("sqlite:///jobs.db?durability", "'power'"),
        ("jobs.db?durabilty=process", "did you mean 'durability'"),
        ("jobs.db?Durability=process", "did you mean 'durability'"),
        ("sqlite:///jobs.db?durability=power&durability=process", "given twice"),
        ("memory:?durability=process", "takes none"),
        ("postgresql://localhost/jobs?durability=process", "synchronous_commit"),
        ("postgresql://localhost/jobs?shema=jobs", "'shema' is unknown; did you mean 'schema'"),
        ("postgresql://localhost/jobs?Schema=jobs", "did you mean 'schema'"),
        ("postgresql://localhost/jobs?sslmod=require", "did you mean 'sslmode'"),
        ("postgresql://localhost/jobs?pool_size=5", "'pool_size' is unknown; options are those of libpq"),
        ("postgresql://localhost/jobs?schema=a&schema=b", "given twice"),
    ],
)
def test_what_is_not_understood_is_refused_with_what_is(url: str, says: str):
    with pytest.raises(ConfigurationError, match=says):
        open_store(url, FrozenClock())


def test_the_address_and_the_caller_may_say_the_same_and_not_contradict_each_other():
    """W1"""
    process = "sqlite:///jobs.db?durability=process"

    assert open_store(process, FrozenClock()).durability == "process"
    assert open_store(process, FrozenClock(), durability="process").durability == "process"
    assert open_store("sqlite:///jobs.db", FrozenClock(), durability="process").durability == "process"
    assert open_store("sqlite:///jobs.db", FrozenClock()).durability == "power"
    with pytest.raises(ConfigurationError, match="leave one out"):
        open_store(process, FrozenClock(), durability="power")


@pytest.mark.parametrize("durability", ["power", "process"])
@pytest.mark.parametrize(
    ("url", "says"), [("postgresql://localhost/jobs", "synchronous_commit"), ("memory:", "survives nothing")]
)
def test_a_store_that_cannot_keep_a_durability_refuses_the_option_as_the_address_does(url, says, durability):
    """W1"""
    with pytest.raises(ConfigurationError, match=f"durability='{durability}' is an option of SQLite.*{says}"):
        open_store(url, FrozenClock(), durability=durability)


@pytest.mark.parametrize("option", ["pasword=geheim", "oauth_client_secret=geheim", "sslpassword=geheim&x=y"])
def test_a_message_about_an_address_does_not_repeat_a_secret_also_where_its_name_is_misspelt(option: str):
    with pytest.raises(ConfigurationError) as caught:
        open_store(f"postgresql://localhost/jobs?{option}&prepare=sometimes", FrozenClock())

    assert "geheim" not in str(caught.value)


# ── passwords ────────────────────────────────────────────────────────────────────────────────────────────────────

SECRETS = (
    "geheim", "ge/heim", "ge?heim", "ge#heim", "ge@heim", "ge:heim", "ge heim", "ge&heim=x", "geh[eim", "ge%heim",
    "geh℀eim", "'geheim", "ge\\heim", "ge\nheim", "/geheim", "#geheim", "?geheim", "@geheim", "12/geheim",
    "12?geheim", "12#geheim", "5432/x?a=geheim",
)  # fmt: skip
WITH_SECRET = (
    "postgresql://ada:{}@db.example/jobs", "postgres://ada:{}@db.example:5432/jobs?schema=a",
    "redis://ada:{}@db.example/0", "redis://:{}@db.example:6379", "rediss://{}@db.example/0",
    "postgresq://ada:{}@db.example/jobs", "Postgresql://ada:{}@db.example/jobs", "postgres//ada:{}@db.example/jobs",
    "postgres:/ada:{}@db.example/jobs", "postgresql:ada:{}@db.example/jobs",
    "postgresql+psycopg://ada:{}@db.example/jobs", "jdbc:postgresql://ada:{}@db.example/x", "ada:{}@db.example/jobs",
    "ada:{}@db.example:5432/jobs.db", "sqlite:///ada:{}@db.example/jobs.db", "sqlite:/ada:{}@db/x.db",
    "sqlite://ada:{}@db/x.db", "sqlite:///postgresql://ada:{}@db.example/jobs",
    "sqlite:////postgresql://ada:{}@db.example/jobs", "host=db.example dbname=jobs user=ada password={}",
    "host=db.example password='{}' dbname=jobs", "password = {} host=db.example",
    "sqlite:///host=db.example password={}", "hots=db.example pasword={} dbname=jobs.x",
    "./x host=db.example password={}", "'postgresql://ada:{}@db.example/jobs'",
    "postgresql://db.example/jobs?user=ada&password={}&x=y", "postgresql://db.example/jobs?sslpassword={}&x=y",
    "postgresql://db.example/jobs?pasword={}", "mysql://ada:{}@db.example",
    "postgresql://ada:{}@db.example:port/jobs", "postgresql://ada:{}@db.example/jobs?schema=My-Schema",
    "Server=db.x;Uid=ada;Pwd={};",
)  # fmt: skip
PIECES = ("geheim", "heim", "eim")


@pytest.mark.parametrize("secret", SECRETS)
def test_no_message_about_an_address_has_its_password_or_a_piece_of_it_and_no_file_gets_its_name(secret, tmp_path):
    """A10"""
    for form in WITH_SECRET:
        url = form.format(secret)
        try:
            store = open_store(url, FrozenClock())
        except ConfigurationError as error:
            said = [str(error), str(error.__cause__ or "")]
        else:
            said = [store.url]
            assert not isinstance(store, SqliteStore), url
        said.append(shown(url))

        assert not [text for text in said for piece in PIECES if piece in text], url
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgresq://ada@db/jobs", "postgresq://"),
        ("redis://db:6379/0", "redis://db:6379/0"),
        ("postgres//db/jobs", "postgres//"),
        ("localhost:5432/jobs", "looks like the address of a server"),
        ("host=db.example dbname=jobs", "looks like the address of a server"),
        ("ada@db/jobs.db", "./"),
        ("sqlite:///ada@db/jobs.db", "looks like the address of a server"),
        ("sqlite:///data/http://x/jobs.db", "looks like the address of a server"),
    ],
)
def test_what_looks_like_the_address_of_a_server_is_no_file_and_the_message_says_what_is(url, says):
    """A10"""
    with pytest.raises(ConfigurationError, match=re.escape(says)) as caught:
        open_store(url, FrozenClock())

    assert "postgresql://user@host/database" in str(caught.value)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://ada:geheim@db:5432/jobs?schema=a&sslmode=require", "postgresql://ada@db:5432/jobs?schema=a&sslmode=require"),
        ("redis://:geheim@db:6379/0", "redis://db:6379/0"),
        ("redis://token@db", "redis://db"),
        ("postgresql://ada:ge#heim@db/jobs", "postgresql://…"),
        ("sqlite:////srv/my jobs.db?durability=process", "sqlite:////srv/my jobs.db?durability=process"),
        ("memory:", "memory:"),
        ("C:\\jobs\\jobs.db", "C:\\jobs\\jobs.db"),
        ("host=db password=geheim", "…"),
    ],
)  # fmt: skip
def test_an_address_is_shown_as_far_as_it_is_surely_harmless(url, said):
    assert shown(url) == said


def test_a_store_of_another_type_is_refused_without_being_repeated():
    for store in (
        b"postgresql://ada:geheim@db/jobs",
        ["postgresql://ada:geheim@db/jobs"],
        "postgresql://ada:geheim\0@db",
    ):
        with pytest.raises(ConfigurationError, match="is not an address") as caught:
            Orchestrator(store)  # type: ignore[arg-type]  # that is the point

        assert "geheim" not in str(caught.value)
