"""(stub)"""
from __future__ import annotations
from shiftboss.core.value import Value
class HealthReason(Value, frozen=True):
    text: str = ""
class WorkerHealth(Value, frozen=True):
    status: str = "healthy"
    reasons: tuple[HealthReason, ...] = ()
class SystemHealth(Value, frozen=True):
    status: str = "healthy"
    reasons: tuple[HealthReason, ...] = ()
    workers: dict[str, WorkerHealth] = {}
def system_health(snapshot, now, *, live, due, letters):
    return SystemHealth(workers={n: WorkerHealth() for n in snapshot.workers})
