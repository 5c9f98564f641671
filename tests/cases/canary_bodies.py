"""Bodies that say secrets of every kind in every way; the node, its children and the command declare them alike."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import threading
from pathlib import Path
from typing import Any

from shiftboss import Context, Fatal, Orchestrator, SecretValue, command

# Each with a middle of its own, which must stand nowhere: what is left of a secret is one as well.
CANARIES = {
    "by its name": "n7Kq2vZx9Lm4",
    "by its shape": "ghp_s3Wt8yBr5Hd1" + "A" * 20,
    "by a name of redact=": "o6Jf1pGc0Ua2",
    "by a pattern of redact=": "cust-p9Xe4kQn7Ti3",
    "by a value of redact=": "v5Ms2hVy8Fo6",
    "by ctx.mask, of the payload": "m1Zb7dRw3Eg9",
    "by ctx.mask, fetched": "f4Cu8jLi6Pa5",
    "by the name of a parameter that has it as default": "d2Nk5tSv1Yq8",
}
NAMED, SHAPED, OWN_NAME, PATTERN, VALUE, MASKED, FETCHED, DEFAULT = CANARIES.values()
REASON = f"password={NAMED}, with {SHAPED}, for {PATTERN} and {VALUE}"  # what a person can know of them
LEAKS = "CANARY_LEAKS"  # in the environment: bodies forget to mask

streamed = threading.Event()  # somebody looks at the log of a run


def a_payload(*, known: bool = True) -> dict[str, Any]:
    """*known*: with the secret that only a body knows for one, and masks."""
    return {
        "password": NAMED,
        "note": f"use {SHAPED} for it",
        "card_number": OWN_NAME,
        "memo": f"of {PATTERN}",
        "remark": VALUE,
        "plain": {"deep": [f"before {MASKED}" if known else "nothing"]},
    }


def say(ctx: Context, given: dict[str, Any]) -> dict[str, Any]:
    """All of it, by every way that a body has."""
    if LEAKS not in os.environ:
        ctx.mask(MASKED, [FETCHED])
    everything = f"{given} and {FETCHED}"
    ctx.log.info("given %s", everything)
    ctx.log.error("cannot open it with %r", everything, exc_info=ValueError(everything))
    ctx.progress(1, 2, everything)
    return {**given, "fetched": FETCHED, "url": f"https://ada:{NAMED}@shop.example/"}


def fail(ctx: Context, given: dict[str, Any]) -> None:
    said = say(ctx, given)
    try:
        raise OSError(str(said))
    except OSError as error:
        raise Fatal(f"no luck with {said}") from error


def given_to(ctx: Context, password: str, note: str, card_number: str, memo: str, remark: str, plain: Any) -> Any:
    return say(ctx, {key: value for key, value in locals().items() if key != "ctx"})


def dies(ctx: Context, password: str, note: str, card_number: str, memo: str, remark: str, plain: Any) -> None:
    fail(ctx, {key: value for key, value in locals().items() if key != "ctx"})


async def on_the_loop(
    ctx: Context, password: str, note: str, card_number: str, memo: str, remark: str, plain: Any
) -> Any:
    await asyncio.to_thread(streamed.wait, 30)
    return given_to(ctx, password, note, card_number, memo, remark, plain)


async def dies_on_the_loop(
    ctx: Context, password: str, note: str, card_number: str, memo: str, remark: str, plain: Any
) -> None:
    dies(ctx, password, note, card_number, memo, remark, plain)


def with_a_default(api_key: str = DEFAULT) -> None: ...


def declared(url: str, codec: Any = None) -> Orchestrator:
    boss = Orchestrator(
        url,
        codec=codec,
        shutdown_timeout=5,
        redact=["card number", re.compile(r"\bcust-\w{12}\b"), SecretValue(VALUE)],
    )
    once: dict[str, Any] = {"max_retries": 0, "max_consecutive_failures": None}
    boss.register("loop", on_the_loop, **once)
    boss.register("loop-dies", dies_on_the_loop, **once)
    boss.register("thread", given_to, **once)
    boss.register("thread-dies", dies, max_retries=0, max_consecutive_failures=1)
    boss.register("child", given_to, executor="process", **once)
    boss.register("child-dies", dies, executor="process", **once)
    boss.register("program", command([sys.executable, str(Path(__file__)), "0"], stdin="payload"), **once)
    boss.register("program-dies", command([sys.executable, str(Path(__file__)), "3"], stdin="payload"), **once)
    boss.register("hourly", with_a_default, every="1h", start="next", **once)
    return boss


if __name__ == "__main__":
    given = sys.stdin.read()
    print(given)
    print(f"cannot open it with {given}", file=sys.stderr)
    sys.exit(int(sys.argv[1]))
