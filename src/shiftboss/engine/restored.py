"""What a store that was put back to an earlier state says about that."""

from __future__ import annotations

from shiftboss.core.events import StoreRestored
from shiftboss.ports.store import Reader

LOOKED_AT = 1000  # events after it: more than the declarations of a whole fleet have written since


def restored_in(reader: Reader) -> StoreRestored | None:
    """The newest such event; None if too much has happened since."""
    newest = reader.last_event()
    events = reader.events(after=max(0, newest - LOOKED_AT), limit=LOOKED_AT)
    restored = [event for _, event in events if isinstance(event, StoreRestored)]
    return restored[-1] if restored else None
