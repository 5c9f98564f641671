"""Where a function is defined, so that another process can find it: its module and its qualified name.

Rules of this file
- A function that cannot be found by name is refused at its declaration: a lambda, a local function, a partial, a
  method.
- A script that was started as `__main__` is imported as `__mp_main__`, as multiprocessing does, so that the code under
  `if __name__ == "__main__"` does not run; so is the script of an archive (zipapp) or a folder.  A script that cannot
  be read a second time (an interactive session, a pipe) is refused like a lambda.
- A module is imported by its name; if that finds nothing or another file, by its file.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import runpy
import sys
from types import ModuleType
from typing import Any

import msgspec

from shiftboss.errors import ConfigurationError
from shiftboss.interpreter import is_frozen

MAIN = "__main__"
IMPORTED_MAIN = "__mp_main__"

try:
    STARTED_IN = os.getcwd()  # a relative path of the script starts here, whatever the working directory is later
except OSError:  # it was removed
    STARTED_IN = ""

in_child = False
"""Whether this process is a child of an executor: its main function sets it, and no orchestrator starts in one."""


class FunctionRef(msgspec.Struct, frozen=True, array_like=True):
    """Where a function or a class is defined.  `file` finds a module that is on no entry of sys.path."""

    module: str
    name: str
    file: str | None = None


class Script(msgspec.Struct, frozen=True):
    """What runs as `__main__`: a module (python -m), or a file, an archive, a folder."""

    module: str | None = None
    file: str | None = None


def ref_of(function: Any, worker: str) -> FunctionRef:
    """Where *function* is defined.  Raises ConfigurationError."""
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str) or getattr(function, "__self__", None) is not None:
        raise ConfigurationError(
            f"worker {worker!r}: a child process cannot import {function!r}; executor='process' needs a function "
            "defined with def at the top level of its module"
        )
    if "<" in name:  # <lambda>, <locals>
        raise ConfigurationError(
            f"worker {worker!r}: a child process cannot import {name!r}; define it with def at the top level of its "
            "module, or use executor='thread'"
        )
    if module == MAIN and this_script() == Script() and not is_frozen():  # starting children in a frozen one is refused
        raise ConfigurationError(
            f"worker {worker!r}: a child process cannot load {name!r} again, because its program is an interactive "
            "session or a pipe; put it into a module, or use executor='thread'"
        )
    return FunctionRef(module, name, getattr(sys.modules.get(module), "__file__", None))


def this_script() -> Script:
    """What this process was started with as `__main__`."""
    from pathlib import Path  # 3 ms of import, only for executor='process'

    main = sys.modules.get(MAIN)
    spec = getattr(main, "__spec__", None)
    if spec is not None and spec.name != MAIN:
        return Script(module=spec.name)
    given = getattr(main, "__file__", None)
    if given is None:
        return Script()
    file = Path(STARTED_IN, given)
    if spec is not None:  # it lies in an archive or a folder
        return Script(file=str(file.parent))
    return Script(file=str(file.resolve())) if file.is_file() else Script()


def resolve(ref: FunctionRef, script: Script) -> Any:
    """The function or class at *ref*; of a `Worker` its function.  Raises what importing the module raises."""
    module = _main(script) if ref.module == MAIN else _module(ref)
    target: Any = module
    for part in ref.name.split("."):
        target = getattr(target, part)
    return _plain(target)


def _plain(target: Any) -> Any:
    """The function in a `Worker`, also if another decorator wraps it."""
    each = target
    while each is not None:
        if hasattr(each, "fn") and hasattr(each, "trigger"):
            return each.fn
        each = getattr(each, "__dict__", {}).get("__wrapped__")
    return target


def _main(script: Script) -> ModuleType:
    if IMPORTED_MAIN not in sys.modules:
        module = ModuleType(IMPORTED_MAIN)
        if script.module is not None:
            content = runpy.run_module(script.module, run_name=IMPORTED_MAIN, alter_sys=True)
        elif script.file is not None:
            content = runpy.run_path(script.file, run_name=IMPORTED_MAIN)
        else:
            raise ImportError("the program of the function cannot be loaded again; put the function into a module")
        module.__dict__.update(content)
        sys.modules[IMPORTED_MAIN] = sys.modules[MAIN] = module
    return sys.modules[IMPORTED_MAIN]


def _module(ref: FunctionRef) -> ModuleType:
    if ref.module in sys.modules:
        return sys.modules[ref.module]
    if ref.file is None or _leads_to(ref.module, ref.file):
        return importlib.import_module(ref.module)
    spec = importlib.util.spec_from_file_location(ref.module, ref.file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{ref.file} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[ref.module] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[ref.module]
        raise
    return module


def _leads_to(name: str, file: str) -> bool:
    from pathlib import Path  # as above

    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return False
    return spec is not None and spec.origin is not None and Path(spec.origin).resolve() == Path(file).resolve()
