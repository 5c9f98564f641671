"""Every kind of hold by name, to import from one place; each is defined beside the gate that returns it.

`make docs` writes the list from the table (core/gates/table.py).
"""

# <!-- generated: hold-names -->
from shiftboss.core.gates.alone import IsIsolated as IsIsolated
from shiftboss.core.gates.alone import MakesWay as MakesWay
from shiftboss.core.gates.blocks import IsBlocked as IsBlocked
from shiftboss.core.gates.breaker import BreakerIsOpen as BreakerIsOpen
from shiftboss.core.gates.codec import IsEncoded as IsEncoded
from shiftboss.core.gates.concurrency import IsFull as IsFull
from shiftboss.core.gates.depends_on import UpstreamFailed as UpstreamFailed
from shiftboss.core.gates.depends_on import UpstreamOwes as UpstreamOwes
from shiftboss.core.gates.depends_on import UpstreamStale as UpstreamStale
from shiftboss.core.gates.disabled import IsDisabled as IsDisabled
from shiftboss.core.gates.draining import IsDraining as IsDraining
from shiftboss.core.gates.not_due import NotDue as NotDue
from shiftboss.core.gates.paused import IsPaused as IsPaused
from shiftboss.core.gates.rate import RateReached as RateReached
from shiftboss.core.gates.reserved import IsReserved as IsReserved
from shiftboss.core.gates.shed import IsShed as IsShed
from shiftboss.core.gates.slots import NoSlot as NoSlot
from shiftboss.core.gates.store import StoreTakesNothing as StoreTakesNothing
from shiftboss.core.gates.unknown_worker import NotHere as NotHere
from shiftboss.core.gates.unreadable import IsUnreadable as IsUnreadable
from shiftboss.core.gates.uses import NoPermit as NoPermit
from shiftboss.core.gates.version import OtherVersion as OtherVersion
from shiftboss.core.hold import Hold as Hold
from shiftboss.core.hold import Scope as Scope
# <!-- end -->
