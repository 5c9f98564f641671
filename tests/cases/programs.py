"""Programs of their own for what happens to a whole process: its logging, its files, its end."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory

import pytest

WITHIN_S = 60

OTHER = 65534  # a user who is not root
# A Python that lies in root's home can be read by this; what that user may write stays as it is.
_READS = ("--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search")
AS_ANOTHER = ("setpriv", "--reuid", str(OTHER), "--regid", str(OTHER), "--clear-groups", *_READS)


def skip_unless_there_is_another() -> None:
    """Becoming another user needs root, and setpriv."""
    if os.name != "posix" or os.getuid() != 0 or which("setpriv") is None:
        pytest.skip("becoming another user needs root and setpriv")
    if subprocess.run([*AS_ANOTHER, sys.executable, "-c", ""], capture_output=True, check=False).returncode:
        pytest.skip("root may not become another user here")


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that every user can reach.  pytest's are of their owner alone: each session closes them anew."""
    with TemporaryDirectory(prefix="shiftboss-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def run_program(folder: Path, text: str, *arguments: str, name: str = "app.py") -> subprocess.CompletedProcess[str]:
    """Write *text* as *name* into *folder* and run it there, by Python or by what *arguments* say."""
    (folder / name).write_text(text, encoding="utf-8")
    command = [sys.executable, *(arguments or (name,))]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=WITHIN_S, check=False)
