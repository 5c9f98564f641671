"""What a running attempt says about itself: progress, a heartbeat, that it outlived its timeout, what it masks.

Rules of this file
- Like every write about a running attempt, a note is conditional on the claim (C5); a stale one changes nothing.
"""

from __future__ import annotations

from datetime import datetime

from shiftboss.core.model import LogLine, Place, Progress, Run
from shiftboss.core.snapshot import NOTHING, Change, Snapshot
from shiftboss.core.value import Value, replace


class Note(Value, frozen=True):
    """One message of an attempt.  Progress counts as a heartbeat."""

    run: int
    node: str
    fence: int
    progress: Progress | None = None
    zombie: bool = False
    masked: tuple[Place, ...] = ()  # where its payload has what the function masks


def keep_lines(snapshot: Snapshot, now: datetime, *, node: str, lines: tuple[LogLine, ...]) -> tuple[Change, None]:
    """Store what an attempt logged, if it still has its claim."""
    run = snapshot.running.get(lines[0].run) if lines else None
    if run is None or not run.held_by(node, lines[0].fence):
        return NOTHING, None
    return Change(lines=lines), None


def note(snapshot: Snapshot, now: datetime, *, note: Note) -> tuple[Change, None]:
    """Store what the attempt said, if it still has its claim (H2, B6)."""
    run: Run | None = snapshot.running.get(note.run)
    if run is None or run.claim is None or not run.held_by(note.node, note.fence):
        return NOTHING, None
    if note.zombie:
        if run.claim.zombie_since is not None:
            return NOTHING, None
        return Change(runs=(replace(run, claim=replace(run.claim, zombie_since=now)),)), None
    if note.masked:
        return Change(runs=(replace(run, masked=tuple(sorted({*run.masked, *note.masked}))),)), None
    progress = run.progress if note.progress is None else replace(note.progress, at=now)
    return Change(runs=(replace(run, progress=progress, heartbeat_at=now),)), None
