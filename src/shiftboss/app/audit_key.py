"""The key that seals the audit, and the last seal that this machine remembers: both are outside the store (A8).

Rules of this file
- The key comes from SHIFTBOSS_AUDIT_KEY, else from the file SHIFTBOSS_AUDIT_KEY_FILE, else from a file of mode 0600
  (0660 in a setgid folder): beside a store that is a file, in the user's state folder for other stores.  A node makes
  that file at its first start; a client uses only a file that exists.
- The lines after the first are former keys: they verify, and seal nothing.
- A key that cannot be read or made stops nothing: this is reported, and other processes seal.  A malformed key, or one
  that everybody can read, is refused.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from weakref import WeakKeyDictionary

import msgspec

from shiftboss.core.audit import Head, Key
from shiftboss.errors import ConfigurationError
from shiftboss.logs import get_logger
from shiftboss.ports.store import Store
from shiftboss.stores.host import file_modes

log = get_logger("shiftboss.audit")

MIN_CHARS = 16
MAX_HEADS = 100  # seals that the store has lost; more would tell nothing new


_of_memory: WeakKeyDictionary[Store, Keys] = WeakKeyDictionary()


class Keys:
    """`key` seals; all keys verify.  *memory*: the file that remembers the last seal; None: only this process does."""

    def __init__(self, keys: tuple[Key, ...], memory: Path | None) -> None:
        self.key = keys[0]
        self.keys = keys
        self.memory = memory
        self._heads = _read_heads(memory)

    @property
    def head(self) -> Head | None:
        return self._heads[0] if self._heads and self._heads[0].id else None

    @property
    def heads(self) -> tuple[Head, ...]:
        """All seals that must be in the store: the last one, and those that it was found to have lost."""
        return tuple(head for head in self._heads if head.id)

    def remember(self, head: Head) -> None:
        self._keep([head, *self._heads[1:]])

    def lose(self, head: Head) -> None:
        self._keep([Head(""), head, *self._heads[1:MAX_HEADS]])

    def _keep(self, heads: list[Head]) -> None:
        self._heads = heads
        if self.memory is not None:
            with suppress(OSError):  # the folder is not writable: then only this process remembers it
                _write(self.memory, msgspec.json.encode(heads))


def keys_of(store: Store, *, create: bool) -> Keys | None:
    """The keys of that store; with *create* a missing one is made.  Raises ConfigurationError."""
    place, memory = _places(store)
    if place is None:  # the store lives only in this process, and so does its key
        return _of_memory.setdefault(store, Keys((Key(secrets.token_bytes(32)),), None))
    if given := os.environ.get("SHIFTBOSS_AUDIT_KEY"):
        return Keys((_key(given, "SHIFTBOSS_AUDIT_KEY"),), memory)
    if named := os.environ.get("SHIFTBOSS_AUDIT_KEY_FILE"):
        try:
            return Keys(_read(Path(named)), memory)
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"SHIFTBOSS_AUDIT_KEY_FILE={named} cannot be read: {error}") from error
    try:
        return Keys(_read_or_make(place, create=create), memory)
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        log.warning(
            "this process does not seal the audit because it cannot read the key %s: %s; make it readable, or name "
            "another one in SHIFTBOSS_AUDIT_KEY_FILE",
            place,
            error,
        )
        return None


class HandedOver(NamedTuple):
    """What became of the key when its store moved.  *given_by*: the variable that gives the key; then no file moves."""

    source: Path | None
    target: Path | None
    given_by: str = ""


def hand_over(source: Store, target: Store) -> HandedOver:
    """Make the key of *source* verify and continue the seals in *target*, its copy; copy the remembered seals as well.

    If *target* has a key already, that one stays the first, and the key of *source* becomes a former key.  Raises
    ConfigurationError, OSError.
    """
    (old, old_memory), (new, new_memory) = _places(source), _places(target)
    for variable in ("SHIFTBOSS_AUDIT_KEY", "SHIFTBOSS_AUDIT_KEY_FILE"):
        if os.environ.get(variable):
            old = None
            break
    else:
        variable = ""
    if old_memory is not None and new_memory is not None and not new_memory.exists() and old_memory.exists():
        _write(new_memory, old_memory.read_bytes())
    if old is None or new is None or not old.exists():
        return HandedOver(None, None, variable)
    files = [new, old] if new.exists() else [old]
    for file in files:
        _read_own(file)  # each is checked
    lines = dict.fromkeys(line for file in files for line in file.read_text(encoding="utf-8").split())
    _write(new, "".join(f"{line}\n" for line in lines).encode())
    return HandedOver(old, new)


def _places(store: Store) -> tuple[Path | None, Path | None]:
    """The files of the key and of the remembered seals."""
    if store.durability == "memory":
        return None, None
    path = getattr(store, "path", None)
    if path is None:
        state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
        path = Path(state, "shiftboss", hashlib.sha256(store.url.encode()).hexdigest()[:16])
    return Path(f"{path}.audit-key"), Path(f"{path}.audit-head")


def _read_or_make(place: Path, *, create: bool) -> tuple[Key, ...]:
    try:
        return _read_own(place)
    except FileNotFoundError:
        if not create:
            raise
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = _draft(place, secrets.token_hex(32).encode() + b"\n")
    try:
        with suppress(FileExistsError):  # another process was faster: its key is used
            os.link(draft, place)
    finally:
        draft.unlink(missing_ok=True)
    return _read_own(place)


def _read_own(place: Path) -> tuple[Key, ...]:
    """Raises ConfigurationError for a file that everybody can read, because everybody could seal with it."""
    if os.name != "nt" and place.stat().st_mode & (stat.S_IROTH | stat.S_IWOTH):
        raise ConfigurationError(
            f"{place} can be read by every user of this machine; run: chmod o= {place}, or make a new one"
        )
    return _read(place)


def _read(place: Path) -> tuple[Key, ...]:
    lines = [line for line in place.read_text(encoding="utf-8").split() if line]
    if not lines:
        raise ConfigurationError(f"{place} is empty; put the audit key into it, or delete the file")
    return tuple(_key(line, str(place)) for line in lines)


def _key(text: str, place: str) -> Key:
    if len(text) < MIN_CHARS:
        raise ConfigurationError(f"{place} holds a key of {len(text)} characters; use at least {MIN_CHARS}")
    return Key(text.encode("utf-8", "surrogatepass"))


def _read_heads(memory: Path | None) -> list[Head]:
    """Lines that cannot be read are left out."""
    if memory is None:
        return []
    try:
        return msgspec.json.decode(memory.read_bytes(), type=list[Head])
    except (OSError, msgspec.DecodeError, UnicodeError):
        return []


def _write(place: Path, data: bytes) -> None:
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = _draft(place, data)
    try:
        os.replace(draft, place)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def _draft(place: Path, data: bytes) -> Path:
    draft = place.with_name(f".{place.name}.{os.getpid()}-{secrets.token_hex(4)}")
    with os.fdopen(file_modes.new_file(draft), "wb") as file:
        store = place.with_suffix("")
        if store.exists():  # the store's owner and group: a command of root's locks no node out, nobody else gets in
            file_modes.share_like(file.fileno(), store)
            draft.chmod(draft.stat().st_mode & 0o770)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return draft
