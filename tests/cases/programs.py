"""Programs of their own for what happens to a whole process: its logging, its files, its end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

WITHIN_S = 60


def run_program(folder: Path, text: str, *arguments: str, name: str = "app.py") -> subprocess.CompletedProcess[str]:
    """Write *text* as *name* into *folder* and run it there, by Python or by what *arguments* say."""
    (folder / name).write_text(text, encoding="utf-8")
    command = [sys.executable, *(arguments or (name,))]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=WITHIN_S, check=False)
