"""Wrong tokens, counted so that guessing takes for ever.

Rules of this file
- After a few wrong ones an address must wait, twice as long each time; a right one ends that.
- Many addresses together are slowed as well; memory is bounded: the address that was wrong longest ago is forgotten.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

from shiftboss.clock import Clock

FREE = 5  # wrong ones that cost nothing: people mistype
MAX_WAIT_S = 60.0
MAX_ADDRESSES = 1024
FORGET_S = 900.0
FREE_FOR_ALL = 200  # wrong ones a minute from everywhere; 128 random bits need more
MINUTE_S = 60.0


class Guesses:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()  # protects the counts: loops in several threads may ask
        self._wrong: OrderedDict[str, tuple[int, float]] = OrderedDict()  # address → how many, the last one when
        self._minute_s = 0.0
        self._in_minute = 0

    def wait_s(self, address: str) -> float:
        """Seconds until this address may try again; 0 when it may now."""
        now_s = self._clock.monotonic_s()
        with self._lock:
            if self._in_minute >= FREE_FOR_ALL and now_s - self._minute_s < MINUTE_S:
                return MINUTE_S - (now_s - self._minute_s)
            count, last_s = self._wrong.get(address, (0, now_s))
            if count < FREE or now_s - last_s > FORGET_S:
                return 0.0
            return max(0.0, last_s + min(MAX_WAIT_S, 2.0 ** min(count - FREE, 10)) - now_s)

    def wrong(self, address: str) -> None:
        now_s = self._clock.monotonic_s()
        with self._lock:
            if now_s - self._minute_s >= MINUTE_S:
                self._minute_s, self._in_minute = now_s, 0
            self._in_minute += 1
            count, last_s = self._wrong.pop(address, (0, now_s))
            self._wrong[address] = (1 if now_s - last_s > FORGET_S else count + 1, now_s)
            while len(self._wrong) > MAX_ADDRESSES:
                self._wrong.popitem(last=False)

    def right(self, address: str) -> None:
        with self._lock:
            self._wrong.pop(address, None)
