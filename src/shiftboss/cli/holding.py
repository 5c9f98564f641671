"""Holds in the words of `why`: the gate, the thing that holds, what it is about it, since when, until when."""

from __future__ import annotations

from datetime import datetime

from shiftboss.cli import times
from shiftboss.core import holds
from shiftboss.core.holds import Hold


def thing(hold: Hold) -> str:
    """Whose doing it is; empty where the gate says it all."""
    match hold:
        case holds.UpstreamOwes() | holds.UpstreamFailed() | holds.UpstreamStale():
            return hold.upstream
        case holds.IsBlocked():
            return hold.by
        case holds.BreakerIsOpen():
            return hold.breaker
        case holds.NoPermit():
            return hold.resource
        case holds.IsReserved():
            return hold.worker
        case holds.IsDisabled():
            return f"by {hold.by}"
        case holds.MakesWay():
            return hold.worker
        case holds.NoSlot() | holds.IsShed() | holds.IsDraining() | holds.OtherVersion():
            return hold.node
        case _:
            return ""


def fact(hold: Hold, now: datetime) -> str:
    """What it is about the thing, and until when."""
    return _fact(hold) + _until(hold, now)


def sentence(hold: Hold, now: datetime) -> str:
    """ "depends_on fetch-data: run 12 is in back-off, until 14:02:40 (in 9 s)"."""
    whose = thing(hold)
    return f"{hold.gate}{' ' if whose else ''}{whose}: {fact(hold, now)}"


def _fact(hold: Hold) -> str:
    match hold:
        case holds.UpstreamOwes():
            return f"run {hold.run} is {hold.state}"
        case holds.UpstreamFailed() | holds.UpstreamStale():
            return hold.why
        case holds.IsBlocked(zombie=True):
            return f"run {hold.run} was told to end, but its body still runs on node {hold.node}"
        case holds.IsBlocked():
            return f"run {hold.run} is running on node {hold.node}"
        case holds.BreakerIsOpen(probe=None):
            return "is open after failures"
        case holds.BreakerIsOpen():
            return f"is half-open, run {hold.probe} probes it"
        case holds.NoPermit():
            taken = f", taken by run {_ids(hold.runs)}" if hold.runs else ""
            return f"{hold.wanted} wanted, {hold.free} free{taken}"
        case holds.IsReserved():
            return f"kept free for run {hold.run}, which has waited too long"
        case holds.IsDisabled():
            return hold.reason or "no reason given"
        case holds.NotDue(attempt=0):
            return "is due later"
        case holds.NotDue():
            return f"is in back-off after attempt {hold.attempt}"
        case holds.IsFull():
            return f"{len(hold.runs)} of {hold.limit} allowed at once, running: run {_ids(hold.runs)}"
        case holds.NoSlot(kept=True):
            return "the free slots are kept for high and critical runs"
        case holds.NoSlot():
            return f"all {hold.slots} {hold.executor}{' ' if hold.executor else ''}slots are in use"
        case holds.IsShed():
            return f"holds back {hold.priority.label} runs: {hold.reason}"
        case holds.MakesWay():
            what = "has" if hold.runs else "waits to have"
            return f"run {hold.run} {what} node {hold.node} to itself, since it was there when nodes went down"
        case holds.IsDraining():
            return "is shutting down and starts nothing new"
        case holds.OtherVersion():
            return hold.fact
        case _:
            return str(hold)


def _until(hold: Hold, now: datetime) -> str:
    if hold.until is None:
        return ""
    said = f"{times.clock(hold.until, now)} ({times.until(hold.until, now)})"
    match hold:
        case holds.BreakerIsOpen() | holds.IsDisabled():
            return f", probed at {said}"
        case holds.NotDue():
            return f", at {said}"
        case _:
            return f", until {said}"


def _ids(runs: tuple[int, ...]) -> str:
    return ", ".join(map(str, runs[:5])) + (" …" if len(runs) > 5 else "")
