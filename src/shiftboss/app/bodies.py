"""What a declared worker executes: a function, a command, or a function for a pool.

Rules of this file
- An option that the function or command cannot obey is refused, with the remedy; none is silently ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from shiftboss.errors import ConfigurationError
from shiftboss.executors.body import MAX_PAYLOAD_BYTES, FunctionBody
from shiftboss.executors.command import Command, CommandBody

AnyBody = FunctionBody | CommandBody

NOT_FOR_COMMANDS = {
    "retry_on": "a command raises nothing; give retry_codes= to command(…)",
    "no_retry_on": "a command raises nothing; give fatal_codes= to command(…)",
    "executor": "a command runs in a process group of its own; drop it",
    "pool": "a command runs in a process group of its own; drop it, or use a function that starts the program",
    "pool_slots": "a command does not run in a pool; limit its runs with concurrency=",
    "max_runs_per_child": "every run starts a new process; drop it",
    "max_memory": "the memory of a command is not measured; start it with prlimit or systemd-run, which limit it",
    "heartbeat_timeout": "a command sends no heartbeat; limit it with timeout=",
}


def make_body(fn: Callable[..., Any] | Command, name: str, options: Mapping[str, Any]) -> AnyBody:
    """The `Body` of worker *name*.  Raises ConfigurationError."""
    max_payload_bytes = options.get("max_payload", MAX_PAYLOAD_BYTES)
    if isinstance(fn, Command):
        for option, remedy in NOT_FOR_COMMANDS.items():
            if options.get(option) is not None and not (option == "executor" and options[option] == "command"):
                raise ConfigurationError(f"worker {name!r}: {option}= is not for commands: {remedy}")
        return CommandBody(fn, worker=name, fallback=options.get("fallback"), max_payload_bytes=max_payload_bytes)
    for_functions = {
        "retry_on": options.get("retry_on", ()),
        "no_retry_on": options.get("no_retry_on", ()),
        "fallback": options.get("fallback"),
        "max_payload_bytes": max_payload_bytes,
    }
    if options.get("pool") is None:
        if options.get("pool_slots") is not None:
            raise ConfigurationError(f"worker {name!r}: pool_slots= is for pool= only; add it, or drop pool_slots=")
        return FunctionBody(fn, worker=name, **for_functions)
    from shiftboss.executors.pool import PoolBody  # 10 ms of import, only for those who use a pool

    if options.get("executor") is not None:
        raise ConfigurationError(f"worker {name!r}: pool= and executor= cannot be combined; drop one of them")
    if options.get("heartbeat_timeout") is not None:
        raise ConfigurationError(
            f"worker {name!r}: heartbeat_timeout= is not for pools: a function there cannot send a heartbeat; drop "
            "it, or drop pool= (executor='process' can)"
        )
    slots = options.get("pool_slots", options.get("concurrency"))
    return PoolBody(fn, worker=name, pool=options["pool"], pool_slots=slots, **for_functions)


def executor_of(body: AnyBody) -> str | None:
    """The executor that *body* alone decides on; None if the options decide."""
    if isinstance(body, CommandBody):
        return "command"
    return f"pool:{body.worker}" if hasattr(body, "pool") else None
