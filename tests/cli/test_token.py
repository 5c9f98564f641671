"""`shiftboss token`: names and roles in a file that has no secrets, and links that log in on a terminal alone."""

from __future__ import annotations

import json
import os
import re
import stat
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from .conftest import PATIENCE_S
from .running import Running


def asked(url: str, path: str, *, token: str = "", cookie: str = "", **body: str) -> tuple[int, dict[str, str]]:
    request = urllib.request.Request(f"{url}{path}", data=json.dumps(body).encode() if body else None)  # noqa: S310  # ours
    request.add_header("content-type", "application/json")
    request.add_header("sec-fetch-site", "same-origin")
    for name, value in (("authorization", token and f"Bearer {token}"), ("cookie", cookie)):
        if value:
            request.add_header(name, value)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:  # noqa: S310  # ours
            return answer.status, {"cookie": answer.headers.get("set-cookie", "").partition(";")[0]}
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def test_tokens_are_made_listed_and_removed_and_the_file_has_no_secret(cli, shop):
    made = {name: cli("token", "new", name, "--role", role) for name, role in (("ada", "admin"), ("prom", "metrics"))}
    listed = cli("token", "list").out.splitlines()
    removed = cli("token", "remove", "ada")
    after = cli("token", "list").out.splitlines()
    file = shop / "shiftboss.db.access"

    secrets = [found.out.strip() for found in made.values()]
    assert all(len(secret) >= 40 for secret in secrets)
    assert [line.split() for line in listed[1:]] == [["ada", "admin", "token"], ["prom", "metrics", "token"]]
    assert removed.code == 0
    assert [line.split() for line in after[1:]] == [["prom", "metrics", "token"]]
    assert not any(secret in file.read_text() for secret in secrets)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [each for each in os.listdir(shop) if "access" in each] == ["shiftboss.db.access"]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="only root makes files for others")
def test_what_root_writes_belongs_to_whose_folder_it_is(cli, shop):
    for place in (shop, shop / "shiftboss.db"):
        os.chown(place, 12345, 12345)
    cli("token", "new", "ada", "--role", "admin")
    assert (shop / "shiftboss.db.access").stat().st_uid == 12345
    cli("token", "new", "bob", "--role", "admin")

    assert (shop / "shiftboss.db.access").stat().st_uid == 12345
    assert len(cli("token", "list").out.splitlines()) == 3


def test_a_comment_and_a_mode_of_the_file_stay(cli, tmp_path, shop):
    file = tmp_path / "who"
    file.write_text("# the team\n*  viewer  user")
    file.chmod(0o640)
    cli("token", "new", "ada", "--role", "admin", "--access-file", str(file))

    assert file.read_text().startswith("# the team\n*  viewer  user\nada admin sha256:")
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("new", "ada", "--role", "viewer"), "listed twice"),
        (("new", "local", "--role", "viewer"), "cannot be the name of a token"),
        (("new", "a b", "--role", "viewer"), "cannot be the name of a token"),
        (("new", "x\neve admin user", "--role", "viewer"), "cannot be the name of a token"),
        (("new", "#eve", "--role", "viewer"), "cannot be the name of a token"),
        (("new", "eve", "--role", "owner"), "owner"),
        (("remove", "eve"), "has no entry 'eve'"),
        (("show",), "a server creates it at its first start"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(cli, shop, args, message):
    cli("token", "new", "ada", "--role", "admin")
    before = (shop / "shiftboss.db.access").read_text()

    found = cli("token", *args)

    assert found.code == 2
    assert message in found.err
    assert found.out == ""
    assert (shop / "shiftboss.db.access").read_text() == before


def test_a_server_takes_up_and_gives_up_a_name_while_it_runs(cli, shop):
    with Running("web", "--http", "127.0.0.1:0", cwd=shop) as server:
        url, file = re.search(r"(http://\S+/) \(token: (.+)\)", server.says("dashboard and API")).groups()
        own = cli("token", "show").out.strip()
        ada = cli("token", "new", "ada", "--role", "viewer").out.strip()
        with_own, with_ada = (asked(url, "api/v1/status", token=token)[0] for token in (own, ada))
        cli("token", "remove", "ada")
        without = asked(url, "api/v1/status", token=ada)[0]
        nothing, problem = asked(url, "api/v1/status")

    assert own == Path(file).read_text().strip()
    assert (with_own, with_ada, without, nothing) == (200, 200, 401, 401)
    assert "shiftboss token show" in problem["detail"]


def test_off_a_terminal_no_link_is_printed(shop):
    with Running("run", "app.py", "--http", "127.0.0.1:0", cwd=shop) as server:
        said = server.says("dashboard and API")

    assert "#code=" not in said
    assert "(token: " in said


def test_on_a_terminal_a_link_logs_in_once(shop):
    from .test_terminal import Terminal  # skips where there is none

    screen = Terminal("run", "app.py", "--http", "127.0.0.1:0", cwd=shop)
    try:
        screen.shows("#code=").shows("joined")
        url, code = re.search(r"(http://[\d.:]+/)#code=([\w-]+)\s", screen.text).groups()
        entered, answer = asked(url, "api/v1/session", code=code)
        inside, _ = asked(url, "api/v1/status", cookie=answer["cookie"])
        again, problem = asked(url, "api/v1/session", code=code)
    finally:
        screen.close()

    assert (entered, inside, again) == (204, 200, 401)
    assert "already used" in problem["detail"]
