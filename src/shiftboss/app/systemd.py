"""What a process that systemd has started tells it: ready, its status, that it lives, that it ends (sd_notify).

Rules of this file
- It reports after each cycle, in the engine's thread: an engine that stands still feeds no watchdog.  One that waits
  for a store that is away still makes cycles; a restart would not help it.
- Nothing in the process fails or waits because nobody listens.

The protocol is that of sd_notify(3): one datagram of lines to a socket.  No library is used for it: they are older than
the last change to the protocol (sdnotify, 2017) or need libsystemd (systemd-python, cysystemd).
"""

from __future__ import annotations

import contextlib
import os
import socket

from shiftboss.clock import Clock
from shiftboss.core.printable import one_line
from shiftboss.engine.engine import Engine
from shiftboss.engine.loop import MAX_WAIT_S
from shiftboss.errors import OperatorError
from shiftboss.logs import get_logger

SPEAK_EVERY_S = 1.0
LEAST_WATCHDOG_S = 3 * MAX_WAIT_S  # an idle engine makes a cycle every five seconds
SPARE_S = 5.0  # of the time requested for the end: for the loop and the store to close

log = get_logger("shiftboss.node")


class Unit:
    """The systemd service that this process is; a meter of its engine."""

    def __init__(self, to: socket.socket, *, watchdog_s: float | None, clock: Clock) -> None:
        self._to = to
        self._watchdog_s = watchdog_s
        self._clock = clock
        self._engine: Engine | None = None
        self._spoke_s = float("-inf")
        self._told = ""
        self._is_ending = False

    def ready(self, engine: Engine) -> None:
        """Report that it is ready; from now on it reports its status."""
        if self._watchdog_s is not None and self._watchdog_s < LEAST_WATCHDOG_S:
            log.warning(
                "WatchdogSec=%g is shorter than the pauses of an idle engine, so systemd will kill it; use %g or more",
                self._watchdog_s,
                LEAST_WATCHDOG_S,
            )
        self._say("READY=1")
        self._engine = engine
        engine.measure(self)

    def close(self) -> None:
        self._to.close()

    # in the engine's thread

    def cycle(self, duration_s: float) -> None:
        self._turned()

    def store_error(self, error: OperatorError) -> None:
        self._turned()

    def _turned(self) -> None:
        engine, now_s = self._engine, self._clock.monotonic_s()
        if engine is None:
            return
        if engine.is_stopping and not self._is_ending:
            self._is_ending = True
            extend_us = int((engine.shutdown_timeout_s + SPARE_S) * 1e6)
            self._say("STOPPING=1", f"EXTEND_TIMEOUT_USEC={extend_us}")
        elif now_s - self._spoke_s < SPEAK_EVERY_S:
            return
        self._spoke_s = now_s
        lines = [] if self._watchdog_s is None else ["WATCHDOG=1"]
        status = f"STATUS={one_line(_status(engine))}"  # a line break would begin another assignment
        if status != self._told:
            lines.append(status)
            self._told = status
        if lines:
            self._say(*lines)

    def _say(self, *lines: str) -> None:
        with contextlib.suppress(OSError):  # systemd is restarting, or its queue is full
            self._to.send("\n".join(lines).encode())


def unit_of_environment(clock: Clock) -> Unit | None:
    """None if nobody asks for reports.  What systemd passed is for this process alone, not for children."""
    address = os.environ.pop("NOTIFY_SOCKET", "")
    watchdog_us, pid = os.environ.pop("WATCHDOG_USEC", ""), os.environ.pop("WATCHDOG_PID", "")
    if not address.startswith(("/", "@")):
        return None
    to = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    to.setblocking(False)
    try:
        to.connect(f"\0{address[1:]}" if address.startswith("@") else address)
    except OSError as error:
        to.close()
        log.warning("NOTIFY_SOCKET=%s cannot be reached (%s); systemd gets no notifications", address, error)
        return None
    is_watched = watchdog_us.isdigit() and int(watchdog_us) > 0 and pid in ("", str(os.getpid()))
    return Unit(to, watchdog_s=int(watchdog_us) / 1e6 if is_watched else None, clock=clock)


def _status(engine: Engine) -> str:
    trouble = engine.store_trouble()
    if trouble is not None:
        return str(trouble).replace("\n", " ")[:200]
    running = f"{engine.in_flight} attempt{'' if engine.in_flight == 1 else 's'}"
    return f"draining, waiting for {running}" if engine.is_stopping else f"running {running}"
