"""Bodies that say when they are in: each is there twice if its store was set back, at the same time or one by one."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from shiftboss import Context

LINGERS_S = 1.0  # after it was told, within every grace; or until its successor is in, which is the mistake


def begins(ctx: Context, ledger: Path) -> bool:
    """Whether this is the first one."""
    with ledger.open("a") as file:
        file.write(f"begin {ctx.fence}\n")
    return ledger.read_text().count("begin") == 1


def has_successor(ledger: Path) -> bool:
    return ledger.read_text().count("begin") > 1


def ends(ctx: Context, ledger: Path) -> None:
    with ledger.open("a") as file:
        file.write(f"end {ctx.fence}\n")


async def coroutine(ctx: Context, path: str) -> None:
    ledger = Path(path)
    if begins(ctx, ledger):
        try:
            await asyncio.sleep(120)
        finally:
            until = time.monotonic() + LINGERS_S
            while not has_successor(ledger) and time.monotonic() < until:
                await asyncio.sleep(0.01)
            ends(ctx, ledger)
    else:
        ends(ctx, ledger)


def thread(ctx: Context, path: str) -> None:
    ledger = Path(path)
    if begins(ctx, ledger):
        while not ctx.cancelled:
            time.sleep(0.01)
        until = time.monotonic() + LINGERS_S
        while not has_successor(ledger) and time.monotonic() < until:
            time.sleep(0.01)
    ends(ctx, ledger)


def process(ctx: Context, path: str) -> None:
    ledger = Path(path)
    if begins(ctx, ledger):
        try:
            time.sleep(120)
        finally:
            until = time.monotonic() + LINGERS_S
            while not has_successor(ledger) and time.monotonic() < until:
                time.sleep(0.01)
            ends(ctx, ledger)
    else:
        ends(ctx, ledger)
