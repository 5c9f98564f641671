"""The token that a server makes for itself: whole, once, and never one that somebody else could have put there."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from shiftboss import ConfigurationError
from shiftboss.cli.root import root
from shiftboss.clock import SystemClock
from shiftboss.testing.clock import VirtualClock
from shiftboss.web import own_token as module
from shiftboss.web.ended_sessions import EndedSessions
from shiftboss.web.login_codes import HOLDS_S, LoginCodes, signed_code
from shiftboss.web.own_token import own_token, place_of, read_token

from .conftest import SAME_ORIGIN, serving

pytestmark = pytest.mark.skipif(os.name == "nt", reason="modes and owners of POSIX")
MAKE = "import sys; from shiftboss.web.own_token import own_token; print(own_token(sys.argv[1])[0])"


@pytest.fixture
def url(tmp_path) -> str:
    return f"sqlite:///{tmp_path / 'shop.db'}"


@pytest.fixture
def place(tmp_path) -> Path:
    return tmp_path / "shop.db.token"


def test_it_is_made_once_beside_the_store_for_its_owner_alone(url, place):
    token, file = own_token(url)

    assert own_token(url) == (token, file)
    assert file == place
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert len(token) >= 40
    assert os.listdir(place.parent) == [place.name]  # no draft is left


def test_a_umask_opens_it_to_nobody_and_closes_it_to_nobody(url, place):
    before = os.umask(0)
    try:
        own_token(url)
    finally:
        os.umask(before)

    assert stat.S_IMODE(place.stat().st_mode) == 0o600


def test_processes_that_make_it_at_the_same_moment_have_the_same(url):
    made = [subprocess.Popen([sys.executable, "-c", MAKE, url], stdout=subprocess.PIPE) for _ in range(6)]

    assert len({each.communicate(timeout=60)[0] for each in made}) == 1
    assert {each.returncode for each in made} == {0}


@pytest.mark.parametrize("has_links", [True, False])
def test_threads_that_make_it_at_the_same_moment_leave_one(url, place, monkeypatch, has_links):
    if not has_links:

        def link(*_):
            raise PermissionError(1, "this file system has no links")

        monkeypatch.setattr(os, "link", link)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: module._make(place), range(32)))

    assert own_token(url)[0] == read_token(place)
    assert os.listdir(place.parent) == [place.name]


@pytest.mark.parametrize("address", ["memory:", "postgresql://ada:{}@db.example.org:5432/shop?schema=jobs"])
def test_for_other_stores_it_is_in_the_users_state_folder_and_no_password_changes_that(tmp_path, monkeypatch, address):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    token, file = own_token(address.format("one"))

    assert file.parent == tmp_path / "state" / "shiftboss"
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert own_token(address.format("two")) == (token, file)
    assert place_of("postgresql://db.example.org/other") != file


def test_the_same_file_is_meant_from_every_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    token = own_token("sqlite:///shop.db")[0]
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")

    assert own_token("../shop.db?durability=process")[0] == token


def a_symlink(place: Path) -> None:
    (place.parent / "elsewhere").write_text("a-token-of-somebody-else\n")
    place.symlink_to(place.parent / "elsewhere")


def a_dangling_symlink(place: Path) -> None:
    place.symlink_to(place.parent / "nowhere")


def a_readable_one(place: Path) -> None:
    place.write_text("a-token-that-all-have-read\n")
    place.chmod(0o644)


def an_empty_one(place: Path) -> None:
    place.touch(0o600)


def a_short_one(place: Path) -> None:
    place.touch(0o600)
    place.write_text("short\n")


def bytes_that_are_no_text(place: Path) -> None:
    place.touch(0o600)
    place.write_bytes(b"\xff\0" * 100)


def a_folder(place: Path) -> None:
    place.mkdir(0o700)


def a_fifo(place: Path) -> None:
    os.mkfifo(place, 0o600)


@pytest.mark.parametrize(
    "put",
    [
        a_symlink,
        a_dangling_symlink,
        a_readable_one,
        an_empty_one,
        a_short_one,
        bytes_that_are_no_text,
        a_folder,
        a_fifo,
    ],
)
def test_what_else_stands_in_its_place_is_refused_with_the_remedy_and_stays(url, place, put):
    put(place)
    before = place.lstat()

    with pytest.raises(ConfigurationError, match=r"shop\.db\.token .*(remove it|SHIFTBOSS_AUTH_TOKEN)"):
        own_token(url)
    assert place.lstat().st_ino == before.st_ino
    assert not (place.parent / "nowhere").exists()


def test_a_folder_that_is_not_there_or_full_is_said_with_the_remedy(tmp_path, monkeypatch):
    with pytest.raises(ConfigurationError, match=r"cannot be created: .*No such file.*SHIFTBOSS_AUTH_TOKEN"):
        own_token(f"sqlite:///{tmp_path}/nowhere/shop.db")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigurationError, match="No space left"):
        own_token(f"sqlite:///{tmp_path}/shop.db")
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="only root makes files of others")
def test_another_users_file_is_left_to_him_and_ours_is_in_the_state_folder(url, place, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    own_token(url)
    os.chown(place, 12345, 12345)
    token, file = own_token(url)

    assert file.parent == tmp_path / "state" / "shiftboss"
    assert token != place.read_text().strip()


@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="only root makes folders of others")
def test_what_root_makes_belongs_to_whose_store_or_folder_it_is(url, place, tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    (tmp_path / "home").mkdir()
    for folder in (tmp_path, tmp_path / "home"):
        os.chown(folder, 12345, 12345)
    ended = EndedSessions(SystemClock(), tmp_path / "shop.db.sessions")
    ended.add("0" * 32, 2_000_000_000)
    made = [own_token(url), own_token(url), own_token("memory:")]

    assert made[0] == made[1]
    assert made[0][1] == place
    assert {path.name: path.stat().st_uid for path in tmp_path.rglob("*") if path.stat().st_uid != 12345} == {}
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*") if path.is_file()} == {0o600}


@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="only root becomes somebody else")
def test_a_folder_that_may_not_be_written_is_said_with_the_remedy(tmp_path):
    tmp_path.chmod(0o555)
    code = MAKE.replace("; print", "; import os; os.setuid(65534); print")
    found = subprocess.run(
        [sys.executable, "-c", code, f"sqlite:///{tmp_path}/shop.db"], capture_output=True, text=True, timeout=60
    )

    assert "ConfigurationError" in found.stderr
    assert "cannot be created: [Errno 13] Permission denied" in found.stderr


# ── another link, later ──────────────────────────────────────────────────────────────────────────────────────────


def test_who_may_read_the_token_has_another_link_printed_and_it_logs_in_once(file_shop):
    with serving(file_shop) as address:
        told = CliRunner().invoke(root, ["token", "link", "-s", file_shop.store_url, "--http", address.url])
        link, _, code = told.stdout.strip().partition("#code=")
        with httpx.Client(base_url=address.url, headers=SAME_ORIGIN) as browser:
            entered = [browser.post("api/v1/session", json={"code": code}).status_code for _ in range(2)]
            role = browser.get("api/v1/session").json()["role"]

    assert (link, entered, role) == (address.url, [204, 401], "admin")
    assert address.token not in told.output


def test_a_signed_code_is_taken_once_while_it_is_fresh_and_of_this_token_and_start():
    clock = VirtualClock("2026-03-01")
    before_the_start = signed_code("a token of this server", clock.now())
    clock.advance_to_us(int(60e6))
    codes = LoginCodes(clock, lambda: "a token of this server")
    good, late = (signed_code("a token of this server", clock.now()) for _ in range(2))
    forged = [
        signed_code("a token of another one", clock.now()),
        good[:-1] + ("0" if good[-1] != "0" else "1"),
        f"t{int(clock.now().timestamp()) + 5}{good[good.index('n') :]}",
        signed_code("a token of this server", clock.now() + timedelta(hours=1)),
        before_the_start,
        good + "0",
        "",
    ]

    assert [codes.use(each) for each in forged] == [False] * len(forged)
    assert [codes.use(good), codes.use(good)] == [True, False]
    clock.advance_to_us(int((60 + HOLDS_S + 1) * 1e6))
    assert codes.use(late) is False
