"""The messages between a node and its children: msgpack, each preceded by its length, on a socket pair.

Rules of this file
- Nothing is pickled, and no socket listens: the child inherits its end of the pair.
- A payload is sent as the stored bytes; the child decodes it.
- Each end trusts the other: both run the same version of this package.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec

from shiftboss.core.model import Outcome, Progress, Run
from shiftboss.executors.body_ref import BodyRef
from shiftboss.executors.function_ref import Script

HEAD = struct.Struct(">I")
MAX_READ_BYTES = 1 << 18

# ── to the child ─────────────────────────────────────────────────────────────────────────────────────────────────


class Hello(msgspec.Struct, tag="hello"):
    """The first message: how the node's interpreter finds modules, and the levels of its loggers."""

    path: list[str]
    argv: list[str]
    script: Script
    level: int
    levels: dict[str, int] = {}
    store: str | None = None  # SHIFTBOSS_STORE, whose password the child's environment lacks


class Work(msgspec.Struct, tag="work"):
    """One attempt."""

    run: Run
    ref: BodyRef
    timeout_s: float | None
    last_success_at: datetime | None
    stopping: bool
    traceparent: str | None = None


class Tell(msgspec.Struct, tag="tell"):
    """The attempt must end; a TERM follows."""

    reason: str


class Announce(msgspec.Struct, tag="announce"):
    """The node was told to stop (G1)."""


ToChild = Hello | Work | Tell | Announce

# ── to the node ──────────────────────────────────────────────────────────────────────────────────────────────────


class Begun(msgspec.Struct, tag="begun"):
    """The function was imported and is entered; sent only for its first run in a child."""


class Said(msgspec.Struct, tag="said"):
    """A progress report, or a heartbeat."""

    progress: Progress | None = None
    beat_at: datetime | None = None


class Where(msgspec.Struct, tag="where"):
    """Where the function was when it was told to end: its stack."""

    stack: str


class KeptLine(msgspec.Struct, tag="kept"):
    """A line that the function logged, to be kept with its attempt."""

    level: str
    text: str


class Mask(msgspec.Struct, tag="mask"):
    """Texts that are masked from here on in everything that the function's run reports."""

    values: tuple[str, ...]


class RelayedRecord(msgspec.Struct, tag="line"):
    """A log record, for the node's handlers."""

    name: str
    level: int
    text: str
    created_s: float
    file: str
    line: int
    function: str
    in_body: bool
    traceback: str | None = None
    extra: dict[str, str | int | float | bool | None] = {}


class Ended(msgspec.Struct, tag="ended"):
    """The attempt's outcome, and whether processes that it started are left."""

    outcome: Outcome
    leaves_processes: bool = False


ToNode = Begun | Said | Where | KeptLine | Mask | RelayedRecord | Ended

_to_child: msgspec.msgpack.Decoder[ToChild] = msgspec.msgpack.Decoder(ToChild)
_to_node: msgspec.msgpack.Decoder[ToNode] = msgspec.msgpack.Decoder(ToNode)


def framed(message: Any) -> bytes:
    data = msgspec.msgpack.encode(message)
    return HEAD.pack(len(data)) + data


class MessageBuffer:
    """Cuts the bytes that arrive into messages."""

    __slots__ = ("_bytes",)

    def __init__(self) -> None:
        self._bytes = bytearray()

    def take(self, data: bytes) -> Iterator[bytes]:
        self._bytes += data
        while len(self._bytes) >= HEAD.size:
            end = HEAD.size + HEAD.unpack_from(self._bytes)[0]
            if len(self._bytes) < end:
                return
            message = bytes(self._bytes[HEAD.size : end])
            del self._bytes[:end]
            yield message


def from_node(data: bytes) -> ToChild:
    return _to_child.decode(data)


def from_child(data: bytes) -> ToNode:
    return _to_node.decode(data)


class ChildEnd:
    """The child's end: any thread may send, one thread reads."""

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(fileno=fd)
        self._socket.set_inheritable(False)
        self._socket.setblocking(True)
        self._lock = threading.Lock()  # one message at a time
        self._inbox = MessageBuffer()
        self.sender = 0  # the thread that is sending, or is about to

    def fileno(self) -> int:
        return self._socket.fileno()

    def leave_to_parent(self) -> None:
        """In a forked child: its log still goes to the node.  It needs a new lock: another thread may have held it."""
        self._lock = threading.Lock()
        self.sender = 0

    def send(self, message: ToNode) -> None:
        """Send a message.  Does nothing if the node is gone: this process then ends anyway."""
        data = framed(message)
        with self._lock:
            self.sender = threading.get_ident()
            try:
                self._socket.sendall(data)
            except OSError:
                return
            finally:
                self.sender = 0

    def receive(self) -> list[ToChild] | None:
        """The messages that have arrived; None if the node has ended."""
        try:
            data = self._socket.recv(MAX_READ_BYTES)
        except OSError:
            return None
        return None if not data else [from_node(each) for each in self._inbox.take(data)]
