"""Every operation of the API, a line each.

Rules of this file
- Routing, validation, access, OpenAPI, the reference page and the fuzzer are all derived from this table: what is not
  here does not exist.
- GET changes nothing.  A path is a noun; what is done to it stands at its end.
"""

from __future__ import annotations

from typing import Final

from shiftboss.web import browse, bulk, do, permissions, see
from shiftboss.web.access import Role
from shiftboss.web.operation import Call, Operation

PREFIX: Final = "/api/v1"
EVERYBODY: Final = None
VIEWER, OPERATOR, ADMIN = Role.VIEWER, Role.OPERATOR, Role.ADMIN


async def may(call: Call, params: permissions.MayAsked) -> permissions.Permissions:
    """Which of these actions may I do to these workers, or without a worker, by my role and by the host?"""
    return await permissions.permitted(call, params, OPERATIONS)


# fmt: off
OPERATIONS: Final = (
    #         method    path                                who        does
    Operation("GET",    "/status",                          VIEWER,    see.status),
    Operation("GET",    "/health",                          VIEWER,    see.health),
    Operation("GET",    "/events",                          VIEWER,    see.events),
    Operation("GET",    "/activity",                        VIEWER,    browse.activity),
    Operation("GET",    "/audit",                           VIEWER,    browse.audit),
    Operation("GET",    "/audit/verify",                    ADMIN,     browse.verify_audit),
    Operation("GET",    "/graph",                           VIEWER,    see.graph_),
    Operation("GET",    "/timeline",                        VIEWER,    see.timeline_),
    Operation("GET",    "/minutes",                         VIEWER,    see.minutes_),

    Operation("GET",    "/workers",                         VIEWER,    see.workers),
    Operation("GET",    "/workers/{worker}",                VIEWER,    see.worker),
    Operation("GET",    "/workers/{worker}/payload",        VIEWER,    see.payload_form),
    Operation("POST",   "/workers/{worker}/trigger",        OPERATOR,  do.trigger, status=202),
    Operation("POST",   "/workers/{worker}/enable",         OPERATOR,  do.enable),
    Operation("POST",   "/workers/{worker}/disable",        OPERATOR,  do.disable),
    Operation("POST",   "/workers/{worker}/forget",         ADMIN,     do.forget, status=204),

    Operation("GET",    "/runs",                            VIEWER,    browse.runs),
    Operation("GET",    "/runs/{run}",                      VIEWER,    browse.run),
    Operation("GET",    "/runs/{run}/log",                  VIEWER,    browse.log),
    Operation("POST",   "/runs/{run}/cancel",               OPERATOR,  do.cancel),
    Operation("POST",   "/runs/cancel",                     OPERATOR,  bulk.cancel_many),

    Operation("GET",    "/dead-letters",                    VIEWER,    browse.letters),
    Operation("GET",    "/dead-letters/groups",             VIEWER,    browse.letter_groups),
    Operation("GET",    "/dead-letters/{run}",              VIEWER,    browse.letter),
    Operation("POST",   "/dead-letters/{run}/replay",       OPERATOR,  do.replay, status=202),
    Operation("POST",   "/dead-letters/{run}/resolve",      OPERATOR,  do.resolve),
    Operation("POST",   "/dead-letters/{run}/discard",      ADMIN,     do.discard),
    Operation("POST",   "/dead-letters/export",             OPERATOR,  bulk.export_many),
    Operation("POST",   "/dead-letters/replay",             OPERATOR,  bulk.replay_many),
    Operation("POST",   "/dead-letters/resolve",            OPERATOR,  bulk.resolve_many),
    Operation("POST",   "/dead-letters/discard",            ADMIN,     bulk.discard_many),

    Operation("GET",    "/nodes",                           VIEWER,    see.nodes),
    Operation("POST",   "/nodes/{node}/drain",              ADMIN,     do.drain),
    Operation("POST",   "/nodes/{node}/prefer",             ADMIN,     do.prefer),

    Operation("GET",    "/unreadable",                      VIEWER,    see.unreadable),
    Operation("POST",   "/unreadable/set-aside",            ADMIN,     do.set_aside),

    Operation("GET",    "/session",                         EVERYBODY, see.session),
    Operation("GET",    "/session/may",                     VIEWER,    may, personal=True),
    Operation("POST",   "/session",                         EVERYBODY, do.log_in, status=204),
    Operation("DELETE", "/session",                         EVERYBODY, do.log_out, status=204),
)
# fmt: on
