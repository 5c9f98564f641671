"""The token that a server on this machine makes for itself at its first start, and the file that keeps it.

Rules of this file
- It stands beside the store (`jobs.db.token`); for stores that are no file, and where the file there is another user's,
  in the user's state folder.  What root makes belongs to the owner of the store.
- Who can read it may do everything: mode 0600, and nothing else is taken.
- It appears whole and once: of two processes that make it at the same moment one makes it, and both have the same.
- A file that anybody else could have put there, or can read, is refused with the remedy; it is never overwritten.
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
O_NONBLOCK = getattr(os, "O_NONBLOCK", 0)  # a FIFO in its place must not hold us
INSTEAD = "or set SHIFTBOSS_AUTH_TOKEN to a secret of your own"


def place_of(store_url: str, suffix: str = ".token") -> Path:
    """Where the file is, or will be."""
    file = file_of(store_url)
    if file is not None:
        beside = Path(os.path.abspath(f"{file}{suffix}"))
        return beside if _is_ours(beside) else state_folder() / f"{_hash(str(beside))}{suffix}"
    return state_place_of(store_url, suffix)


def state_place_of(store_url: str, suffix: str) -> Path:
    """The same for a store that is no file."""
    return state_folder() / f"{_hash(shown(store_url))}{suffix}"


def state_folder() -> Path:
    """Where programs keep what belongs to a user and is no configuration."""
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
            f"the file for the token of this server cannot be made: {error}; give this user a folder to write to, "
            f"{INSTEAD}"
        ) from error


def read_token(place: Path) -> str:
    """Raises ConfigurationError for a file that is not ours alone or holds no token, OSError."""
    remedy = f"remove it, and a new one is made at the next start, {INSTEAD}"
    try:
        descriptor = os.open(place, os.O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EMLINK):
            raise ConfigurationError(f"{place} is a symbolic link and no token of ours; {remedy}") from error
        raise ConfigurationError(f"{place} cannot be read: {error.strerror}; {remedy}") from error
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise ConfigurationError(f"{place} is no file; {remedy}")
        if os.name != "nt" and not _may_be(facts.st_uid, place):
            raise ConfigurationError(f"{place} belongs to another user (uid {facts.st_uid}); {remedy}")
        if os.name != "nt" and facts.st_mode & 0o077:
            mode = stat.S_IMODE(facts.st_mode)
            raise ConfigurationError(f"{place} can be read or written by others (mode {mode:04o}); {remedy}")
        data = os.read(descriptor, MAX_BYTES)
    finally:
        os.close(descriptor)
    token = data.decode("ascii", "replace").strip()
    if not token:
        raise ConfigurationError(f"{place} is empty; {remedy}")
    if len(token) < MIN_CHARS or not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigurationError(f"{place} holds no token; {remedy}")
    return token


def _make(place: Path) -> None:
    """Written whole beside its place, then linked to it: a link is made once, and replaces nothing."""
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
    """On file systems that have no links; who reads it in between is told that it is empty."""
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
    """What root has made belongs to whose store, or whose folder, it is beside: root that ran once locks nobody out."""
    if os.name != "nt" and os.geteuid() == 0:
        theirs = owner_of(place)
        os.fchown(descriptor, theirs.st_uid, theirs.st_gid)


def owner_of(place: Path) -> os.stat_result:
    """Of the store beside which it lies, else of the folder.  Raises OSError."""
    try:
        return place.with_suffix("").stat()
    except FileNotFoundError:
        return place.parent.stat()


def make_state_folder() -> None:
    """With those above it that are missing.  Raises OSError."""
    folder = state_folder()
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        with contextlib.suppress(FileExistsError):
            each.mkdir(0o700)
            if os.name == "nt":
                continue
            descriptor = os.open(each, os.O_RDONLY | os.O_DIRECTORY | O_NOFOLLOW)
            try:
                if os.geteuid() == 0:  # with the home of another user, as sudo leaves it
                    theirs = each.parent.stat()
                    os.fchown(descriptor, theirs.st_uid, theirs.st_gid)
            finally:
                os.close(descriptor)


def _may_be(uid: int, place: Path) -> bool:
    """Whether a file of that user is the one that we would have made."""
    return uid == os.geteuid() or (os.geteuid() == 0 and uid == owner_of(place).st_uid)


def _is_ours(place: Path) -> bool:
    """Whether it is, or would be."""
    if os.name == "nt":
        return True
    try:
        return _may_be(place.lstat().st_uid, place)
    except OSError:
        return True


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]
