"""Is this file our store, may it be used, and how is a new one made?

Rules of this file
- Nothing is written before the file is known to be ours and of a version that we understand (W4).
- A store is completed under another name and then linked into place: a file that exists is whole, the first of many
  processes that start wins, and the others find its store.  So an empty file is never "new" but damaged (W3).
- A migration runs once, in one transaction, by whichever process comes first.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from shiftboss.errors import ConfigurationError, StoreDamaged, StoreMissing, StoreReadOnly, StoreTooNew, StoreTooOld
from shiftboss.stores.host import file_modes
from shiftboss.stores.sql import migrations
from shiftboss.stores.sqlite import errors, file_locks
from shiftboss.stores.sqlite.connection import Database, Durability
from shiftboss.stores.sqlite.header import Header, header_of

APPLICATION_ID = 0x53424F53  # "SBOS"


def prepare(path: Path, *, create: bool, durability: Durability) -> None:
    """Make sure that *path* is a store of this version: check it, make it (with *create*), migrate it."""
    if not is_there(path):
        _check_missing(path, create=create)
        _make(path, durability)
    if not _checked(path).has_log:
        _use_wal(path, durability)
    db = Database(path, durability=durability)
    try:
        if db.is_read_only:
            raise errors.read_only(path, "it was opened for reading only")
        if create:
            migrate(db)
        else:
            _check_current(db)
        _check_settings(db, durability)
    finally:
        db.close()


# ── checks, before anything is written ───────────────────────────────────────────────────────────────────────────


def is_there(path: Path) -> bool:
    """Whether there is a file at *path*; raises if it can never be a store."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        if not path.parent.is_dir():
            raise StoreMissing(
                f"{path} cannot be opened: there is no folder {path.parent}; create it, or name another file"
            ) from None
        if path.is_symlink():
            raise StoreMissing(f"{path} is a link to {path.readlink()}, which does not exist; correct it") from None
        return False
    except (OSError, ValueError) as error:  # ValueError: the path contains a NUL
        raise ConfigurationError(f"{path} cannot be looked at: {error}; change that, or name another file") from error
    if stat.S_ISDIR(mode):
        raise ConfigurationError(f"{path} is a folder; name a file in it, {path / 'shiftboss.db'} for example")
    if not stat.S_ISREG(mode):
        raise ConfigurationError(f"{path} is a pipe, a socket or a device; name a file")
    return True


def _check_missing(path: Path, *, create: bool) -> None:
    log = Path(f"{path}-wal")
    if log.exists() and log.stat().st_size > 0:
        raise StoreDamaged(
            f"{path} is missing, but {log.name} exists and may have its last commits.  Put the file back beside it; "
            "to start afresh, move that one away first"
        )
    if not create:
        raise StoreMissing(f"there is no store at {path}; start an application on it first, or name another file")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise StoreReadOnly(
            f"{path} cannot be created because this user cannot write its folder; change that, or name another file"
        )
    try:
        file_locks.check(path.parent)
    except OSError as error:
        raise errors.outside(path, error) from error


def _checked(path: Path) -> Header:
    if path.stat().st_size == 0:
        raise StoreDamaged(
            f"{path} is empty, and a store never is.  Restore a backup; if nothing of worth was in it, delete it"
        )
    header = header_of(path)
    if header.application_id != APPLICATION_ID:
        raise StoreDamaged(f"{path} is an SQLite file of another program; name another file")
    if header.version > latest():
        raise _too_new(path, header.version)
    for place in (path, path.parent):
        if not os.access(place, os.W_OK):
            raise errors.read_only(path, f"{place} is read-only")
    return header


def version_of(path: Path) -> int:
    """The version of the schema, even if only the log has it yet; of a store that we may not open, as far as the file
    itself says."""
    header = header_of(path)
    if header.application_id != APPLICATION_ID or header.version > latest() or not header.has_log:
        return header.version
    try:
        db = Database(path)
    except StoreReadOnly:
        return header.version
    try:
        return db.number("PRAGMA user_version")
    finally:
        db.close()


def _check_current(db: Database) -> None:
    """A process that only reads or triggers does not migrate: `status` must not change the schema under older nodes."""
    version = db.number("PRAGMA user_version")
    if version > latest():  # the log had the version already, the file had not
        raise _too_new(db.path, version)
    if version < latest():
        raise StoreTooOld(
            f"{db.path} has schema {version}, this shiftboss knows {latest()}; nothing was touched: start a node of "
            "this version on it, or run `shiftboss migrate`"
        )


def _too_new(path: Path, version: int) -> StoreTooNew:
    return StoreTooNew(
        f"{path} has schema version {version}, but this shiftboss knows only {latest()}; nothing was changed: upgrade "
        "this process"
    )


def _check_settings(db: Database, durability: Durability) -> None:
    """What we promise (W1) is checked with SQLite and not assumed."""
    mode, synchronous = db.row("PRAGMA journal_mode")[0], db.number("PRAGMA synchronous")
    if mode != "wal" or synchronous != (2 if durability is Durability.POWER else 1):
        raise StoreDamaged(
            f"{db.path} does not accept the settings that durability needs (journal {mode!r}, synchronous "
            f"{synchronous}); if it is on a network file system, move it to a local disk"
        )


# ── making and migrating ─────────────────────────────────────────────────────────────────────────────────────────


def _make(path: Path, durability: Durability) -> None:
    """Make a whole store beside *path* and link it into place; a process that comes second discards its own."""
    draft = path.with_name(f".{path.name}.new-{os.getpid()}-{os.urandom(4).hex()}")
    try:
        os.close(file_modes.new_file(draft))
        db = Database(draft, durability=durability, is_alone=True)
        try:
            db.run("PRAGMA journal_mode = WAL")
            migrate(db)
        finally:
            db.close()
        with suppress(FileExistsError):
            _link(draft, path)
        _sync_folder(path.parent)
    finally:
        for leftover in (draft, Path(f"{draft}-wal"), Path(f"{draft}-shm"), Path(f"{draft}-journal")):
            leftover.unlink(missing_ok=True)


def _link(draft: Path, path: Path) -> None:
    try:
        os.link(draft, path)
    except FileExistsError:
        raise
    except (OSError, AttributeError):  # no hard links here (exFAT, some FUSE); then it is not atomic with a neighbour
        if path.exists():
            raise FileExistsError(path) from None
        draft.rename(path)


def _sync_folder(folder: Path) -> None:
    """The name of the new file must survive a power failure as well."""
    with suppress(OSError):  # Windows does not open folders
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _use_wal(path: Path, durability: Durability) -> None:
    """Our stores have it from the start; a copy made by VACUUM INTO or by a tool may have lost it."""
    db = Database(path, durability=durability, is_alone=True)  # opened exclusively like a new one, as this requires
    try:
        db.run("PRAGMA journal_mode = WAL")
    finally:
        db.close()


def latest() -> int:
    return migrations.latest("sqlite")


def migrate(db: Database) -> None:
    """Bring the schema up to date in one transaction; does nothing if it is."""
    if db.number("PRAGMA user_version") == latest():
        return
    db.begin()
    try:
        version = db.number("PRAGMA user_version")
        if version > latest():
            raise _too_new(db.path, version)
        for number, file in migrations.scripts("sqlite").items():
            if number > version:
                db.run(file.read_text(encoding="utf-8"))
        db.run(f"PRAGMA application_id = {APPLICATION_ID}")
        db.run(f"PRAGMA user_version = {latest()}")
    except BaseException:
        db.rollback()
        raise
    db.commit()
