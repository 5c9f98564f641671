"""Examinations of store, machine and fleet; each finding comes with its remedy.

Rules of this file
- An examination yields findings and changes nothing; one that cannot be made says so and does not affect the others.
- A warning may stay as it is forever, a problem must not: only problems make `doctor` fail.
"""

from __future__ import annotations

import os
import platform
import shlex
import stat
import time  # only to ask which clocks there are; clock.py reads them
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from shiftboss.app.audit_key import Keys
from shiftboss.app.node import package_version
from shiftboss.app.status import SystemStatus
from shiftboss.app.views import Views
from shiftboss.cli import formatting, times
from shiftboss.core import graph
from shiftboss.core.findings import Severity, findings
from shiftboss.core.health import Health
from shiftboss.core.model import NodeMode, Status
from shiftboss.core.value import Value
from shiftboss.errors import ConfigurationError, ShiftbossError
from shiftboss.ports.faces import HistoryFilter
from shiftboss.stores.sql import migrations
from shiftboss.stores.sqlite.notifier import POLL_S, Notifier

NETWORK = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "fuse.glusterfs", "ceph", "lustre", "afs")
FLEETING = ("tmpfs", "ramfs")
LITTLE_BYTES = 256 * 1024 * 1024  # of free disk space: a day of a busy fleet
ALMOST_NOTHING_BYTES = 16 * 1024 * 1024
LONG_WAL_BYTES = 128 * 1024 * 1024  # twice the size to which a checkpoint cuts it: something keeps it from being reused
CLOCKS_AGREE_S = 5.0
MAX_ASIDE = 1000  # rows that are counted
MAX_ACTS = 10_000  # rows of the audit that are verified: about 100 ms
SHOWN_DOUBTS = 5
MAX_WAITING = 10_000  # unfinished runs whose keys are checked, the newest: about a second
ONE_NODE = 100  # slots, if no live node can be asked
REMEDIES = {
    "disabled": "fix the cause, then: shiftboss enable {worker}",
    "offline": "start a node that runs it, or: shiftboss forget {worker}",
    "stuck": "shiftboss show {worker}, then cancel the run, or restart its node",
    "zombie": "it ends by itself or with its process; a function that must end in time needs executor='process'",
    "breaker": "none needed: a test call follows when its cooldown ends; shiftboss enable {worker} closes it",
    "failure_rate": "shiftboss runs --worker {worker} --status dead",
    "backlog": "shiftboss why {worker}",
    "dead_letters": "shiftboss dead",
    "store": "check the disk, the process that holds the lock, or the connection to the database: docs/how-to/store.md",
    "silent": "check that process: it may be stopped, starved of CPU, or cut off from the store",
}


class Level(StrEnum):
    GOOD = "good"
    WARNING = "warning"
    PROBLEM = "problem"


class Diagnosis(Value, frozen=True, omit_defaults=False):
    """One thing that was examined.  `remedy` is empty if none is needed."""

    severity: Level
    about: str
    text: str
    remedy: str = ""


# ── the machine ──────────────────────────────────────────────────────────────────────────────────────────────────


def machine() -> Iterator[Diagnosis]:
    """Versions and clocks."""
    extras = [name for name in ("rich", "psutil") if _version(name)]
    with_ = f", with {', '.join(extras)}" if extras else ""
    text = f"shiftboss {package_version()}, Python {platform.python_version()} on {platform.system()}{with_}"
    yield Diagnosis(Level.GOOD, "versions", f"{text}; apsw {_version('apsw')}, msgspec {_version('msgspec')}")
    if not hasattr(time, "CLOCK_BOOTTIME") and platform.system() != "Darwin":
        yield Diagnosis(
            Level.WARNING,
            "clock",
            "this system has no clock that counts time while suspended",
            "do not suspend a machine that runs workers: its leases would seem longer than they are",
        )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def file(path: Path) -> Iterator[Diagnosis]:
    """The store's file: file system, free space, permissions."""
    kind = file_system(path.parent, _mounts())
    if kind in NETWORK:
        yield Diagnosis(
            Level.PROBLEM,
            "file system",
            f"{path.parent} is on {kind}, a network file system: locks and the shared log do not work there",
            "move the store to a local disk; the processes that use it must be on that machine",
        )
    elif kind in FLEETING:
        yield Diagnosis(
            Level.WARNING,
            "file system",
            f"{path.parent} is {kind}: everything in it is gone after a reboot",
            "move the store to a disk, unless this is intended",
        )
    elif kind:
        yield Diagnosis(Level.GOOD, "file system", f"{path.parent} is on {kind}, a local file system")
    yield from _room(path.parent)
    yield from _permissions(path)


