"""Payloads as people may see them: masked one at a time, in slices, and once for all readers.

Rules of this file
- Only what was shown is kept: masked payloads, never a secret, under a digest of their input; at most MAX_KEPT_BYTES
  of them, the most recently used.
- A payload never changes; the places to mask in it and its worker's declaration do, so both are in the digest.
- If four readers open the same page, it is masked once; the others wait for that.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable

from msgspec import DecodeError

from shiftboss.app.json_format import Json
from shiftboss.core.redact import Redaction
from shiftboss.core.secret_json import Place

PAUSE_S = 0.001  # between two slices of about 2 ms
WORTH_KEEPING_BYTES = 4 * 1024  # masking a smaller payload takes a tenth of a millisecond
MAX_KEPT_BYTES = 16 * 1024 * 1024  # sixteen of the largest that are shown
ENTRY_BYTES = 256  # overhead of each entry, in addition to its content


class MaskedPayloads:
    """Thread-safe."""

    def __init__(self, *, most_bytes: int = MAX_KEPT_BYTES) -> None:
        self._most_bytes = most_bytes
        self._lock = threading.Lock()  # protects what is kept
        self._kept: OrderedDict[bytes, bytes | type[bytes]] = OrderedDict()  # a type: the unchanged payload, in it
        self._kept_bytes = 0
        # The key is part of the digest, so that nobody can guess a payload from its digest.
        # One thread masks at a time: four would take Python's lock four times between two turns of an engine.
        self._key = os.urandom(32)
        self._masking = threading.Lock()

    def masked(self, payload: bytes, places: Iterable[Place], mask: Redaction) -> bytes:
        """*payload* without its secrets; as `Json` if it is JSON."""
        if len(payload) < WORTH_KEEPING_BYTES:
            return _masked(payload, places, mask)
        key = self._digest(payload, places, mask)
        known = self._known(key)
        if known is None:
            with self._masking:
                known = self._known(key)
                if known is None:
                    shown = _masked(payload, places, mask)
                    self._keep(key, type(shown) if shown == payload else shown)
                    return shown
        return known(payload) if isinstance(known, type) else known

    @property
    def kept_bytes(self) -> int:
        """The size of what is kept, in bytes."""
        with self._lock:
            return self._kept_bytes

    def _digest(self, payload: bytes, places: Iterable[Place], mask: Redaction) -> bytes:
        digest = hashlib.blake2b(payload, key=self._key, digest_size=32)  # releases Python's lock meanwhile
        digest.update(repr((len(payload), sorted(places), mask.made_of)).encode("utf-8", "surrogatepass"))
        return digest.digest()

    def _known(self, key: bytes) -> bytes | type[bytes] | None:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def _keep(self, key: bytes, shown: bytes | type[bytes]) -> None:
        with self._lock:
            self._kept[key] = shown
            self._kept_bytes += _size(shown)
            while self._kept_bytes > self._most_bytes:
                self._kept_bytes -= _size(self._kept.popitem(last=False)[1])


def _size(shown: bytes | type[bytes]) -> int:
    return ENTRY_BYTES + (0 if isinstance(shown, type) else len(shown))


def _masked(payload: bytes, places: Iterable[Place], mask: Redaction) -> bytes:
    try:
        return Json(mask.payload(payload, places=places, pause=_let_others))
    except (DecodeError, UnicodeDecodeError, RecursionError):
        return mask.json(payload, pause=_let_others)


def _let_others() -> None:
    """Python passes its lock on every 5 ms, to any thread; without this pause an engine waits for the readers."""
    time.sleep(PAUSE_S)


masked_payloads = MaskedPayloads()  # of this process
