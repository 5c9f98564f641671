"""A locked file for each node, by which its neighbours on this machine know at once when its process is gone (C4).

Rules of this file
- The kernel releases the lock with the process, however that ends.  A forked child closes the file (file_locks.py), and
  a function that reads or copies these files does no harm.
- Where there are only POSIX locks (macOS), such a function releases the lock.  We never open a file of our own nodes a
  second time: questions about these are answered from a registry of the whole process.
- The file says which process has it, so that neighbours can tell whether a silent node's process goes on.  When the
  engine has ended this is erased, and the lease alone decides.
- Behind that the node notes the functions that it enters, for whoever rescues their runs (entry_file.py).
- A missing file means "cannot tell", never "dead": somebody may have deleted the folder under living nodes.
- A dead node's file stays until its row is gone, so that everybody who asks gets the same answer, however often.  Files
  without a row are deleted when the next node starts.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from shiftboss.ports.store import AttemptKey, EntryLog
from shiftboss.stores.host import file_modes, process_state
from shiftboss.stores.sqlite import file_locks
from shiftboss.stores.sqlite.entry_file import MAX_BYTES, EntryFile, entries_in
from shiftboss.stores.sqlite.file_locks import HAS_LOCKS, WHOLE

if HAS_LOCKS:  # not on Windows, where nobody can tell and leases decide
    import fcntl

UNSAFE = re.compile(r"[^A-Za-z0-9._-]")

MAX_IDENTITY_BYTES = 100

_held: dict[tuple[int, int, int], str] = {}  # (pid, device, inode) → node, for all stores of this process
_lock = threading.Lock()  # protects _held, and makes "is it ours?" and opening it one step


class NodeFiles:
    """The files of one store, in a folder beside it.  *known* says which nodes have a row."""

    def __init__(self, store: Path, known: Callable[[], Collection[str]]) -> None:
        self._store = store
        self._folder = Path(f"{store}.nodes")
        self._known = known
        self._descriptors: dict[str, int] = {}  # of our own nodes whose engine has not ended

    @contextmanager
    def hold(self, node: str) -> Iterator[EntryLog | None]:
        """Keep the file of *node* locked, and note in it which functions are entered."""
        if not HAS_LOCKS:
            yield None
            return
        self._sweep()
        held = self._take(node)
        try:
            yield EntryFile(held[1])
        except GeneratorExit:  # never closed, and collected while the interpreter ends: the kernel releases the lock
            raise
        except BaseException:
            self._leave(node, *held)
            raise
        self._leave(node, *held)

    def is_dead(self, node: str) -> bool:
        """Whether the process that held *node* is surely gone."""
        return HAS_LOCKS and _is_free(self._path(node))

    def is_frozen(self, node: str) -> bool:
        """Whether that process surely lives, and is neither stopped nor traced.  For silent nodes."""
        return file_locks.HAS_OFD and process_state.goes_on(self._identity(self._path(node)))

    def entered(self, node: str) -> Collection[AttemptKey] | None:
        """Which claims a dead *node* held whose functions it had entered; None if nobody can tell."""
        if not self.is_dead(node):
            return None
        try:
            descriptor = file_locks.open_file(self._path(node), os.O_RDONLY)
        except OSError:
            return None
        try:
            return entries_in(os.pread(descriptor, MAX_BYTES, 0))
        except OSError:
            return None
        finally:
            file_locks.close_file(descriptor)

    def engine_ended(self, node: str) -> None:
        """From now on nobody takes that node for frozen, although its process may live."""
        with _lock:
            descriptor = self._descriptors.pop(node, None)
            if descriptor is not None:
                with suppress(OSError):  # what cannot be erased is believed up to the limit
                    os.pwrite(descriptor, b"\n" * MAX_IDENTITY_BYTES, 0)

    def all_see(self) -> bool:
        """Whether every neighbour could tell that a node of this process is frozen."""
        if not file_locks.HAS_OFD or process_state.identity() is None:
            return False
        try:
            files = [each for each in self._folder.iterdir() if each.name[0] != "."]
        except OSError:
            return False
        return all(process_state.in_same_namespace(self._identity(each)) or _is_free(each) for each in files)

    def _identity(self, path: Path) -> str:
        """What its process has written there; "" if it cannot be read."""
        try:
            descriptor = file_locks.open_file(path, os.O_RDONLY)
        except OSError:
            return ""
        try:
            return os.read(descriptor, MAX_IDENTITY_BYTES).decode("ascii", "replace").partition("\n")[0].strip()
        except OSError:
            return ""
        finally:
            file_locks.close_file(descriptor)

    def _path(self, node: str) -> Path:
        return self._folder / UNSAFE.sub("_", node)

    def _take(self, node: str) -> tuple[Path, int, tuple[int, int, int]]:
        """Lock the file first and name it afterwards: nobody ever sees a living node's file without its lock."""
        file_modes.make_folder(self._folder, self._store)
        path = self._path(node)
        draft = self._folder / f".{path.name}.{os.urandom(4).hex()}"
        with _lock:
            descriptor = file_locks.open_file(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL)
            try:
                _lock_it(descriptor)
                file_modes.share_like(descriptor, self._store)
                with suppress(OSError):  # a full disk must not keep a node from starting
                    os.write(descriptor, f"{process_state.identity() or os.getpid()}\n".encode())
                key = _key(os.fstat(descriptor))
                draft.rename(path)
            except BaseException:
                draft.unlink(missing_ok=True)
                file_locks.close_file(descriptor)
                raise
            _held[key] = node
            self._descriptors[node] = descriptor
        return path, descriptor, key

    def _leave(self, node: str, path: Path, descriptor: int, key: tuple[int, int, int]) -> None:
        if key[0] != os.getpid():
            return  # a forked child ends: its parent has the lock
        if not self._has_row(node):
            path.unlink(missing_ok=True)
        with _lock:
            _held.pop(key, None)
            self._descriptors.pop(node, None)
            file_locks.give_back(descriptor, WHOLE)  # a child forked by C code may have it too
            file_locks.close_file(descriptor)

    def _has_row(self, node: str) -> bool:
        try:
            return node in self._known()
        except Exception:  # noqa: BLE001  # the store is unavailable: keep the file, so that neighbours can tell
            return True

    def _sweep(self) -> None:
        """Delete the files of dead processes that no row needs."""
        try:
            known = {self._path(node).name for node in self._known()}
            files = [file for file in self._folder.iterdir() if file.name not in known and file.name[0] != "."]
        except Exception:  # noqa: BLE001  # no folder yet, or a store in trouble: this can wait
            return
        for file in files:
            if _is_free(file):
                with suppress(OSError):
                    file.unlink(missing_ok=True)


def _is_free(path: Path) -> bool:
    """Whether the file exists and nobody holds its lock."""
    with _lock:
        try:
            if _key(path.stat()) in _held:
                return False
            descriptor = file_locks.open_file(path, os.O_RDONLY)
        except OSError:
            return False
        try:
            return _is_unlocked(descriptor)
        except OSError:
            return False
        finally:
            file_locks.close_file(descriptor)


def _lock_it(descriptor: int) -> None:
    if file_locks.HAS_OFD:
        file_locks.take(descriptor, WHOLE)
    else:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _is_unlocked(descriptor: int) -> bool:
    """Whether nobody holds the lock.  If it takes a lock to know, that is a shared one: two may ask at once."""
    if file_locks.HAS_OFD:
        return not file_locks.is_taken(descriptor, WHOLE)
    fcntl.lockf(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    return True


def _key(facts: os.stat_result) -> tuple[int, int, int]:
    return os.getpid(), facts.st_dev, facts.st_ino


def _in_child() -> None:
    """The child keeps none of them; another thread may have held the lock at the fork."""
    global _lock
    _held.clear()
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