def _mounts() -> str:
    """The text of /proc/self/mountinfo; empty if there is none."""
    try:
        return Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def file_system(folder: Path, mounts: str) -> str:
    """The type of the file system of *folder*, by the lines of mountinfo; empty if unknown."""
    best, kind = -1, ""
    for line in mounts.splitlines():
        left, _, right = line.partition(" - ")
        mount = left.split()[4].replace("\\040", " ")
        is_above = folder == Path(mount) or Path(mount) in folder.parents
        if is_above and len(mount) >= best:
            best, kind = len(mount), right.split()[0]
    return kind


def _room(folder: Path) -> Iterator[Diagnosis]:
    try:
        facts = os.statvfs(folder)
    except (OSError, AttributeError):
        return
    free = facts.f_bavail * facts.f_frsize
    text = f"{formatting.in_bytes(free)} free in {folder}"
    if free < ALMOST_NOTHING_BYTES:
        yield Diagnosis(Level.PROBLEM, "disk", text, "free some space: on a full disk no new runs start")
    elif free < LITTLE_BYTES:
        yield Diagnosis(Level.WARNING, "disk", text, "free some space, or: shiftboss prune --older-than 7d")
    else:
        yield Diagnosis(Level.GOOD, "disk", text)


def _permissions(path: Path) -> Iterator[Diagnosis]:
    if path.exists() and path.stat().st_mode & stat.S_IWOTH:
        yield Diagnosis(
            Level.WARNING,
            "permissions",
            f"every user can write {path}, and so control your workers",
            f"chmod o-w {shlex.quote(str(path))}",
        )
    locked = [place for place in (path, path.parent) if place.exists() and not os.access(place, os.W_OK)]
    for place in locked:
        yield Diagnosis(
            Level.PROBLEM,
            "permissions",
            f"this user cannot write {place}",
            f"run as its owner, or: chown {place}",
        )
    readable = [place for place in _files_of(path) if _mode(place) & stat.S_IROTH]
    if readable:
        names = ", ".join(map(str, readable))
        yield Diagnosis(
            Level.WARNING,
            "permissions",
            f"every user of this machine can read {names}, which contain payloads, results, log lines, keys or tokens",
            f"chmod o-rwx {shlex.join(map(str, readable))}",
        )
    if not locked and path.exists():
        yield Diagnosis(Level.GOOD, "permissions", f"{path.name} and its folder are writable for {_readers(path)}")


def _files_of(path: Path) -> list[Path]:
    """The store with its log, and the files beside it: keys, tokens."""
    prefixes = (f"{path.name}-", f"{path.name}.")
    try:
        beside = sorted(each for each in path.parent.iterdir() if each.name.startswith(prefixes))
    except OSError:
        beside = []
    return [path, *(each for each in beside if each.is_file())]


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode
    except OSError:
        return 0


def _readers(path: Path) -> str:
    """ "its owner ada and the group shop"."""
    try:
        return f"its owner {path.owner()}" + (f" and the group {path.group()}" if _mode(path) & stat.S_IRGRP else "")
    except (KeyError, NotImplementedError, OSError):  # an id without a name; Windows
        return f"mode {_mode(path) & 0o777:04o}"


# ── the store ────────────────────────────────────────────────────────────────────────────────────────────────────


