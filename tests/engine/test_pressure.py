"""What a process can say of its memory, asked of the real /proc."""

from __future__ import annotations

from pathlib import Path

import pytest

from shiftboss.engine import pressure

HELD = 64 << 20


@pytest.mark.skipif(not pressure.STATM.exists(), reason="only Linux tells")
def test_what_is_taken_shows_in_what_is_resident():
    before = pressure.resident_bytes()
    held = bytearray(HELD)
    held[::4096] = b"x" * len(held[::4096])  # every page of it
    after = pressure.resident_bytes()

    assert 0 < before < after
    assert after - before > HELD * 3 // 4
    assert len(held) == HELD


def test_where_nobody_can_tell_it_is_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(pressure, "STATM", tmp_path / "none")

    assert pressure.resident_bytes() == 0
