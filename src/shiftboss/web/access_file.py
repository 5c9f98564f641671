"""The access file: who may do what, by the names of tokens and of users.

    # NAME        ROLE      how it is known
    prometheus    metrics   sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    ada           admin     user
    *             viewer    user

Rules of this file
- It holds digests of tokens, never tokens: reading it gives nobody access.
- It is read again when it changes.  If it cannot be read, is gone, or is wrong in any line, its last valid content
  stays in force, and the log says so.  An empty file gives nobody access.
- A file that others can write would let them add themselves, so it is refused.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from shiftboss.app.roles import Role
from shiftboss.errors import ConfigurationError, did_you_mean
from shiftboss.web.access import Token
from shiftboss.web.watched_file import WatchedFile

MAX_BYTES = 1 << 20  # ten thousand lines
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@+-]{0,99}")
RESERVED = frozenset({"local", "token"})  # names that the server uses itself
DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
EVERYBODY = "*"
MAX_SHOWN = 1000  # characters of a list of changed names, in the audit


class AccessEntries(NamedTuple):
    tokens: tuple[Token, ...] = ()
    users: dict[str, Role] = {}  # a NamedTuple's default, never changed

    def user(self, name: str) -> Role | None:
        return self.users.get(name, self.users.get(EVERYBODY))


class AccessFile:
    """*is_given*: an option names the file; else it may be missing, and must be ours.  *path* None: there is none."""

    def __init__(self, path: Path | None, *, is_given: bool) -> None:
        """Raises ConfigurationError if the file is wrong now."""
        self._is_given = is_given
        self._last = AccessEntries()
        self.on_change: Callable[[str, str], None] = lambda before, after: None  # each a list of names with roles
        self._file = None if path is None else WatchedFile(path, lambda: self._read(path))

    @property
    def entries(self) -> AccessEntries:
        """The file's entries now, or when it was last valid."""
        return AccessEntries() if self._file is None else self._file.content()

    def _read(self, path: Path) -> AccessEntries:
        if not self._is_given and self._last == AccessEntries() and not _is_there(path):
            return AccessEntries()
        before, self._last = self._last, read_entries(path, is_given=self._is_given)
        self.on_change(*difference(before, self._last))
        return self._last


def _is_there(path: Path) -> bool:
    """False also in a folder that we may not read: a default file that we cannot see counts as missing."""
    try:
        path.lstat()
    except OSError:
        return False
    return True


def read_entries(path: Path, *, is_given: bool) -> AccessEntries:
    """Raises ConfigurationError."""
    try:
        with path.open("rb") as file:
            facts = os.fstat(file.fileno())
            _check(path, facts, is_given=is_given)
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(f"the access file {path} cannot be read: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise ConfigurationError(f"the access file {path} is larger than {MAX_BYTES >> 20} MiB")
    try:
        return parsed(data.decode("utf-8-sig"))
    except (UnicodeDecodeError, ConfigurationError) as error:
        raise ConfigurationError(f"the access file {path}: {error}") from error


def _check(path: Path, facts: os.stat_result, *, is_given: bool) -> None:
    if not stat.S_ISREG(facts.st_mode):
        raise ConfigurationError(f"the access file {path} is not a file")
    if os.name == "nt":
        return
    if facts.st_mode & stat.S_IWOTH:
        raise ConfigurationError(f"every user of this machine can write the access file {path}; run: chmod o-w {path}")
    if not is_given and facts.st_uid not in (0, os.geteuid(), path.parent.stat().st_uid):
        raise ConfigurationError(f"the access file {path} belongs to another user (uid {facts.st_uid}); remove it")


def parsed(text: str) -> AccessEntries:
    """Raises ConfigurationError that names the line."""
    tokens: dict[str, Token] = {}
    users: dict[str, Role] = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        try:
            _take(words, tokens, users)
        except ConfigurationError as error:
            raise ConfigurationError(f"line {number}: {error}") from error
    return AccessEntries(tuple(tokens.values()), users)


def _take(words: list[str], tokens: dict[str, Token], users: dict[str, Role]) -> None:
    if len(words) != 3:
        raise ConfigurationError("a line is NAME ROLE sha256:…, or NAME ROLE user")
    name, word, known_by = words
    roles = {each.name.lower(): each for each in Role}
    if word not in roles:
        raise ConfigurationError(f"{word[:50]!r} is not a role; {did_you_mean(word, roles)}")
    if name in tokens or name in users:
        raise ConfigurationError(f"{name[:100]} is listed twice")
    if known_by == "user":
        users[name] = roles[word]
        return
    digest = DIGEST.fullmatch(known_by)
    if digest is None:
        raise ConfigurationError(
            "the third word is `user` or sha256: with 64 digits; `shiftboss token new ada --role admin` makes one"
        )
    check_name(name)
    tokens[name] = Token(name, roles[word], bytes.fromhex(digest[1]))


def check_name(name: str) -> None:
    """Raises ConfigurationError."""
    if NAME.fullmatch(name) is None or name in RESERVED:
        raise ConfigurationError(
            f"{name[:100]!r} cannot be the name of a token; use letters, digits, and _ . @ + - between them"
        )


def difference(before: AccessEntries, after: AccessEntries) -> tuple[str, str]:
    """The names whose line has changed, with their roles before and after."""
    old, new = _lines_of(before), _lines_of(after)
    changed = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
    return tuple(", ".join(f"{name} {of[name][0]}" for name in changed if name in of)[:MAX_SHOWN] for of in (old, new))  # type: ignore[return-value]  # of two


def _lines_of(entries: AccessEntries) -> dict[str, tuple[str, bytes]]:
    lines = {name: (role.name.lower(), b"") for name, role in entries.users.items()}
    return lines | {each.name: (each.role.name.lower(), each.digest) for each in entries.tokens}


def line_of(name: str, role: Role, token: str) -> str:
    """The line of a token in the file.  Raises ConfigurationError if *name* is no name."""
    check_name(name)
    return f"{name} {role.name.lower()} sha256:{hashlib.sha256(token.encode()).hexdigest()}"