def store(info: dict[str, Any]) -> Iterator[Diagnosis]:
    """What the store reports about itself."""
    is_file = "path" in info
    engine = str(info["engine"]).partition(", process")[0]
    size = formatting.in_bytes(info["size_bytes"])
    schema, latest = info["schema"], migrations.latest("sqlite" if is_file else "postgres")
    newest = "the newest" if schema == latest else f"the newest is {latest}"
    place = info["path"] if is_file else f"schema {info['schema_name']} of database {info['database']}"
    yield Diagnosis(Level.GOOD, "store", f"{place}: schema {schema} ({newest}), {size}, {engine}")
    yield from _file_store(info) if is_file else _pages(str(info["integrity"]))


def _pages(integrity: str) -> Iterator[Diagnosis]:
    """What PostgreSQL found when it read pages."""
    if integrity == "ok":
        yield Diagnosis(Level.GOOD, "integrity", "no page of the database has failed its checksum")
    elif integrity.startswith("not checked"):
        yield Diagnosis(
            Level.WARNING,
            "integrity",
            f"{integrity}: damaged pages go unnoticed",
            "pg_checksums --enable, while the server is shut down",
        )
    else:
        yield Diagnosis(
            Level.PROBLEM,
            "integrity",
            integrity,
            "find out which disk it is, and restore a backup; pg_amcheck shows the tables affected",
        )


def _file_store(info: dict[str, Any]) -> Iterator[Diagnosis]:
    if info["integrity"] == "ok":
        yield Diagnosis(Level.GOOD, "integrity", "SQLite's quick check found no damage")
    elif str(info["integrity"]).startswith("not finished"):
        yield Diagnosis(Level.GOOD, "integrity", f"SQLite's quick check found no damage, but {info['integrity']}")
    else:
        yield Diagnosis(
            Level.PROBLEM,
            "integrity",
            f"the file is damaged: {info['integrity']}",
            "stop all nodes, keep a copy of the file with its -wal, restore a backup",
        )
    if info["wal_bytes"] > LONG_WAL_BYTES:
        yield Diagnosis(
            Level.WARNING,
            "log",
            f"the write-ahead log has grown to {formatting.in_bytes(info['wal_bytes'])}: {_who_keeps_it(info)}",
            "end its transaction or the process; it is probably a backup or a database browser"
            if info["long_readers"]
            else "look for a process that holds the file open (lsof), such as a backup or a database browser",
        )
    else:
        yield Diagnosis(Level.GOOD, "log", f"the write-ahead log has {formatting.in_bytes(info['wal_bytes'])}")
    if info["reserve"] != "set aside":
        yield Diagnosis(
            Level.WARNING,
            "reserve",
            "no disk space is reserved for recording the end of runs when the disk is full",
            "free some space; a running node, or the next one to start, reserves it again",
        )


def notifications(notifier: Notifier) -> Iterator[Diagnosis]:
    """Whether processes on a file hear of each other's commits at once (W1)."""
    trouble = notifier.trouble()
    if trouble is None:
        yield Diagnosis(Level.GOOD, "notifications", "processes on this file are notified of each other's commits")
        return
    level = Level.WARNING if trouble.remedy else Level.GOOD
    text = f"{trouble}: processes look for each other's commits every {POLL_S * 1000:.0f} ms"
    yield Diagnosis(level, "notifications", text, trouble.remedy)


# ── the fleet ────────────────────────────────────────────────────────────────────────────────────────────────────


def _who_keeps_it(info: Mapping[str, Any]) -> str:
    who = info["long_readers"]
    if who:
        return f"{who} has been reading for a long time, so the log cannot be reused"
    return "a reader keeps the log from being reused, or it cannot be moved into the file"


