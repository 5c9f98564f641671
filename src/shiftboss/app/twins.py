"""A file that runs as `__main__` and is also imported (`from app import boss`) has one orchestrator, not two.

Rules of this file
- The same line of the same file, run as `__main__` and as a module, makes the same object; nothing else is treated so.
- This holds only at the top of a module: a function that makes orchestrators makes a new one at each call.
"""

from __future__ import annotations

import os
import sys
import weakref
from collections import defaultdict
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from shiftboss.app.orchestrator import Orchestrator

MAINS = ("__main__", "__mp_main__")  # in a child process it is the latter (executors/function_ref.py)


class CodeLine(NamedTuple):
    """A line of code, and the name under which its module runs."""

    file: str
    line: int
    module: str
    is_at_top: bool

    def is_twin_of(self, module: str) -> bool:
        """Whether one of the two modules is the one that was started, and the other is its import."""
        return module != self.module and (module in MAINS) != (self.module in MAINS)


def caller(depth: int) -> CodeLine | None:
    """The line that called the function that calls this, *depth* frames further up; None if it is not in a file."""
    frame = sys._getframe(depth + 1)
    file, module = frame.f_globals.get("__file__"), frame.f_globals.get("__name__")
    if not isinstance(file, str) or not isinstance(module, str) or frame.f_code.co_filename.startswith("<"):
        return None
    return CodeLine(_real_path(file), frame.f_lineno, module, frame.f_code.co_name == "<module>")


_real_path = lru_cache(maxsize=256)(os.path.realpath)  # it asks the system about each folder; a loop declares many


class Sites:
    """The lines of code from which one orchestrator was called."""

    def __init__(self) -> None:
        self._first: dict[tuple[str, int, object], str] = {}

    def is_twin(self, site: CodeLine | None) -> bool:
        """Whether the twin of that line has called before."""
        return site is not None and any(
            (file, line) == (site.file, site.line) and site.is_twin_of(module)
            for (file, line, _), module in self._first.items()
        )

    def is_again(self, site: CodeLine | None, what: object) -> bool:
        """Whether the twin of that line has declared the same *what* before."""
        if site is None:
            return False
        return site.is_twin_of(self._first.setdefault((site.file, site.line, what), site.module))


_made: defaultdict[tuple[str, int], defaultdict[str, list[weakref.ref[Orchestrator]]]] = defaultdict(
    lambda: defaultdict(list)
)


def made_before(site: CodeLine | None) -> Orchestrator | None:
    """The orchestrator that the twin of that line has made, or None."""
    if site is None or not site.is_at_top:
        return None
    by_module = _made[site.file, site.line]
    number = len(by_module[site.module])
    for module, made in by_module.items():
        if site.is_twin_of(module) and number < len(made) and (twin := made[number]()) is not None:
            by_module[site.module].append(made[number])
            return twin
    return None


def makes(site: CodeLine | None, boss: Orchestrator) -> None:
    if site is not None and site.is_at_top:
        _made[site.file, site.line][site.module].append(weakref.ref(boss))
