"""Every operation of the API, one a line.

Rules of this file
- Routing, validation, access, OpenAPI, the reference page and the fuzzer are all derived from this table: an operation
  that is not here does not exist.
- GET changes nothing.  A path is a noun; an action is at its end.
"""

from __future__ import annotations

from typing import Final

from shiftboss.app.roles import Role
from shiftboss.app.verb import DEAD_LETTER, NODE, RUN, WORKER
from shiftboss.web import actions, bulk_actions, list_queries, permissions, status_queries
from shiftboss.web.operation import Call, Operation
from shiftboss.web.verbs import operations_of

PREFIX: Final = "/api/v1"
EVERYBODY: Final = None
BIG: Final = 8 << 20  # bytes of a body with many triggers: about 0.5 s of parsing, most of it beside the loop
VIEWER, OPERATOR, ADMIN = Role.VIEWER, Role.OPERATOR, Role.ADMIN


async def may(call: Call, params: permissions.MayAsked) -> permissions.Permissions:
    """Which of these actions do my role and the host allow me, on these workers or without a worker?"""
    return await permissions.permitted(call, params, OPERATIONS)


# fmt: off
OPERATIONS: Final = (
    #         method    path                                who        does
    Operation("GET",    "/status",                          VIEWER,    status_queries.status),
    Operation("GET",    "/health",                          VIEWER,    status_queries.health),
    Operation("GET",    "/events",                          VIEWER,    status_queries.events),
    Operation("GET",    "/activity",                        VIEWER,    list_queries.activity),
    Operation("GET",    "/audit",                           VIEWER,    list_queries.audit),
    Operation("GET",    "/audit/verify",                    ADMIN,     list_queries.verify_audit),
    Operation("GET",    "/graph",                           VIEWER,    status_queries.graph_),
    Operation("GET",    "/timeline",                        VIEWER,    status_queries.timeline_),
    Operation("GET",    "/minutes",                         VIEWER,    status_queries.minutes_),

    Operation("GET",    "/workers",                         VIEWER,    status_queries.workers),
    Operation("GET",    "/workers/{worker}",                VIEWER,    status_queries.worker),
    Operation("GET",    "/workers/{worker}/payload",        VIEWER,    status_queries.payload_form),
    Operation("POST",   "/workers/{worker}/trigger",        OPERATOR,  actions.trigger, status=202),
    Operation("POST",   "/workers/trigger",                 OPERATOR, actions.trigger_many, status=202, body_bytes=BIG),
    *operations_of(WORKER),  # enable, disable and the others in app/verbs.py

    Operation("GET",    "/runs",                            VIEWER,    list_queries.runs),
    Operation("GET",    "/runs/{run}",                      VIEWER,    list_queries.run),
    Operation("GET",    "/runs/{run}/log",                  VIEWER,    list_queries.log),
    *operations_of(RUN),
    *bulk_actions.operations_of(RUN),

    Operation("GET",    "/dead-letters",                    VIEWER,    list_queries.letters),
    Operation("GET",    "/dead-letters/groups",             VIEWER,    list_queries.letter_groups),
    Operation("GET",    "/dead-letters/{run}",              VIEWER,    list_queries.letter),
    *operations_of(DEAD_LETTER),
    Operation("POST",   "/dead-letters/export",             OPERATOR,  bulk_actions.export_many),
    *bulk_actions.operations_of(DEAD_LETTER),

    Operation("GET",    "/nodes",                           VIEWER,    status_queries.nodes),
    *operations_of(NODE),

    Operation("GET",    "/unreadable",                      VIEWER,    status_queries.unreadable),
    Operation("POST",   "/unreadable/set-aside",            ADMIN,     actions.set_aside),

    Operation("GET",    "/session",                         EVERYBODY, status_queries.session),
    Operation("GET",    "/session/may",                     VIEWER,    may, personal=True),
    Operation("POST",   "/session",                         EVERYBODY, actions.log_in, status=204),
    Operation("DELETE", "/session",                         EVERYBODY, actions.log_out, status=204),
)
# fmt: on
