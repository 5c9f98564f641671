"""Background workers that must not get in each other's way: scheduled, triggered, continuous; SQLite or PostgreSQL.

A public name is imported when it is first used: the command's --help, a child process and a program that only catches
an error do not import the rest.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shiftboss.app.fan_out import TriggerItem
    from shiftboss.app.handle import RunHandle, Worker
    from shiftboss.app.options import Breaker, Dependency, SecretValue
    from shiftboss.app.orchestrator import Orchestrator
    from shiftboss.app.scheduling import Calendar
    from shiftboss.context import Context, Fatal, Idle, Retry
    from shiftboss.core.model import Run, Status
    from shiftboss.core.policy import HealthPolicy, RetryPolicy
    from shiftboss.engine.shutdown import ShutdownReport
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

__all__ = [
    "AuditFilter",
    "Breaker",
    "Calendar",
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

if not TYPE_CHECKING:  # or a misspelt name would pass a type checker
    _HOMES = {  # of all names but those of `errors`
        "AuditFilter": "ports.faces",
        "Breaker": "app.options",
        "Calendar": "app.scheduling",
        "Context": "context",
        "Dependency": "app.options",
        "Fatal": "context",
        "HealthPolicy": "core.policy",
        "HistoryFilter": "ports.faces",
        "Idle": "context",
        "LetterFilter": "ports.faces",
        "Orchestrator": "app.orchestrator",
        "Retry": "context",
        "RetryPolicy": "core.policy",
        "Run": "core.model",
        "RunHandle": "app.handle",
        "SecretValue": "app.options",
        "ShutdownReport": "engine.shutdown",
        "Status": "core.model",
        "TriggerItem": "app.fan_out",
        "Worker": "app.handle",
        "WorkerFilter": "ports.faces",
        "command": "executors.command",
    }

    def __getattr__(name):
        if name not in (*__all__, "errors"):  # `shiftboss.errors` has those that are not named here
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        if name == "errors":
            return import_module(f"{__name__}.errors")
        value = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES.get(name, 'errors')}"), name)
        return value

    def __dir__():
        return sorted({*globals(), *__all__})