def fleet(status: SystemStatus, *, is_dead: Callable[[str], bool]) -> Iterator[Diagnosis]:
    """Nodes, clocks, workers, dead letters."""
    live = [node for node in status.nodes if node.live and not is_dead(node.id)]
    gone = [node for node in status.nodes if node not in live]
    if live:
        yield Diagnosis(Level.GOOD, "nodes", formatting.plural(len(live), "live node"))
    elif status.workers:
        yield Diagnosis(Level.WARNING, "nodes", "no node runs workers of this store", "shiftboss run APP")
    for node in status.nodes:
        if node.frozen:
            yield Diagnosis(
                Level.WARNING,
                "node",
                f"{node.name} is silent although its process is alive: a function may be holding the interpreter's "
                "lock (GIL)",
                f"wait, for it keeps its runs for a while; or kill {node.pid}, and they start elsewhere at once.  "
                "executor='process' isolates such a function",
            )
    for node in (each for each in gone if not each.frozen):
        runs = [str(run.run) for run in status.running if run.node in (node.id, node.name)]
        held = f" and still has run {', '.join(runs)}" if runs else ""
        yield Diagnosis(
            Level.PROBLEM if runs and not live else Level.WARNING,
            "node",
            f"{node.name} {'is gone' if is_dead(node.id) else 'has lost its lease'}{held}",
            "any live node takes over within a minute" if live else "start a node: it takes over the runs",
        )
    not_power = sorted(node.name for node in live if node.durability == "process")
    if not_power:
        yield Diagnosis(
            Level.WARNING,
            "durability",
            f"durability='process' on {', '.join(not_power)}: a power cut may lose the last commits",
            "leave out durability= where that matters",
        )
    elif any(node.durability == "power" for node in live):
        yield Diagnosis(Level.GOOD, "durability", "commits of every node wait for the disk")
    versions = sorted({node.version for node in live})
    if len(versions) > 1:
        yield Diagnosis(
            Level.WARNING, "versions", f"nodes run shiftboss {' and '.join(versions)}", "finish the upgrade"
        )
    ahead = [node for node in status.nodes if node.started_at > status.at + timedelta(seconds=CLOCKS_AGREE_S)]
    for node in ahead:
        by = times.span((node.started_at - status.at).total_seconds())
        yield Diagnosis(
            Level.WARNING,
            "clock",
            f"node {node.name} started {by} in the future: a clock was changed",
            "run an NTP service",
        )
    yield from _health(status)
    letters = sum(worker.dead_letters for worker in status.workers)
    if letters:
        yield Diagnosis(Level.WARNING, "dead letters", formatting.plural(letters, "open dead letter"), "shiftboss dead")


def _health(status: SystemStatus) -> Iterator[Diagnosis]:
    """Every reason of the health; one that only a person can end is a problem."""
    if status.workers and not status.reasons:
        yield Diagnosis(Level.GOOD, "workers", f"{formatting.plural(len(status.workers), 'worker')}, all healthy")
    for reason in status.reasons:
        if reason.fact == "unreadable":
            continue  # named one by one below
        grave = reason.severity in (Health.UNHEALTHY, Health.DISABLED)
        remedy = REMEDIES.get(reason.fact, "shiftboss show {worker}" if reason.worker else "")
        yield Diagnosis(
            Level.PROBLEM if grave else Level.WARNING,
            reason.fact.replace("_", " "),
            str(reason),
            remedy.format(worker=reason.worker),
        )


def audit(views: Views, keys_of_it: Callable[[], Keys | None]) -> Iterator[Diagnosis]:
    """Whether the newest acts are what was sealed, and which of them cannot be verified here (A8)."""
    try:
        keys = keys_of_it()
    except ConfigurationError as error:
        yield Diagnosis(Level.PROBLEM, "audit", str(error), "with that key others can seal; see docs/how-to/audit.md")
        return
    verification, is_all = views.verify_newest(keys, rows=MAX_ACTS)
    if not verification.rows and verification.head is None:
        yield Diagnosis(Level.GOOD, "audit", "the audit log is empty")
        return
    of = (
        formatting.plural(verification.rows, "row")
        if is_all
        else f"the newest {formatting.plural(verification.rows, 'row')}"
    )
    rest = "" if is_all else "all of them: shiftboss audit verify"
    for doubt in verification.doubts[:SHOWN_DOUBTS]:
        yield Diagnosis(Level.PROBLEM, "audit", doubt.text, "shiftboss audit verify; keep the store as it is")
    if not verification.is_proven and verification.holds:
        lacks = "this machine does not have its key" if keys is None else "this machine does not have all of its keys"
        text = f"of {of} {verification.proven:,} can be verified, because {lacks}"
        sealed = "; ".join(each for each in verification.limits if "sealed with key" in each)
        remedy = "name the file of that key in SHIFTBOSS_AUDIT_KEY_FILE; see docs/how-to/audit.md"
        yield Diagnosis(Level.WARNING, "audit", f"{text}: {sealed}" if sealed else text, remedy)
    elif verification.holds:
        unsealed = f", {verification.unsealed:,} newer than the last seal" if verification.unsealed else ""
        yield Diagnosis(Level.GOOD, "audit", f"{of} verified: {verification.proven:,} proven{unsealed}", rest)


