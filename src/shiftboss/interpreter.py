"""The Python on which children, the warden and the keeper run, if there is one to start.

Rules of this file
- Only an interpreter is started: in a frozen application, and in a host that embeds Python, `sys.executable` is that
  program, which would begin once more.
- A host chooses the interpreter as it does for multiprocessing: `multiprocessing.set_executable`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable

from shiftboss.errors import ConfigurationError

NAMES = ("python", "pypy", "graalpy")


def interpreter() -> str | None:
    """Its path; None if there is none."""
    if is_frozen():
        return None
    spawn = sys.modules.get("multiprocessing.spawn")
    named = os.fsdecode((None if spawn is None else spawn.get_executable()) or "")
    if named and named != sys.executable:
        candidates = [named]
    else:
        folder = os.path.join(sys.exec_prefix, "bin")
        names = (f"python{sys.version_info[0]}.{sys.version_info[1]}", "python3")
        candidates = (
            [sys.executable or ""] if _is_python(sys.executable or "") else [os.path.join(folder, n) for n in names]
        )
    return next((each for each in candidates if each and os.access(each, os.X_OK)), None)


def require_interpreter(workers: Iterable[str]) -> None:
    """Raises ConfigurationError if a child of *workers* (executor='process') would be this program once more."""
    if interpreter() is not None:
        return
    if is_frozen():
        what = "this is a frozen application, and a child process would start the whole application again"
        remedy = "pool=ProcessPoolExecutor with multiprocessing.freeze_support()"
    else:
        what = f"sys.executable is {sys.executable!r}, which is not a Python for child processes"
        remedy = "set one with multiprocessing.set_executable"
    names = ", ".join(map(repr, workers))
    raise ConfigurationError(
        f"executor='process' of {names} cannot run here: {what}; use executor='thread', or {remedy}"
    )


def is_frozen() -> bool:
    """Whether PyInstaller, cx_Freeze, py2exe, Nuitka or PyOxidizer has made this program."""
    main = sys.modules.get("__main__")
    return bool(getattr(sys, "frozen", False)) or hasattr(sys, "oxidized") or "__compiled__" in vars(main or sys)


def _is_python(path: str) -> bool:
    return any(name in os.path.basename(path).lower() for name in NAMES)
