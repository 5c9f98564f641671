"""Records log-ins and log-outs in the log and in the audit; the only place for each.

Rules of this file
- A line has the same name as the audit, and a cleaned address; never a token, a code or a cookie.
"""

from __future__ import annotations

from starlette.types import Scope

from shiftboss.logs import get_logger
from shiftboss.web.access import Access
from shiftboss.web.addresses import address_of
from shiftboss.web.door_audit import DoorAudit

log = get_logger("shiftboss.web.access")


def logged_in(scope: Scope, access: Access, acts: DoorAudit) -> None:
    acts.logged_in(scope, access)
    log.info("%s logged in as %s from %s", access.name, access.role.name.lower(), address_of(scope))


def logged_out(scope: Scope, access: Access, acts: DoorAudit) -> None:
    acts.logged_out(scope, access)
    log.info("%s logged out from %s", access.name, address_of(scope))
