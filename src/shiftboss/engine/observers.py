"""Who is told what the engine commits and how it fares: the log, subscribers and meters.

Rules of this file
- They are called in the engine's thread and must be quick; subscribers are the only user code that runs there.
- Whatever a subscriber raises is logged, and the next one is called.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from shiftboss.core.events import Event
from shiftboss.errors import OperatorError
from shiftboss.logs import get_logger
from shiftboss.ports.executor import Raised

log = get_logger("shiftboss.engine")

Subscriber = Callable[[Sequence[Event]], None]
Logger = Callable[[Sequence[Event], Mapping[int, Raised]], None]  # by run: what its function raised here


class Meter(Protocol):
    """Measures the engine; called in the engine's thread at each turn."""

    def cycle(self, duration_s: float) -> None: ...
    def store_error(self, error: OperatorError) -> None: ...


class Observers:
    def __init__(self, logger: Logger, subscribers: Sequence[Subscriber], meters: Sequence[Meter]) -> None:
        self._logger = logger
        self.subscribers = list(subscribers)
        self.meters = list(meters)

    def publish(self, events: Sequence[Event], raised: Mapping[int, Raised]) -> None:
        """Hand the events of a commit to the log and to the subscribers."""
        for subscriber in (lambda events: self._logger(events, raised), *self.subscribers):
            try:
                subscriber(events)
            except Exception:  # whatever a subscriber does, it must not stop the engine
                log.exception("an on_events callback raised; the events are committed nevertheless")

    def cycle(self, duration_s: float) -> None:
        """A turn took so long."""
        for meter in self.meters:
            meter.cycle(duration_s)

    def store_error(self, error: OperatorError) -> None:
        for meter in self.meters:
            meter.store_error(error)
