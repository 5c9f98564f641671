"""The token that a server on this machine makes for itself at its first start, and the file that keeps it.

Rules of this file
- It stands beside the store (`jobs.db.token`); for stores that are no file, and where the file or, for root, the folder
  there is another user's, in the user's state folder.
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
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
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
        if os.name != "nt" and facts.st_uid != os.geteuid():
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


def _is_ours(place: Path) -> bool:
    """Whether it is, or would be: root that runs it once leaves nothing in a folder of who cannot read it then."""
    if os.name == "nt":
        return True
    me = os.geteuid()
    with contextlib.suppress(OSError):
        return place.lstat().st_uid == me
    with contextlib.suppress(OSError):
        return me != 0 or place.parent.stat().st_uid == 0
    return True


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]
