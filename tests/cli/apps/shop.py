"""A small shop: what the tests of the command run."""

import asyncio
import threading

from shiftboss import Context, Fatal, Orchestrator

boss = Orchestrator(resources={"warehouse": 1})
release = threading.Event()  # set by nobody: a body that waits for it ends by being cancelled


@boss.worker(every="1h", priority="high", timeout="30s")
def fetch_data(ctx: Context) -> int:
    """Fetch the newest orders."""
    ctx.progress(10, 10, "fetched")
    return 42


@boss.worker(every="2h", depends_on=[fetch_data])
def process_data() -> None:
    """Turn orders into parcels."""


@boss.worker(cron="30 2 * * *", timezone="Europe/Berlin", priority="low", blocks=[process_data])
def cleanup() -> None:
    """Throw old things away."""


@boss.worker(breaker="mailer", max_retries=0)
async def send_mail(to: str, subject: str = "hi", copies: int = 1) -> dict[str, object]:
    """Send one mail."""
    if to == "nobody":
        raise Fatal("nobody has no address")
    if to == "broken":
        raise ValueError(f"cannot send to {to}")
    return {"to": to, "copies": copies}


@boss.worker(uses={"warehouse": 1}, timeout=None)
async def pick(ctx: Context, parcels: int = 3) -> None:
    """Pick parcels, until it is cancelled."""
    ctx.progress(1, parcels, "first parcel")
    await asyncio.Event().wait()


@boss.worker(after=[process_data])
def report() -> None:
    """Tell how it went."""
