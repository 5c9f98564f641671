"""What a process can say of its own memory, asked of the real /proc, and of its machine's (H4)."""

from __future__ import annotations

import json
import os
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


def test_of_what_the_kernel_shows_the_second_number_counts_in_pages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """proc_pid_statm(5)"""
    monkeypatch.setattr(pressure, "STATM", tmp_path / "statm")
    pressure.STATM.write_text("100 7 3 1 0 5 0\n")

    assert pressure.resident_bytes() == 7 * os.sysconf("SC_PAGE_SIZE")


# ── the machine ──────────────────────────────────────────────────────────────────────────────────────────────────


class Machine:
    """Files as the kernel shows them; a machine that shows nothing to begin with."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder = folder
        for name in ("MEMINFO", "CGROUP_MAX", "CGROUP_NOW"):
            monkeypatch.setattr(pressure, name, folder / name)

    def shows(self, **texts: str) -> None:
        for name, text in texts.items():
            (self._folder / name).write_text(text)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Machine:
    return Machine(tmp_path, monkeypatch)


MEMINFO = "MemTotal:       1000 kB\nMemFree:         100 kB\nMemAvailable:    250 kB\nHugePages_Total:   0\nEmpty:\n"


def test_of_the_machine_what_is_not_available_is_in_use(machine):
    """H4: what is free counts for little, as caches can be dropped."""
    machine.shows(MEMINFO=MEMINFO)

    assert pressure.memory_share() == 0.75


def test_the_limit_of_a_control_group_counts(machine):
    machine.shows(CGROUP_MAX="2000\n", CGROUP_NOW="500\n")

    assert pressure.memory_share() == 0.25


@pytest.mark.parametrize(("now", "share"), [("900", 0.9), ("100", 0.75)])
def test_the_tighter_of_the_two_counts(machine, now, share):
    machine.shows(MEMINFO=MEMINFO, CGROUP_MAX="1000", CGROUP_NOW=now)

    assert pressure.memory_share() == share


@pytest.mark.parametrize(
    "shown",
    [
        {},
        {"MEMINFO": ""},
        {"MEMINFO": "MemTotal: 1000 kB\n"},
        {"MEMINFO": "MemAvailable: 1000 kB\n"},
        {"MEMINFO": "MemTotal: 0 kB\nMemAvailable: 0 kB\n"},
        {"CGROUP_MAX": "max\n", "CGROUP_NOW": "500\n"},
        {"CGROUP_MAX": "0\n", "CGROUP_NOW": "500\n"},
        {"CGROUP_MAX": "1000\n"},
        {"CGROUP_MAX": "1000\n", "CGROUP_NOW": "?\n"},
    ],
)
def test_where_neither_tells_there_is_no_guess(machine, shown):
    machine.shows(**shown)

    assert pressure.memory_share() is None
