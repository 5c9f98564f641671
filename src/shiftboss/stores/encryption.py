"""Encryption at rest: a store behind a codec.  What is written is encoded, what is read is decoded.

Rules of this file
- This is the only place where a codec is called on the way to a store and back.  Every write goes through `write`;
  every read that returns people's texts goes through `_opened` (core/encoded.py says which fields those are).
- Nothing is ever stored plain because a codec failed: a payload is refused, anything else is left out with a notice.
- What cannot be decoded does no harm: it says why, and is written back exactly as it was stored.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, ClassVar, TypeVar, cast

from shiftboss.clock import SystemClock
from shiftboss.core.control import Request
from shiftboss.core.encoded import transformed
from shiftboss.core.events import Audit, Event, UnreadableEvent
from shiftboss.core.json_text import in_one_form
from shiftboss.core.lane import Lane
from shiftboss.core.model import MAX_LINES, DeadLetter, LogLine, Run
from shiftboss.core.opaque import OpaqueBytes, OpaqueText, framed, framed_text, key_of, unframed, unframed_text
from shiftboss.core.snapshot import Change
from shiftboss.core.unreadable import SetAside
from shiftboss.core.value import replace
from shiftboss.errors import StoreRejected
from shiftboss.logs import get_logger
from shiftboss.ports.codec import Codec
from shiftboss.ports.cycle import Delta, Wanted
from shiftboss.ports.faces import HistoryFilter, LetterFilter
from shiftboss.ports.store import Arrival, Reader, Session, Store, Transaction

log = get_logger("shiftboss.codec")

SLOW_S = 1.0  # a codec is called within transactions: locks are held as long as it takes
SAY_EVERY_S = 60.0
KEYED = "hmac-sha256:"  # the beginning of a digest that needs a key

V = TypeVar("V")
_clock = SystemClock()


class CodecFailed(Exception):
    """A codec raised, or returned something invalid; the message contains nothing of what the codec was given."""


class Cipher:
    """A codec that is not trusted: its results are checked.

    Without a codec nothing is encoded, and everything that another process has encoded is opaque.
    """

    has_met_opaque: ClassVar = False  # whether any cipher of this process has read a text that it cannot decode

    def __init__(self, codec: Codec | None) -> None:
        self._codec = codec
        self.key_ids: tuple[str, ...] = () if codec is None else tuple(codec.key_ids)
        self._digest_keys: tuple[bytes, ...] = () if codec is None else tuple(codec.digest_keys)
        self._say_after_s = float("-inf")

    @property
    def key_id(self) -> str:
        """The id of the key that it encodes with; empty without a codec."""
        return self.key_ids[0] if self.key_ids else ""

    @property
    def writes_as_it_is(self) -> bool:
        """Whether nothing has to be encoded, and nothing opaque can be there to be written back as it was stored."""
        return self._codec is None and not Cipher.has_met_opaque

    def digests(self, payload: bytes) -> tuple[str, ...]:
        """The keyed digests of a payload, the one by the newest key first (O5); none without a codec."""
        return tuple(KEYED + hmac.digest(key, payload, "sha256").hex() for key in self._digest_keys)

    # ── to the store ─────────────────────────────────────────────────────────────────────────────────────────────

    def payload(self, data: bytes) -> bytes:
        """The encoded payload; one that is encoded already stays.  Raises CodecFailed."""
        if self._codec is None or key_of(data) is not None:
            return data
        return framed(self._encode(data), self.key_id)

    def text(self, text: str) -> str:
        """The encoded text.  If the codec fails, the text is lost, and what is stored says so."""
        if isinstance(text, OpaqueText):
            return text.stored
        if self._codec is None:
            return text
        try:
            return framed_text(self._encode(text.encode("utf-8", "backslashreplace")), self.key_id)
        except CodecFailed as failure:
            log.warning("a text was not stored; a note stands in its place: %s", failure)
            return f"(not stored: {failure})"

    def _encode(self, data: bytes) -> bytes:
        made = self._call("encode", data)
        if made == data or (len(data) >= MIN_CHECKED_BYTES and data in made):
            raise CodecFailed(f"the codec's encode returned its input unchanged; {REMEDY}")
        return made

    # ── from the store ───────────────────────────────────────────────────────────────────────────────────────────

    def opened(self, data: bytes) -> bytes:
        parts = unframed(data)
        if parts is None:
            return data
        plain = self._decoded(*parts)
        return plain if isinstance(plain, bytes) else OpaqueBytes.of(data, parts[0], plain)

    def opened_text(self, text: str) -> str:
        parts = unframed_text(text)
        if parts is None:
            return text
        plain = self._decoded(*parts)
        if isinstance(plain, bytes):
            return plain.decode("utf-8", "replace")
        Cipher.has_met_opaque = True
        return OpaqueText.of(text, parts[0], plain)

    def _decoded(self, key_id: str, data: bytes) -> bytes | str:
        """The plain bytes, or the reason why they cannot be decoded."""
        if self._codec is None:
            return f"encrypted with key {key_id!r}, but this process has no codec"
        if key_id not in self.key_ids:
            return f"encrypted with key {key_id!r}, which this process does not have"
        try:
            return self._call("decode", data)
        except CodecFailed as failure:
            return (
                f"encrypted with key {key_id!r} and damaged, or this process has a different key under that id: "
                f"{failure}"
            )

    def _call(self, name: str, data: bytes) -> bytes:
        began_s = _clock.monotonic_s()
        try:
            made = getattr(self._codec, name)(data)
        except Exception as error:  # noqa: BLE001  # whatever a user's codec raises, nothing plain is stored
            raise CodecFailed(f"the codec's {name} raised {type(error).__qualname__}") from None
        took_s = _clock.monotonic_s() - began_s
        if took_s > SLOW_S and _clock.monotonic_s() >= self._say_after_s:
            self._say_after_s = _clock.monotonic_s() + SAY_EVERY_S
            log.warning(
                "the codec's %s took %.1f s for %d bytes and the store was locked meanwhile; a codec must not wait "
                "for anything: fetch keys before the start",
                name,
                took_s,
                len(data),
            )
        if not isinstance(made, bytes):
            raise CodecFailed(f"the codec's {name} returned {type(made).__name__} instead of bytes; {REMEDY}")
        return bytes(made)


MIN_CHECKED_BYTES = 8  # shorter ones may occur in random bytes by chance
REMEDY = "correct the codec"
NO_CODEC = Cipher(None)


# ── readers ──────────────────────────────────────────────────────────────────────────────────────────────────────


class EncodedReader:
    """Implements `ports.Reader`: reads without people's texts are passed through."""

    def __init__(self, inner: Reader, cipher: Cipher, *, shows: bool) -> None:
        self._inner = inner
        self._cipher = cipher
        self._shows = shows  # to people: an undecodable text reads as the reason, and its run says the reason too

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def _opened(self, value: V) -> V:
        if not self._shows:
            return transformed(value, text=self._cipher.opened_text, data=self._cipher.opened)
        reasons: list[str] = []
        shown = transformed(value, text=partial(self._text, reasons), data=partial(self._data, reasons))
        if reasons and isinstance(shown, Run):
            return cast("V", replace(shown, undecodable=reasons[0]))
        return shown

    def _text(self, reasons: list[str], text: str) -> str:
        plain = self._cipher.opened_text(text)
        if isinstance(plain, OpaqueText):
            reasons.append(plain.why)
            return str(plain)
        return plain

    def _data(self, reasons: list[str], data: bytes) -> bytes:
        plain = self._cipher.opened(data)
        if isinstance(plain, OpaqueBytes):
            reasons.append(plain.why)
        return plain

    def changes(self, *, lanes: int = 0) -> Delta:
        delta = self._inner.changes(lanes=lanes)
        return delta._replace(
            workers=[(self._opened(state), self._opened(record)) for state, record in delta.workers],
            running=[self._opened(run) for run in delta.running],
            lanes={name: self._lane(lane) for name, lane in delta.lanes.items()},
        )

    def lanes(self, names: Collection[str], *, limit: int) -> dict[str, Lane]:
        return {name: self._lane(lane) for name, lane in self._inner.lanes(names, limit=limit).items()}

    def _lane(self, lane: Lane) -> Lane:
        lane.change(self._opened)
        return lane

    def runs(self, ids: Collection[int]) -> list[Run]:
        return [self._opened(run) for run in self._inner.runs(ids)]

    def keyed(self, pairs: Collection[tuple[str, str]]) -> list[Run]:
        return [self._opened(run) for run in self._inner.keyed(pairs)]

    def payloads(self, ids: Collection[int]) -> dict[int, bytes]:
        return {run_id: self._cipher.opened(data) for run_id, data in self._inner.payloads(ids).items()}

    def expiring(self, now: Any, *, limit: int) -> list[Run]:
        return [self._opened(run) for run in self._inner.expiring(now, limit=limit)]

    def letters(self, wanted: LetterFilter) -> list[DeadLetter]:
        return [self._opened(letter) for letter in self._inner.letters(wanted)]

    def open_letters(self, worker: str, *, without_payload_only: bool, limit: int) -> list[DeadLetter]:
        letters = self._inner.open_letters(worker, without_payload_only=without_payload_only, limit=limit)
        return [self._opened(letter) for letter in letters]

    def history(self, wanted: HistoryFilter) -> list[Run]:
        return [self._opened(run) for run in self._inner.history(wanted)]

    def events(self, *, after: int, limit: int, worker: str | None = None) -> list[tuple[int, Event]]:
        events = self._inner.events(after=after, limit=limit, worker=worker)
        return [(number, self._opened(event)) for number, event in events]

    def acts_before(self, before: int, *, limit: int) -> list[tuple[int, Audit | UnreadableEvent]]:
        return [(number, self._opened(act)) for number, act in self._inner.acts_before(before, limit=limit)]

    def lines(self, run: int, *, after: tuple[int, int] = (0, 0), limit: int = MAX_LINES) -> list[LogLine]:
        return [self._opened(line) for line in self._inner.lines(run, after=after, limit=limit)]

    def set_aside(self, *, after: int, limit: int) -> list[tuple[int, SetAside]]:
        rows = self._inner.set_aside(after=after, limit=limit)
        return [(number, self._opened(row)) for number, row in rows]


