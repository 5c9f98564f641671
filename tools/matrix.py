"""The same tests on every Python that shiftboss promises and this machine has: core, engine, app and cases.

    matrix.py [3.12 …] [-- ARGS for pytest]     all that are found, or those named

Rules of this file
- A Python is tried by running it: a version manager's stand-in may name one that is not there.
- Each has an environment of its own below the workshop's, installed from the same pins.
- A Python that is promised and not found is said, not passed over; one that is asked for and not found fails.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROMISED = ("3.11", "3.12", "3.13", "3.14")
TESTS = ("tests/core", "tests/engine", "tests/app", "tests/cases")
ENVIRONMENTS = Path(sys.prefix) / "matrix"


def main() -> None:
    asked, _, rest = " ".join(sys.argv[1:]).partition("--")
    wanted = asked.split()
    failed = []
    for version in wanted or PROMISED:
        python = find(version)
        if python is None:
            print(f"\n── Python {version}: none on this machine", flush=True)
            failed += [version] if wanted else []
        elif not passes(version, python, rest.split()):
            failed.append(version)
    if failed:
        sys.exit(f"not passed: Python {', '.join(failed)}")


def find(version: str) -> str | None:
    """A Python of *version* that runs."""
    installed = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
    for candidate in (shutil.which(f"python{version}"), *map(str, installed)):
        if candidate is not None and version_of(candidate) == version:
            return candidate
    return None


def version_of(python: str) -> str:
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    ran = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)  # noqa: S603  # a Python of this machine
    return ran.stdout.strip()


def passes(version: str, python: str, arguments: list[str]) -> bool:
    """Whether the tests pass; what they print goes to the terminal."""
    environment = ENVIRONMENTS / version
    own = str(environment / "bin/python")
    pip = [own, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    print(f"\n── Python {version}: {python}", flush=True)
    steps = [
        ["sh", "tools/venv.sh", str(environment), python],
        [*pip, "--requirement", "requirements-dev.txt"],
        [*pip, "--no-deps", "--no-build-isolation", "--editable", "."],
        [own, "-m", "pytest", "-q", "-m", "not chaos and not soak", *TESTS, *arguments],
    ]
    return all(subprocess.run(step, cwd=ROOT, check=False).returncode == 0 for step in steps)  # noqa: S603  # our own commands


if __name__ == "__main__":
    main()