def unreadable(views: Views) -> Iterator[Diagnosis]:
    """Unreadable rows, one by one (W8), and those that were set aside (A5)."""
    rows = views.unreadable()
    for row in rows:
        yield Diagnosis(Level.PROBLEM, "unreadable", str(row), "shiftboss doctor --set-aside")
    if not rows:
        yield Diagnosis(Level.GOOD, "rows", "all stored rows are readable")
    aside = views.set_aside(limit=MAX_ASIDE)
    if aside:
        more = " or more" if len(aside) == MAX_ASIDE else ""
        text = (
            f"{formatting.plural(len(aside), 'row')}{more} in the table set_aside, the last moved there by "
            f"{aside[-1][1].by}"
        )
        yield Diagnosis(Level.GOOD, "set aside", text)


def codecs(views: Views) -> Iterator[Diagnosis]:
    """E2, E3: which nodes encrypt, and whether some node can decode what waits."""
    live = [node for node in views.nodes() if node.live]
    keys = {key for node in live for key in node.decodes}
    waiting = views.history(HistoryFilter(status=(Status.PENDING, Status.RUNNING), limit=MAX_WAITING))
    encoded = Counter(run.encoded_by for run in waiting if run.encoded_by)
    if not keys and not encoded:
        return
    without = [node.name for node in live if not node.decodes and node.mode != NodeMode.CLIENT]
    if keys and without:
        yield Diagnosis(
            Level.WARNING,
            "codec",
            f"{', '.join(without)} has no codec and stores in plain text what other nodes encrypt",
            "give every node the codec",
        )
    plain = sum(1 for run in waiting if run.digest is not None and not run.encoded_by)
    if keys and plain:
        yield Diagnosis(
            Level.WARNING,
            "codec",
            f"the payload of {formatting.plural(plain, 'unfinished run')} is stored in plain text",
            "it was stored before there was a codec, or by a client without one: give that client the codec",
        )
    for key, count in sorted(encoded.items()):
        text = f"the payload of {formatting.plural(count, 'unfinished run')} is encrypted with key {key!r}"
        if live and key not in keys:
            yield Diagnosis(
                Level.PROBLEM, "codec", f"{text}, which no live node has", "start a node whose codec has that key"
            )
        else:
            yield Diagnosis(Level.GOOD, "codec", text)
    if keys and not encoded:
        yield Diagnosis(Level.GOOD, "codec", f"nodes decrypt with {', '.join(sorted(keys))}")


def relations(views: Views) -> Iterator[Diagnosis]:
    """Checks the graph of all stored relations."""
    snapshot = views.snapshot()
    definitions = [state.definition for state in snapshot.workers.values()]
    try:
        graph.check(definitions, resources=snapshot.resources)
    except ConfigurationError as error:
        yield Diagnosis(Level.PROBLEM, "graph", str(error), "correct the declaration and restart its node")
        return
    if not definitions:
        return
    yield Diagnosis(Level.GOOD, "graph", "no cycles, no unknown names, all resource limits can be met")
    slots = sum(node.slots for node in views.nodes() if node.live) or ONE_NODE
    for finding in findings(definitions, resources=snapshot.resources, slots=slots):
        if finding.severity is Severity.WARNING:
            yield Diagnosis(
                Level.WARNING, f"rule {finding.rule}", f"{finding.worker}: {finding.message}", finding.remedy
            )


def failed(about: str, error: ShiftbossError) -> Diagnosis:
    """An examination that could not be made."""
    return Diagnosis(Level.PROBLEM, about, str(error))