class EncodedTransaction(EncodedReader):
    """Implements `ports.Transaction`."""

    def __init__(self, inner: Transaction, cipher: Cipher) -> None:
        super().__init__(inner, cipher, shows=False)
        self._tx = inner

    @property
    def has_arrivals(self) -> bool:
        return self._tx.has_arrivals

    def runs(self, ids: Collection[int]) -> list[Run]:
        """With a digest by the newest key, also for runs that were stored plain: a replay keeps it (Q3)."""
        return [self._digested(run) for run in super().runs(ids)]

    def _digested(self, run: Run) -> Run:
        if run.payload is None or run.digest is None or isinstance(run.payload, OpaqueBytes):
            return run
        digests = self._cipher.digests(in_one_form(run.payload))
        return replace(run, digest=digests[0]) if digests and run.digest not in digests else run

    def arrivals(self, *, limit: int) -> list[Request]:
        return [self._opened(request) for request in self._tx.arrivals(limit=limit)]

    def write(self, change: Change, *, new: Collection[int]) -> None:
        if self._cipher.writes_as_it_is:  # looking through every run for what to encode took 4 µs of its 60 (measured)
            self._tx.write(change, new=new)
            return
        try:
            encoded = self._encoded(change, new)
        except CodecFailed as failure:
            raise StoreRejected(f"{failure}; nothing was stored") from None
        self._tx.write(encoded, new=new)

    def _encoded(self, change: Change, new: Collection[int]) -> Change:
        """Raises CodecFailed."""
        close = self._closed
        return replace(
            change,
            runs=tuple(self._closed_run(run, is_new=run.id in new) for run in change.runs),
            workers=tuple(close(state) for state in change.workers),
            records=tuple((name, close(record)) for name, record in change.records),
            letters=tuple(close(letter) for letter in change.letters),
            lines=tuple(close(line) for line in change.lines),
            events=tuple(close(event) if event.STORED else event for event in change.events),
            set_aside=tuple(close(row) for row in change.set_aside),
        )

    def _closed(self, value: V) -> V:
        return transformed(value, text=self._cipher.text, data=self._cipher.payload)

    def _closed_run(self, run: Run, *, is_new: bool) -> Run:
        """The payload is written only with a new run.  A result that cannot be encoded is left out: the run has
        succeeded nevertheless (W6)."""
        if run.payload is not None and not is_new:
            run = replace(run, payload=None)
        if run.result is not None:
            try:
                run = replace(run, result=self._cipher.payload(run.result))
            except CodecFailed as failure:
                run = replace(run, result=None, result_error=f"it was not stored: {failure}")
        return self._closed(run)


