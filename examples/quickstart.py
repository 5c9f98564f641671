"""Three workers that must not get in each other's way.

    python examples/quickstart.py

`fetch-data` runs every minute, `process-data` every two minutes and only after a successful fetch, `cleanup` once an
hour and never while data is processed.  SIGTERM or Ctrl-C stops gracefully.
"""

import asyncio
import logging

from shiftboss import Orchestrator

boss = Orchestrator()


@boss.worker(every=60, priority="high", timeout=30)
async def fetch_data() -> int:
    await asyncio.sleep(1)  # the real one asks an API
    return 42


@boss.worker(every=120, depends_on=[fetch_data])
async def process_data() -> None:
    await asyncio.sleep(1)


@boss.worker(every=3600, priority="low", blocks=[process_data])
async def cleanup() -> None:
    await asyncio.sleep(1)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    boss.run()
