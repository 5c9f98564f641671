"""Bodies that say a secret in every way; children import them."""

from __future__ import annotations

import json
import sys

from shiftboss import Context

CANARY = "canary-3f9a1c77"


def around(limit: int) -> str:
    """A text in which a secret lies across a limit, counted from its beginning and from its end."""
    filler = "x" * (limit - 20)
    return f"{filler} password={CANARY * 3} {filler}"


def says_and_raises(ctx: Context, limit: int) -> None:
    ctx.log.info("%s", around(limit))
    ctx.progress(1, 2, around(limit))
    raise ValueError(around(limit))


def fetches(ctx: Context, inner: dict[str, list[str]], plain: str) -> dict[str, str]:
    """Masks what it was given in its first attempt, and what it fetched in each."""
    fetched = "fetched-" + plain[-15:][::-1]
    ctx.mask(inner["a"][1] if ctx.attempt == 1 else None, fetched.encode())
    ctx.log.info("got %s and %r", fetched, inner)
    ctx.progress(1, 2, f"with {fetched}")
    if ctx.attempt == 1:
        raise ValueError(f"no luck with {fetched} and {inner}")
    return {"fetched": fetched, "given": inner["a"][1]}


async def fetches_on_the_loop(ctx: Context, inner: dict[str, list[str]], plain: str) -> dict[str, str]:
    return fetches(ctx, inner, plain)


if __name__ == "__main__":
    given: int = json.load(sys.stdin)["limit"]
    for stream in (sys.stdout, sys.stderr):
        print(around(given), file=stream)
    sys.exit(given % 3)