class EncodedSession:
    """Implements `ports.Session`."""

    def __init__(self, inner: Session, cipher: Cipher, *, shows: bool = False) -> None:
        self._inner = inner
        self._cipher = cipher
        self._shows = shows

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    @contextmanager
    def begin(self, wanted: Wanted | None = None, *, waits: bool = False, runs: int = 0) -> Iterator[Transaction]:
        with self._inner.begin(wanted, waits=waits, runs=runs) as tx:
            yield cast("Transaction", EncodedTransaction(tx, self._cipher))  # everything else is passed through

    @contextmanager
    def read(self) -> Iterator[Reader]:
        with self._inner.read() as reader:
            yield cast("Reader", EncodedReader(reader, self._cipher, shows=self._shows))  # likewise


class EncodedStore:
    """Implements `ports.Store`."""

    def __init__(self, inner: Store, cipher: Cipher) -> None:
        self._inner = inner
        self.cipher = cipher

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def session(self) -> Session:
        return cast("Session", EncodedSession(self._inner.session(), self.cipher))  # everything else is passed through

    def showing(self) -> Session:
        """A session for people: what cannot be decoded reads as the reason."""
        return cast("Session", EncodedSession(self._inner.session(), self.cipher, shows=True))

    def arrival(self, request: Request) -> Arrival:
        """The digest that needs no key is left out: it would give away a payload that can be guessed."""
        keyed = tuple(digest for digest in request.other_digests if digest.startswith(KEYED))
        try:
            payload = None if request.payload is None else self.cipher.payload(request.payload)
        except CodecFailed as failure:
            raise StoreRejected(f"{failure}; nothing was stored") from None
        return self._inner.arrival(replace(request, payload=payload, other_digests=keyed))


def encoded(store: Store, codec: Codec | None) -> Store:
    """*store* behind the codec.  Without one everything is plain, but what others have encoded is recognized."""
    return cast("Store", EncodedStore(store, Cipher(codec)))


def session_for_people(store: Store) -> Session:
    """A session that decodes what can be decoded here; the rest says why it cannot."""
    if isinstance(store, EncodedStore):
        return store.showing()
    return cast("Session", EncodedSession(store.session(), NO_CODEC, shows=True))


def cipher_of(store: Store) -> Cipher:
    return store.cipher if isinstance(store, EncodedStore) else NO_CODEC
