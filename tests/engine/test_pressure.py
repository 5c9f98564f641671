"""What a process can say of its memory, asked of the real /proc."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from shiftboss.engine import pressure

HELD = 64 << 20
HOLD = f"""
from shiftboss.engine.pressure import resident_bytes
before = resident_bytes()
held = bytearray({HELD})
held[::4096] = b"x" * len(held[::4096])  # every page of it
print([before, resident_bytes()])
"""


@pytest.mark.skipif(not pressure.STATM.exists(), reason="only Linux tells")
def test_what_is_taken_shows_in_what_is_resident():
    """In a process of its own: this one may have the room already."""
    said = subprocess.run([sys.executable, "-c", HOLD], capture_output=True, text=True, check=True).stdout
    before, after = json.loads(said)

    assert 0 < before < HELD * 4
    assert after - before > HELD * 3 // 4


def test_where_nobody_can_tell_it_is_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(pressure, "STATM", tmp_path / "none")

    assert pressure.resident_bytes() == 0
