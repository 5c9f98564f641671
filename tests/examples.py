"""How many examples a property is tried with: a few in every run, all of them in `make chaos` (EXAMPLES=all)."""

from __future__ import annotations

import os


def examples(few: int, *, of: int) -> int:
    """*few*, or *of* where all are asked for."""
    return of if os.environ.get("EXAMPLES") == "all" else few
