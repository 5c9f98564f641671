"""Finds the Orchestrator that people name: module:attr, file.py, file.py:attr, or nothing at all.

Rules of this file
- A file is imported under the name that its package gives it, so that children and pickles find the same module.
- An error in user code is shown as the user's: with their traceback, without shiftboss's frames.
- Only what somebody named is imported; `run`, `dev` and `check` also import an app that they find in the folder.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

from shiftboss.cli import messages
from shiftboss.errors import ConfigurationError, did_you_mean

if TYPE_CHECKING:
    from shiftboss.app.orchestrator import Orchestrator

CONVENTIONAL = ("app.py", "main.py", "workers.py")
MAX_LOOK_BYTES = 1 << 20  # a file of code is smaller
WAYS = "name it as module:attr, file.py or file.py:attr, or set [tool.shiftboss] app in pyproject.toml"


class App(NamedTuple):
    """An app, and the text that names it so that it is found again."""

    boss: Orchestrator
    name: str


def load_app(spec: str) -> App:
    """The Orchestrator that *spec* names.  Raises ConfigurationError."""
    place, colon, attribute = spec.partition(":")
    if colon and not attribute:
        raise ConfigurationError(f"app {spec!r} ends in a colon; write {place}:attr, or only {place}")
    module = _import_file(Path(place)) if _is_file(place) else _import_module(place)
    if attribute:
        return App(_attribute(module, attribute, place), spec)
    name, boss = _only_one(module, place)
    return App(boss, f"{place}:{name}")


def find_app() -> App:
    """The only Orchestrator in app.py, main.py or workers.py of this folder.  Raises ConfigurationError."""
    for file in CONVENTIONAL:
        if Path(file).is_file():
            module = _import_file(Path(file))
            if _orchestrators(module):
                name, boss = _only_one(module, file)
                return App(boss, f"{file}:{name}")
    there = [file for file in CONVENTIONAL if Path(file).is_file()]
    what_is_there = (
        f"{', '.join(there)} here has no Orchestrator"
        if there
        else f"there is no {' or '.join(CONVENTIONAL)} in this folder"
    )
    raise ConfigurationError(f"which app?  {what_is_there}; {WAYS}")


def likely_app() -> str | None:
    """A file with a conventional name here that mentions shiftboss; it is read, and not run."""
    return next((name for name in CONVENTIONAL if _speaks_of_us(Path(name))), None)


def _speaks_of_us(file: Path) -> bool:
    if not file.is_file():  # reading a pipe would block
        return False
    try:
        with file.open("rb") as opened:
            return b"shiftboss" in opened.read(MAX_LOOK_BYTES)
    except OSError:
        return False


# ── importing ────────────────────────────────────────────────────────────────────────────────────────────────────


def _is_file(place: str) -> bool:
    return place.endswith(".py") or "/" in place or "\\" in place


def _import_file(path: Path) -> ModuleType:
    file = path.resolve()
    if not file.is_file():
        near = [other.name for other in file.parent.glob("*.py")] if file.parent.is_dir() else []
        raise ConfigurationError(f"there is no file {path}; {did_you_mean(file.name, near)}")
    parts, folder = [file.stem], file.parent
    while (folder / "__init__.py").is_file():
        parts.insert(0, folder.name)
        folder = folder.parent
    _add_to_path(folder)
    name = ".".join(parts)
    if name in sys.modules and not _is_from(sys.modules[name], file):
        return _run(lambda: _import_as(f"shiftboss_app_{file.stem}", file), str(path))  # queue.py and the like
    module = _run(lambda: importlib.import_module(name), str(path))
    if not _is_from(module, file):
        raise ConfigurationError(f"{path} cannot be imported because another module is named {name!r}")
    return module


def _import_as(name: str, file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _import_module(name: str) -> ModuleType:
    _add_to_path(Path.cwd())
    try:
        is_there = all(part.isidentifier() for part in name.split(".")) and _can_be_found(name)
    except Exception:  # noqa: BLE001  # a parent package fails: importing it shows how
        is_there = True
    if not is_there:
        file = Path(f"{name}.py")
        there = f"did you mean {file}?" if file.is_file() else WAYS
        raise ConfigurationError(
            f"there is no module {name!r} in {Path.cwd()} or among the installed packages; {there}"
        )
    return _run(lambda: importlib.import_module(name), name)


def _can_be_found(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def _add_to_path(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


def _is_from(module: ModuleType, file: Path) -> bool:
    known = getattr(module, "__file__", None)
    return known is not None and Path(known).resolve() == file


def _run(load: object, what: str) -> ModuleType:
    """Import, and show whatever the user's code raises as the user's error."""
    try:
        return load()  # type: ignore[operator,no-any-return]  # a lambda of this file
    except ConfigurationError:
        raise  # a declaration that cannot work: its message is enough
    except (Exception, SystemExit) as error:
        messages.block(_their_traceback(error))
        raise ConfigurationError(f"{what} cannot be imported: {type(error).__name__}: {error}") from error


def _their_traceback(error: BaseException) -> str:
    """The traceback from the first frame that belongs neither to shiftboss nor to the import system."""
    ours = (str(Path(__file__)), "<frozen importlib", importlib.__file__)
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(ours):
        trace = trace.tb_next
    return "".join(traceback.format_exception(type(error), error, trace))


# ── finding ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _attribute(module: ModuleType, path: str, place: str) -> Orchestrator:
    from shiftboss.app.orchestrator import Orchestrator

    target: object = module
    for part in path.split("."):
        if not hasattr(target, part):
            raise ConfigurationError(f"{place} has no {path!r}; {_say_orchestrators(module)}")
        target = getattr(target, part)
    if not isinstance(target, Orchestrator):
        raise ConfigurationError(
            f"{place}:{path} is a {type(target).__name__}, not an Orchestrator; {_say_orchestrators(module)}"
        )
    return target


def _only_one(module: ModuleType, place: str) -> tuple[str, Orchestrator]:
    orchestrators = _orchestrators(module)
    if not orchestrators:
        raise ConfigurationError(f"{place} has no Orchestrator; write `boss = Orchestrator()` at its top level")
    if len(orchestrators) > 1:
        names = ", ".join(orchestrators)
        first = next(iter(orchestrators))
        raise ConfigurationError(
            f"{place} has {len(orchestrators)} orchestrators ({names}); say which, like {place}:{first}"
        )
    return next(iter(orchestrators.items()))


def _orchestrators(module: ModuleType) -> dict[str, Orchestrator]:
    """Names at the top level; if two names mean the same object, the first."""
    from shiftboss.app.orchestrator import Orchestrator

    orchestrators: dict[str, Orchestrator] = {}
    for name, value in vars(module).items():
        if isinstance(value, Orchestrator) and not any(value is other for other in orchestrators.values()):
            orchestrators[name] = value
    return orchestrators


def _say_orchestrators(module: ModuleType) -> str:
    orchestrators = _orchestrators(module)
    return f"it has {', '.join(orchestrators)}" if orchestrators else "it has no Orchestrator at its top level"
