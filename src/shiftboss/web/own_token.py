"""The token that a server on this machine makes for itself at its first start, and the file that keeps it.

Rules of this file
- The file is beside the store (`jobs.db.token`).  For a store that is no file, and if the file there belongs to another
  user, it is in the user's state folder.  A file that root makes is given to the owner of the store.
- Everyone who can read it may do everything: so its mode must be 0600.
- It appears complete and once: if two processes make it at the same moment, one of them does, and both use it.
- A file that another user could have put there, or can read, is refused with the remedy; it is never overwritten.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import stat
import sys
import tempfile
from pathlib import Path

from shiftboss.core.address import shown
from shiftboss.errors import ConfigurationError
from shiftboss.stores.urls import file_of

MIN_CHARS = 16
MAX_BYTES = 4096
O_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
O_NONBLOCK = getattr(os, "O_NONBLOCK", 0)  # a FIFO in its place must not block us
INSTEAD = "or set SHIFTBOSS_AUTH_TOKEN to a secret of your own"


def place_of(store_url: str, suffix: str = ".token") -> Path:
    """The path of the file, whether it exists or not."""
    file = file_of(store_url)
    if file is not None:
        beside = Path(os.path.abspath(f"{file}{suffix}"))
        return beside if _is_ours(beside) else state_folder() / f"{_hash(str(beside))}{suffix}"
    return state_place_of(store_url, suffix)


def state_place_of(store_url: str, suffix: str) -> Path:
    """Its path for a store that is no file."""
    return state_folder() / f"{_hash(shown(store_url))}{suffix}"


def state_folder() -> Path:
    """The folder for a user's data that is no configuration (XDG state)."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "shiftboss"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "shiftboss"
    given = os.environ.get("XDG_STATE_HOME", "")
    return (Path(given) if os.path.isabs(given) else Path.home() / ".local" / "state") / "shiftboss"


def own_token(store_url: str) -> tuple[str, Path]:
    """The token and its file, made now if there is none.  Raises ConfigurationError."""
    try:
        place = place_of(store_url)
        if place.parent == state_folder():
            make_state_folder()
        if not os.path.lexists(place):
            _make(place)
        return read_token(place), place
    except (OSError, RuntimeError) as error:  # RuntimeError: a user without a home
        raise ConfigurationError(
            f"the token file of this server cannot be created: {error}; give this user a writable folder, {INSTEAD}"
        ) from error


def read_token(place: Path) -> str:
    """Raises ConfigurationError if the file is not ours alone or holds no token, and OSError."""
    remedy = f"remove it, and the next start creates a new one, {INSTEAD}"
    try:
        descriptor = os.open(place, os.O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EMLINK):
            raise ConfigurationError(f"{place} is a symbolic link, not a token file; {remedy}") from error
        raise ConfigurationError(f"{place} cannot be read: {error.strerror}; {remedy}") from error
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise ConfigurationError(f"{place} is not a file; {remedy}")
        if os.name != "nt" and not _may_be(facts.st_uid, place):
            raise ConfigurationError(f"{place} belongs to another user (uid {facts.st_uid}); {remedy}")
        if os.name != "nt" and facts.st_mode & 0o077:
            mode = stat.S_IMODE(facts.st_mode)
            raise ConfigurationError(f"other users can read or write {place} (mode {mode:04o}); {remedy}")
        data = os.read(descriptor, MAX_BYTES)
    finally:
        os.close(descriptor)
    token = data.decode("ascii", "replace").strip()
    if not token:
        raise ConfigurationError(f"{place} is empty; {remedy}")
    if len(token) < MIN_CHARS or not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigurationError(f"{place} has no token in it; {remedy}")
    return token


def _make(place: Path) -> None:
    """Write a complete draft beside its place, then link it: linking succeeds once, and replaces nothing."""
    descriptor, draft = tempfile.mkstemp(prefix=f".{place.name}.", dir=place.parent)  # 0600 from the first
    try:
        try:
            give(descriptor, place)
            _write(descriptor, secrets.token_urlsafe(32))
        finally:
            os.close(descriptor)
        try:
            with contextlib.suppress(FileExistsError):
                os.link(draft, place)
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV):
                raise
            _make_without_links(place)
    finally:
        with contextlib.suppress(OSError):
            os.unlink(draft)


def _make_without_links(place: Path) -> None:
    """For file systems without links; a process that reads it too early is told that it is empty."""
    with contextlib.suppress(FileExistsError):
        descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | O_NOFOLLOW, 0o600)
        try:
            give(descriptor, place)
            _write(descriptor, secrets.token_urlsafe(32))
        except OSError:
            os.unlink(place)
            raise
        finally:
            os.close(descriptor)


def _write(descriptor: int, token: str) -> None:
    data = f"{token}\n".encode()
    if os.write(descriptor, data) != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    os.fsync(descriptor)


def give(descriptor: int, place: Path) -> None:
    """Give a file that root made to the owner of the store or folder: a single start as root must lock nobody out."""
    if os.name != "nt" and os.geteuid() == 0:
        theirs = owner_of(place)
        os.fchown(descriptor, theirs.st_uid, theirs.st_gid)


def owner_of(place: Path) -> os.stat_result:
    """The owner of the store beside it, otherwise of the folder.  Raises OSError."""
    try:
        return place.with_suffix("").stat()
    except FileNotFoundError:
        return place.parent.stat()


def make_state_folder() -> None:
    """Make the folder and its missing parents.  Raises OSError."""
    folder = state_folder()
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        with contextlib.suppress(FileExistsError):
            each.mkdir(0o700)
            if os.name == "nt":
                continue
            descriptor = os.open(each, os.O_RDONLY | os.O_DIRECTORY | O_NOFOLLOW)
            try:
                if os.geteuid() == 0:  # with another user's home, as after sudo
                    theirs = each.parent.stat()
                    os.fchown(descriptor, theirs.st_uid, theirs.st_gid)
            finally:
                os.close(descriptor)


def _may_be(uid: int, place: Path) -> bool:
    """Whether we would have made a file with that owner."""
    return uid == os.geteuid() or (os.geteuid() == 0 and uid == owner_of(place).st_uid)


def _is_ours(place: Path) -> bool:
    """Whether the file is ours, or would be."""
    if os.name == "nt":
        return True
    try:
        return _may_be(place.lstat().st_uid, place)
    except OSError:
        return True


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]
