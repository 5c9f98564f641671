"""The keepers of this process's nodes (keeper.py), and the question which nodes have one (C4).

Rules of this file
- The engine's ticks start a keeper, and start it again with a growing pause; whatever happens to it, the node goes on.
- The question is asked only about silent nodes.  It needs no special right: a session of another role shows no
  `query_start`, and then nobody can tell.
- The server's clock decides whether a keeper was heard of recently, so a machine that was cut off is given up.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

from shiftboss.clock import SystemClock
from shiftboss.errors import ShiftbossError
from shiftboss.interpreter import interpreter
from shiftboss.logs import get_logger
from shiftboss.stores.host import process_state
from shiftboss.stores.postgres.address import Address
from shiftboss.stores.postgres.connection import Database
from shiftboss.stores.postgres.deadline import Deadlines
from shiftboss.stores.postgres.keeper import POOLED
from shiftboss.stores.postgres.wire import NUMBER, Statement

PROGRAM = Path(__file__).with_name("keeper.py")
OURS = "SHIFTBOSS_"
FRESH_S = 10.0  # more than three words of a keeper: a busy machine must not count as dead
OLD_S = 0.5  # one answer covers all nodes, for as long as one look takes
UNUSED_S = 60.0  # after so long the connection for questions is closed
MIN_BACK_OFF_S, MAX_BACK_OFF_S = 1.0, 60.0
END_WITHIN_S = 1.0

KEPT = Statement(
    """
SELECT string_agg(DISTINCT held.objid::bigint::text, ',')
FROM pg_locks AS held JOIN pg_stat_activity AS session ON session.pid = held.pid
WHERE held.locktype = 'advisory' AND held.objsubid = 2 AND held.granted AND held.classid = $1::oid
  AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND abs(extract(epoch FROM clock_timestamp() - session.query_start)) * 1000 < $2
""",
    NUMBER,
    NUMBER,
    prepare=False,
)

log = get_logger("shiftboss.store")
_clock = SystemClock()  # processes live in real time, whatever clock the rules use


class Keepers:
    """The keepers of one store.  From any thread."""

    def __init__(self, address: Address, deadlines: Deadlines) -> None:
        self._address = address
        self._deadlines = deadlines
        self._lock = threading.Lock()  # protects all below
        self._keepers: dict[str, _Keeper] = {}
        self._db: Database | None = None
        self._kept: frozenset[int] = frozenset()
        self._asked_s = float("-inf")

    def see_to(self, node: str) -> None:
        """Make sure that the node has a keeper.  Called every few seconds."""
        with self._lock:
            if node not in self._keepers:
                self._keepers[node] = _Keeper(self._address, node)
            self._keepers[node].see_to()
            if _clock.monotonic_s() - self._asked_s > UNUSED_S:
                self._close_question()

    def end(self, node: str) -> None:
        with self._lock:
            keeper = self._keepers.pop(node, None)
        if keeper is not None:
            keeper.end()

    def close(self) -> None:
        for node in list(self._keepers):
            self.end(node)
        with self._lock:
            self._close_question()

    def kept(self, node: str) -> bool:
        """Whether that node's keeper was heard of recently and says that the process goes on; False if unknown."""
        with self._lock:
            now_s = _clock.monotonic_s()
            if now_s - self._asked_s > OLD_S:
                self._kept = self._ask()
                self._asked_s = _clock.monotonic_s()
            return _unsigned(lock_of(self._address.schema, node)[1]) in self._kept

    def _ask(self) -> frozenset[int]:
        """The nodes with such a keeper.  If the server is silent, the engine will notice that itself."""
        self._db = self._db or Database(self._address, self._deadlines)
        try:
            self._db.begin_reading()
            of_all = _unsigned(lock_of(self._address.schema, "")[0])
            (answer,) = self._db.query((KEPT, (of_all, int(FRESH_S * 1000))))
        except ShiftbossError as error:
            log.debug("it is unknown which nodes have a keeper: %s", error)
            return frozenset()
        finally:
            self._db.rollback()
        return frozenset(map(int, (answer or b"").split(b",") if answer else ()))

    def _close_question(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            db.close()


def lock_of(schema: str, node: str) -> tuple[int, int]:
    """The advisory lock of a node: two numbers of four bytes, of which all nodes of a store share the first.

    No other lock of ours is the same: those begin with a hash of the schema's bare name (locks.py).
    """
    return _hash(f"shiftboss keeper of {schema}"), _hash(node)


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big", signed=True)


def _unsigned(number: int) -> int:
    """The number as pg_locks shows it."""
    return number & 0xFFFFFFFF


class _Keeper:
    """One process, which is started again when it has died."""

    def __init__(self, address: Address, node: str) -> None:
        self._address = address
        self._node = node
        self._process: subprocess.Popen[bytes] | None = None
        self._starts_s = 0.0  # not before this
        self._back_off_s = MIN_BACK_OFF_S
        self._is_vain = False
        self._said_none = False

    def see_to(self) -> None:
        if self._is_vain or (self._process is not None and self._process.poll() is None):
            return
        if self._process is not None and self._process.returncode == POOLED:
            self._is_vain = True
            return
        now_s = _clock.monotonic_s()
        if now_s < self._starts_s:
            return
        if now_s > self._starts_s + MAX_BACK_OFF_S:  # the last one lived for long
            self._back_off_s = MIN_BACK_OFF_S
        self._starts_s = now_s + self._back_off_s
        self._back_off_s = min(MAX_BACK_OFF_S, 2 * self._back_off_s)
        self._start()

    def end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(OSError):
            if process.stdin is not None:
                process.stdin.close()
        try:
            process.wait(END_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _start(self) -> None:
        self.end()
        identity, python = process_state.identity(), interpreter()
        if identity is None:  # without /proc it could not tell whether we go on
            self._is_vain = True
            return
        settings = {
            "path": [each for each in sys.path if isinstance(each, str)],
            "connection": self._address.parameters,
            "lock": lock_of(self._address.schema, self._node),
            "parent": identity,
        }
        try:
            if python is None:
                raise OSError("there is no Python to run it with")
            self._process = subprocess.Popen(  # noqa: S603  # our own program
                [python, "-I", "-S", str(PROGRAM)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={name: value for name, value in os.environ.items() if not name.startswith(OURS)},  # libpq's stay
                bufsize=0,
                start_new_session=True,  # out of reach of signals that a terminal or a supervisor sends to our group
            )
            assert self._process.stdin is not None  # noqa: S101  # for the type checker: it is a pipe
            self._process.stdin.write(json.dumps(settings).encode() + b"\n")
        except (OSError, RuntimeError) as error:  # the interpreter is ending
            if not self._said_none:
                self._said_none = True
                log.warning(
                    "the keeper of this node cannot be started (%s): if a function holds the interpreter's lock (GIL) "
                    "for longer than a lease, its runs start elsewhere too; retrying.  Logged once.", error,
                )  # fmt: skip
