"""An application with a codec: what the tests of encryption run."""

import os

from shiftboss import Context, Fatal, Orchestrator
from shiftboss.codec import AesGcmCodec

keys = [part.split("=", 1) for part in os.environ.get("VAULT_KEYS", "").split(",") if part]
boss = Orchestrator(codec=AesGcmCodec(dict(keys)) if keys else None, shutdown_timeout=5)


@boss.worker
async def keep(ctx: Context, text: str) -> str:
    ctx.log.warning("kept %s", text)
    return text


@boss.worker(max_retries=0)
async def lose(text: str) -> None:
    raise Fatal(f"lost {text}")
