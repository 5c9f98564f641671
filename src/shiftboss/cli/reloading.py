"""Runs an app in a process of its own, and ends and starts that process again when the app's code is saved.

Rules of this file
- One thread decides, from one queue: saves, signals, ends of the process.  It waits for nothing else.
- There is never more than one process: the old one ends within its time, or is killed, before the new one starts.
- The app's code is not imported here: whatever it does, this process lives on and waits for the next save.
"""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from watchfiles import PythonFilter, watch

from shiftboss.app.signals import heard
from shiftboss.cli import messages
from shiftboss.web.server import DEFAULT, ListenAddress, address_of, free_address

SETTLE_MS = 300  # editors write a file in several steps
LOOK_MS = 500  # how soon the watching thread notices that it must end
KILL_AFTER_S = 3.0  # after its own time: it has ended long before, or never will
SHOWN_FILES = 3


class Saved(NamedTuple):
    files: tuple[str, ...]


class Signalled(NamedTuple):
    number: int


class EndedProcess(NamedTuple):
    process: subprocess.Popen[bytes]


Happening = Saved | Signalled | EndedProcess


def reload_on_save(app: str | None, *, http: str | None, store: str | None, shutdown_timeout_s: float) -> int:
    """Runs until a signal; returns the last process's exit code.  Raises ConfigurationError for a wrong address."""
    address = free_address(DEFAULT, or_any=True) if http is None else free_address(address_of(http), or_any=False)
    command = _command(app, address, shutdown_timeout_s)
    environment = {**os.environ, **({} if store is None else {"SHIFTBOSS_STORE": store})}  # arguments can be seen
    happenings: queue.SimpleQueue[Happening] = queue.SimpleQueue()
    folder = folder_of(app)
    with heard(lambda number: happenings.put(Signalled(number))), _watching(folder, happenings):
        messages.note(f"watching {folder} for changes of *.py; Ctrl-C stops")
        return _Reloader(command, environment, happenings, end_within_s=shutdown_timeout_s + KILL_AFTER_S).run()


class _Reloader:
    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        happenings: queue.SimpleQueue[Happening],
        *,
        end_within_s: float,
    ) -> None:
        self._command = command
        self._environment = environment
        self._happenings = happenings
        self._end_within_s = end_within_s
        self._process: subprocess.Popen[bytes] | None = None  # None: it waits for a save
        self._wants_new = False  # whether to start a new process when this one has ended
        self._is_over = False

    def run(self) -> int:
        self._start()
        code = 0
        try:
            while not (self._is_over and self._process is None):
                match self._happenings.get():
                    case Saved(files):
                        self._saved(files)
                    case Signalled(number):
                        self._is_over = True
                        if self._process is not None:
                            self._process.send_signal(number)
                    case EndedProcess(process):
                        code = process.returncode
                        self._ended(code)
        finally:
            if self._process is not None:
                self._process.kill()
        return 128 - code if code < 0 else code

    def _start(self) -> None:
        self._wants_new = False
        # It gets its own process group; otherwise Ctrl-C would reach it twice: from the terminal, and from here.
        self._process = process = subprocess.Popen(  # noqa: S603  # shiftboss itself
            self._command, env=self._environment, stdin=subprocess.DEVNULL, process_group=0
        )
        threading.Thread(target=self._await, args=(process,), name="shiftboss-app", daemon=True).start()

    def _await(self, process: subprocess.Popen[bytes]) -> None:
        process.wait()
        self._happenings.put(EndedProcess(process))

    def _saved(self, files: Sequence[str]) -> None:
        if self._is_over:
            return
        messages.note(f"{_named(files)} changed: restarting")
        if self._process is None:
            self._start()
        elif not self._wants_new:
            self._wants_new = True
            self._process.terminate()
            timer = threading.Timer(self._end_within_s, self._process.kill)
            timer.daemon = True
            timer.start()

    def _ended(self, code: int) -> None:
        self._process = None
        if self._is_over:
            return
        if self._wants_new:
            self._start()
        else:
            messages.note(f"the app has ended (exit code {code}); it restarts at the next save")


@contextlib.contextmanager
def _watching(folder: Path, happenings: queue.SimpleQueue[Happening]) -> Iterator[None]:
    """Put each save below *folder* into the queue; from here on none is missed."""
    over, begun = threading.Event(), threading.Event()

    def serve() -> None:
        looks = watch(
            folder,
            watch_filter=PythonFilter(),
            stop_event=over,
            debounce=SETTLE_MS,
            rust_timeout=LOOK_MS,
            yield_on_timeout=True,  # its first report says that it watches
            raise_interrupt=False,
        )
        for changes in looks:
            begun.set()
            if changes:
                happenings.put(Saved(tuple(sorted({os.path.relpath(path, folder) for _, path in changes}))))
        begun.set()

    thread = threading.Thread(target=serve, name="shiftboss-saves", daemon=True)
    thread.start()
    begun.wait()
    try:
        yield
    finally:
        over.set()
        thread.join()


def folder_of(app: str | None) -> Path:
    """The folder of an app's code: its file's, or its topmost package's; for a module the current folder."""
    place = (app or "").partition(":")[0]
    if not (place.endswith(".py") or os.sep in place):
        return Path.cwd()
    folder = Path(place).resolve().parent
    while (folder / "__init__.py").is_file():
        folder = folder.parent
    return folder


def _command(app: str | None, address: ListenAddress, shutdown_timeout_s: float) -> list[str]:
    return [
        *(sys.executable, "-m", "shiftboss.cli.die_with_parent", str(os.getpid()), "run"),
        *([] if app is None else [app]),
        *("--http", str(address), "--shutdown-timeout", f"{shutdown_timeout_s:g}s"),
    ]


def _named(files: Sequence[str]) -> str:
    shown = ", ".join(files[:SHOWN_FILES])
    return shown if len(files) <= SHOWN_FILES else f"{shown} and {len(files) - SHOWN_FILES} others"
