"""[tool.shiftboss] in pyproject.toml, shiftboss.toml, and the environment."""

import pytest


def project(folder, text):
    (folder / "pyproject.toml").write_text(text)


def test_options_of_a_command_stand_in_its_table(cli, shop):
    project(shop, "[tool.shiftboss.runs]\nlimit = 1\nworker = 'send-mail'\njson = true\n")

    found = cli("runs")

    assert [line["worker"] for line in found.lines] == ["send-mail"]


def test_options_of_a_command_within_another_stand_in_a_table_within_its_table(cli, shop):
    project(shop, "[tool.shiftboss.dead.list]\njson = true\nworker = 'send-mail'\n")

    assert cli("dead").json["total"] == 2


def test_shared_options_stand_at_the_top(cli, shop):
    (shop / "shiftboss.db").rename(shop / "jobs.db")
    project(shop, "[tool.shiftboss]\nstore = 'sqlite:///jobs.db'\n")

    assert cli("status", "--json").json["store"].endswith("/jobs.db")


def test_the_app_is_taken_from_the_file(cli, shop):
    (shop / "app.py").rename(shop / "factory.py")
    project(shop, "[tool.shiftboss]\napp = 'factory:boss'\n")

    assert "factory:boss" in cli("check").err


def test_what_is_typed_goes_before_the_environment_and_that_before_the_file(cli, shop):
    project(shop, "[tool.shiftboss.runs]\nlimit = 1\njson = true\n")

    assert len(cli("runs").lines) == 1
    assert len(cli("runs", SHIFTBOSS_RUNS_LIMIT="2").lines) == 2
    assert len(cli("runs", "--limit", "3", SHIFTBOSS_RUNS_LIMIT="2").lines) == 3


def test_the_file_of_its_own_goes_before_pyproject(cli, shop):
    project(shop, "[tool.shiftboss.runs]\nlimit = 1\n")
    (shop / "shiftboss.toml").write_text("[runs]\nlimit = 2\njson = true\n")

    assert len(cli("runs").lines) == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[tool.shiftboss]\nstroe = 'x'\n", "has no setting 'stroe'; did you mean 'store'?"),
        ("[tool.shiftboss.statsu]\njson = true\n", "has no setting 'statsu'; did you mean 'status'?"),
        ("[tool.shiftboss.status]\njsn = true\n", "status has no setting 'jsn'; did you mean 'json'?"),
        ("[tool.shiftboss]\nstatus = 3\n", "'status' is a command and needs a table, not 3"),
        ("[tool.shiftboss\n", "pyproject.toml cannot be read"),
        ("[tool.shiftboss.runs]\nlimit = 'many'\n", "'many' is not a valid"),
    ],
)
def test_what_is_not_understood_is_an_error_with_a_suggestion(cli, shop, text, said):
    project(shop, text)

    found = cli("runs" if "runs" in text else "status")

    assert found.code == 2
    assert said in found.err


def test_a_broken_file_breaks_no_help(cli, shop):
    project(shop, "[tool.shiftboss\n")

    assert cli("status", "--help").code == 0
    assert cli("--version").code == 0


def test_keys_of_others_are_none_of_our_business(cli, shop):
    project(shop, "[tool.black]\nline-length = 3\n")

    assert cli("runs").code == 0


def test_a_file_of_its_own_has_its_keys_at_the_top(cli, shop):
    (shop / "shiftboss.toml").write_text("[tool.shiftboss]\nstore = 'x'\n")

    found = cli("status")

    assert found.code == 2
    assert "without [tool.shiftboss]" in found.err


def test_doctor_reads_the_settings_of_every_command(cli, shop):
    project(shop, "[tool.shiftboss.dead.replay]\nrat = '1/s'\n")

    texts = [each["text"] for each in cli("doctor", "--json").json["findings"]]

    assert any("dead replay has no setting 'rat'; did you mean 'rate'?" in text for text in texts)


@pytest.mark.parametrize(
    "line",
    ["stroe = '{}'", "store = ['{}']", "store = '{}' x", "run = '{}'", "store = '{}'", "[status]\nstore = '{}#'"],
)
def test_no_message_about_settings_has_the_password_of_an_address(cli, empty, line):
    """A10"""
    (empty / "shiftboss.toml").write_text(line.format("postgresql://ada:geheim@127.0.0.1:1/jobs") + "\n")

    for words in (("status",), ("run",), ("--debug", "doctor")):
        found = cli(*words)
        assert "geheim" not in found.out + found.err, words
