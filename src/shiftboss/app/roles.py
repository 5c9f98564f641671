"""The four roles that say who may do what."""

from __future__ import annotations

from enum import IntEnum


class Role(IntEnum):
    """Each may do what the one before it may."""

    METRICS = 0  # reads /metrics, and nothing else
    VIEWER = 1  # reads everything; payloads and errors with their secrets masked
    OPERATOR = 2  # triggers, cancels, enables, disables, replays, resolves
    ADMIN = 3  # discards, forgets, drains, prefers
