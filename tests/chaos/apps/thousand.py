"""A worker that takes a moment and says so in the ledger; triggered a thousand times by the test."""

import asyncio
import logging
import os
import sys

from shiftboss import Context, Orchestrator

LEDGER = os.open(os.environ["LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

boss = Orchestrator(max_concurrency=50)


@boss.worker()
async def job(ctx: Context, number: int) -> int:
    os.write(LEDGER, f"start {ctx.run_id} {number}\n".encode())
    await asyncio.sleep(0.02)
    os.write(LEDGER, f"end {ctx.run_id} {number}\n".encode())
    return number


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    sys.exit(boss.run().exit_code)
