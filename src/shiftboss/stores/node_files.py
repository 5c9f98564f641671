"""A locked file for each node, so that its neighbours on this machine know at once when its process is gone (C4).

Rules of this file
- The lock is a POSIX record lock: the kernel drops it with the process, however that ends, and a forked child does not
  inherit it (flock would live on in the child).
- Closing any descriptor of a file drops this process's locks on it: own files are never opened a second time, and
  questions about own nodes are answered from a registry of the whole process.
- No file means "cannot tell", never "dead": somebody may have deleted the folder under living nodes.
- A dead node's file stays until its row is gone: whoever asks, and however often, gets the same answer.  Files without
  a row are swept when the next node starts.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl

    HAS_LOCKS = True
except ImportError:  # Windows: nobody can tell, leases decide
    HAS_LOCKS = False

UNSAFE = re.compile(r"[^A-Za-z0-9._-]")

_held: dict[tuple[int, int, int], str] = {}  # (pid, device, inode) → node, of all stores in this process
_lock = threading.Lock()  # protects _held, and makes "is it ours?" and opening it one step


class NodeFiles:
    """The files of one store.  *known* tells which nodes have a row."""

    def __init__(self, folder: Path, known: Callable[[], Collection[str]]) -> None:
        self._folder = folder
        self._known = known

    @contextmanager
    def hold(self, node: str) -> Iterator[None]:
        """Keep the file of *node* locked."""
        if not HAS_LOCKS:
            yield
            return
        self._sweep()
        held = self._take(node)
        try:
            yield
        except GeneratorExit:  # never closed, collected while the interpreter ends: the kernel lets go
            raise
        except BaseException:
            self._leave(node, *held)
            raise
        self._leave(node, *held)

    def is_dead(self, node: str) -> bool:
        """Whether the process that held *node* is surely gone."""
        return HAS_LOCKS and _is_free(self._path(node))

    def _path(self, node: str) -> Path:
        return self._folder / UNSAFE.sub("_", node)

    def _take(self, node: str) -> tuple[Path, int, tuple[int, int, int]]:
        """Lock first, give it its name afterwards: nobody ever sees a living node's file without its lock."""
        self._folder.mkdir(exist_ok=True)
        path = self._path(node)
        draft = self._folder / f".{path.name}.{os.urandom(4).hex()}"
        with _lock:
            descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
            try:
                fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                with suppress(OSError):  # for people; a full disk must not keep a node from starting
                    os.write(descriptor, f"{os.getpid()}\n".encode())
                key = _key(os.fstat(descriptor))
                draft.rename(path)
            except BaseException:
                draft.unlink(missing_ok=True)
                os.close(descriptor)
                raise
            _held[key] = node
        return path, descriptor, key

    def _leave(self, node: str, path: Path, descriptor: int, key: tuple[int, int, int]) -> None:
        if key[0] != os.getpid():
            return  # a forked child ends: the lock is its parent's
        if not self._has_row(node):
            path.unlink(missing_ok=True)
        with _lock:
            _held.pop(key, None)
            os.close(descriptor)

    def _has_row(self, node: str) -> bool:
        try:
            return node in self._known()
        except Exception:  # noqa: BLE001  # the store is away: keep the file, so that the neighbours can tell
            return True

    def _sweep(self) -> None:
        """Remove what dead processes left behind and no row needs."""
        try:
            known = {self._path(node).name for node in self._known()}
            files = [file for file in self._folder.iterdir() if file.name not in known and file.name[0] != "."]
        except Exception:  # noqa: BLE001  # no folder yet, or a store in trouble: sweeping can wait
            return
        for file in files:
            if _is_free(file):
                with suppress(OSError):
                    file.unlink(missing_ok=True)


def _is_free(path: Path) -> bool:
    """Whether the file exists and nobody holds its lock.  A shared lock: two who ask at once both get the answer."""
    with _lock:
        try:
            if _key(path.stat()) in _held:
                return False
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return False
        finally:
            os.close(descriptor)
        return True


def _key(facts: os.stat_result) -> tuple[int, int, int]:
    return os.getpid(), facts.st_dev, facts.st_ino
