"""The observatory's workers: one of every kind, each for a reason.

sample        every 2 s, high       reads CPU, memory, disk and network of this machine
summarize     every 10 s            depends on the samples
prune         every 30 s, low       blocks the summary while it deletes
probe         continuous            asks a local endpoint that is down at times; its breaker opens and closes
dispatch      every 7 s             triggers a report with a payload
report        triggered             retries; the one that asks for a missing sensor ends as a dead letter
minute        cron                  says each minute how it went
outlook       every 15 s, process   looks ahead: some seconds of a core, which a thread would take from all others
backup        every 20 s, command   copies the archive; blocks the pruning, or it would keep what is half deleted
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
import urllib.request
from typing import Any

import psutil

from shiftboss import Breaker, Context, Orchestrator, command
from shiftboss.demo import backup
from shiftboss.demo.archive import FIELDS, FOLDER, Archive
from shiftboss.demo.endpoint import Endpoint
from shiftboss.demo.outlook import outlook
from shiftboss.logs import get_logger

KEEP_S = 300.0  # of samples
MISSING_EVERY = 6  # every so many reports one asks for a sensor that this machine lacks

log = get_logger("shiftboss.demo")


def observatory(store: str, endpoint: Endpoint) -> Orchestrator:
    """An orchestrator with the workers above; *endpoint* is what they probe."""
    boss = Orchestrator(store, max_concurrency=20)
    archive = Archive()

    @boss.worker(every="2s", priority="high", timeout="10s")
    def sample() -> dict[str, float]:
        """Read this machine's sensors."""
        values = read_sensors()
        archive.add_sample(time.time(), values)
        return values

    @boss.worker(every="10s", depends_on=[sample], expected_duration="1s")
    def summarize() -> dict[str, Any]:
        """Fold the last minute of samples into one row."""
        return archive.summarize(time.time(), since=time.time() - 60)

    @boss.worker(every="30s", priority="low", blocks=[summarize])
    async def prune(ctx: Context) -> int:
        """Delete old samples, in small steps; the summary waits meanwhile."""
        gone, steps = 0, 20
        for step in range(steps):
            gone += await asyncio.to_thread(archive.prune, before=time.time() - KEEP_S, limit=50)
            ctx.progress(step + 1, steps, f"{gone} deleted")
            await asyncio.sleep(0.1)
        return gone

    @boss.worker(continuous=True, pause="2s", timeout="5s", breaker=Breaker(failures=3, cooldown="8s"))
    def probe() -> str:
        """Ask the local endpoint; it is down for a third of every minute."""
        with urllib.request.urlopen(endpoint.url, timeout=2) as answer:  # noqa: S310  # our own loopback address
            text: str = answer.read().decode()
            return text.strip()

    @boss.worker(max_retries=2, concurrency=3, timeout="20s")
    async def report(ctx: Context, sensor: str, minutes: int = 1) -> str:
        """Write a report about one sensor."""
        values = await asyncio.to_thread(archive.series, sensor, since=time.time() - 60 * minutes)
        for step in range(10):
            ctx.progress(step + 1, 10, f"{len(values)} values")
            await asyncio.sleep(0.15)
        text = f"{sensor}: {len(values)} values, last {values[-1]:.1f}" if values else f"{sensor}: nothing yet"
        await asyncio.to_thread(archive.add_report, time.time(), sensor, text)
        return text

    @boss.worker(every="7s")
    async def dispatch(ctx: Context) -> int:
        """Trigger a report, each time about another sensor."""
        turn = int(ctx.occurs_at.timestamp() // 7)
        sensor = "fan_speed" if turn % MISSING_EVERY == 0 else FIELDS[turn % len(FIELDS)]
        run = await report.options(key=f"{sensor}-{turn}").trigger(sensor, minutes=5)
        return run.id

    @boss.worker(cron="* * * * *")
    def minute() -> str:
        """Say how it went."""
        counts = archive.counts()
        log.info("%(samples)s samples, %(summaries)s summaries, %(reports)s reports so far", counts)
        return f"{counts['samples']} samples, {counts['summaries']} summaries, {counts['reports']} reports so far"

    boss.register(
        "outlook", outlook, every="15s", depends_on=[sample], executor="process", timeout="1m", max_memory="200MB"
    )

    copy = command([sys.executable, backup.__file__, archive.path, FOLDER / "backups"], retry_codes={backup.BUSY})
    boss.register("backup", copy, every="20s", priority="low", blocks=[prune], timeout="30s")

    return boss


def read_sensors() -> dict[str, float]:
    """CPU and memory in percent, disk in percent, network in MiB since boot, load of the last minute."""
    network = psutil.net_io_counters()
    return {
        "cpu": psutil.cpu_percent(interval=None),
        "memory": psutil.virtual_memory().percent,
        "disk": psutil.disk_usage(os.path.sep).percent,
        "sent": network.bytes_sent / 2**20 if network else 0.0,
        "received": network.bytes_recv / 2**20 if network else 0.0,
        "load": os.getloadavg()[0],
    }
