"""Keeps what a program writes, within a bound: the head, the tail, and how much is missing between them; its lines.

Rules of this file
- A little more is kept than is reported, so that a secret at the cut is still whole when it is masked.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from shiftboss.context import storable
from shiftboss.core.bounds import RAW_CHARS, before_border, behind_border
from shiftboss.core.model import MAX_LINES

HEAD_SHARE = 4  # a quarter of the bound keeps how the output began; the rest keeps how it ended
LINE_CHARS = 300  # of a line in a message: its end is kept, as of the whole output
LINES_BYTES = 4096  # in which the last lines are searched
MARGIN_BYTES = 8192  # kept beyond what is reported: a longer text is no secret, or a known one

Masked = Callable[[str], str]  # returns a text without its secrets


class Capture:
    """Bytes of one stream, at most *limit* of them, a margin and a chunk."""

    __slots__ = ("_head", "_limit", "_tail", "total")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._head = bytearray()
        self._tail = bytearray()
        self.total = 0  # bytes written, kept or not

    def feed(self, chunk: bytes) -> None:
        self.total += len(chunk)
        room = self._limit // HEAD_SHARE + MARGIN_BYTES - len(self._head)
        if room > 0:
            self._head += chunk[:room]
            chunk = chunk[room:]
        self._tail += chunk
        kept = self._limit + MARGIN_BYTES
        if len(self._tail) > 2 * kept:  # not at every chunk: each cut moves all that is kept
            del self._tail[:-kept]

    def text(self, limit: int | None = None, masked: Masked = str) -> str:
        """The output as the store takes it: with a mark where bytes are missing, and invalid UTF-8 replaced."""
        limit = self._limit if limit is None else min(limit, self._limit)
        if self.total <= limit:
            return masked(_text(self._head + self._tail))
        head_bytes = limit // HEAD_SHARE
        head = self._begin(head_bytes, masked)
        tail = self._end(limit - head_bytes, masked)
        missing = self.total - len(head) - len(tail)
        return f"{_text(head)}\n… {missing:,} bytes left out …\n{_text(_from_a_character(tail))}"

    def last_lines(self, count: int, masked: Masked = str) -> str:
        """The last lines that are not blank."""
        text = _from_a_character(self._end(LINES_BYTES, masked)).decode("utf-8", "replace")
        lines = [storable(line[-LINE_CHARS:], 4 * LINE_CHARS) for line in text.splitlines() if line.strip()]
        return "\n".join(lines[-count:])

    def _begin(self, length: int, masked: Masked) -> bytes:
        raw = bytes((self._head + self._tail)[: length + MARGIN_BYTES])
        text = raw.decode("utf-8", "replace")
        shown = masked(text)
        if shown == text:
            return raw[:length]
        data = shown.encode("utf-8", "replace")
        is_whole = len(raw) == self.total
        return data[:length] if is_whole or len(data) > length else before_border(shown).encode("utf-8", "replace")

    def _end(self, length: int, masked: Masked) -> bytes:
        kept = self._tail if len(self._tail) >= length + MARGIN_BYTES else self._head + self._tail
        raw = _from_a_character(kept[-(length + MARGIN_BYTES) :])
        text = raw.decode("utf-8", "replace")
        shown = masked(text)
        if shown == text:
            return raw[-length:]
        data = shown.encode("utf-8", "replace")
        is_whole = len(raw) == self.total
        return data[-length:] if is_whole or len(data) > length else behind_border(shown).encode("utf-8", "replace")


class LineBuffer:
    """The lines of one stream that wait to be passed on, once a second; at most as many as an attempt keeps."""

    __slots__ = ("_fed", "_part", "_taken", "_waiting")

    def __init__(self) -> None:
        self._waiting: deque[tuple[int, bytes]] = deque(maxlen=MAX_LINES)  # with their numbers
        self._part = b""  # the line that is not complete yet
        self._fed = 0  # the number of the last line
        self._taken = 0  # the number of the last line that was taken

    def feed(self, chunk: bytes) -> None:
        text = self._part + chunk
        self._fed += text.count(b"\n")
        lines = text.rsplit(b"\n", MAX_LINES)
        self._part = lines.pop()[:RAW_CHARS]  # its beginning, where a secret's name is
        if lines:  # the first item may hold any number of lines: only its last line stays
            lines[0] = lines[0].rpartition(b"\n")[2]
        self._waiting.extend(enumerate(lines, self._fed - len(lines) + 1))

    def end(self) -> None:
        """The stream has ended: an incomplete line counts as a line too."""
        if self._part:
            self.feed(b"\n")

    def take(self) -> list[tuple[int, str]]:
        """Take the waiting lines, each with the number of lines left out before it.  One thread at a time."""
        taken = []
        while self._waiting:
            try:
                number, line = self._waiting.popleft()
            except IndexError:  # another thread has just pushed the last one out
                break
            taken.append((number - self._taken - 1, line.decode("utf-8", "replace").rstrip()))
            self._taken = number
        return taken


def _from_a_character(tail: bytearray | bytes) -> bytes:
    """*tail* without the rest of a UTF-8 character that was cut in two."""
    start = 0
    while start < min(3, len(tail)) and tail[start] & 0xC0 == 0x80:
        start += 1
    return bytes(tail[start:])


def _text(data: bytearray | bytes) -> str:
    text = bytes(data).decode("utf-8", "replace")
    return storable(text, len(text))
