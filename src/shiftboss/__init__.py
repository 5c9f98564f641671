"""Background workers that must not get in each other's way: scheduled, triggered, continuous; SQLite or PostgreSQL."""

from typing import TYPE_CHECKING, Any

from shiftboss.app.fan_out import TriggerItem
from shiftboss.app.handle import RunHandle, Worker
from shiftboss.app.options import Breaker, Dependency, SecretValue
from shiftboss.app.orchestrator import Orchestrator
from shiftboss.context import Context, Fatal, Idle, Retry
from shiftboss.core.model import Run, Status
from shiftboss.core.policy import HealthPolicy, RetryPolicy
from shiftboss.errors import (
    ConfigurationError,
    CycleError,
    DuplicateKey,
    NotStarted,
    RunFailed,
    ShiftbossError,
    StoreUnavailable,
    TriggersRefused,
    UnknownRun,
    UnknownWorker,
    WaitTimeout,
    WorkerDisabled,
    WrongPayload,
    WrongResult,
)
from shiftboss.executors.command import command
from shiftboss.ports.faces import AuditFilter, HistoryFilter, LetterFilter, WorkerFilter

if TYPE_CHECKING:
    from shiftboss.engine.shutdown import ShutdownReport

__all__ = [
    "AuditFilter",
    "Breaker",
    "ConfigurationError",
    "Context",
    "CycleError",
    "Dependency",
    "DuplicateKey",
    "Fatal",
    "HealthPolicy",
    "HistoryFilter",
    "Idle",
    "LetterFilter",
    "NotStarted",
    "Orchestrator",
    "Retry",
    "RetryPolicy",
    "Run",
    "RunFailed",
    "RunHandle",
    "SecretValue",
    "ShiftbossError",
    "ShutdownReport",
    "Status",
    "StoreUnavailable",
    "TriggerItem",
    "TriggersRefused",
    "UnknownRun",
    "UnknownWorker",
    "WaitTimeout",
    "Worker",
    "WorkerDisabled",
    "WorkerFilter",
    "WrongPayload",
    "WrongResult",
    "command",
]


def __getattr__(name: str) -> Any:
    if name == "ShutdownReport":  # used only in annotations; it is imported with the engine, at the start
        from shiftboss.engine.shutdown import ShutdownReport

        return ShutdownReport
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
