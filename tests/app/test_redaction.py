"""Nothing that is called like a secret reaches the store, whichever way a body says it."""

from __future__ import annotations

import pytest

from shiftboss import ConfigurationError, Context, Orchestrator, command

CANARY = "canary-3f9a1c77"


@pytest.fixture
def boss(tmp_path):
    return Orchestrator(f"sqlite:///{tmp_path / 'boss.db'}", redact=["card number"])


def what_is_stored(tmp_path) -> bytes:
    return b"".join(file.read_bytes() for file in tmp_path.glob("boss.db*") if file.is_file())


async def test_errors_results_lines_and_progress_are_masked_before_they_are_stored(boss, tmp_path):
    @boss.worker(max_retries=0)
    async def returns(ctx: Context) -> dict[str, object]:
        ctx.log.warning("logged in with token=%s", CANARY)
        ctx.progress(1, 2, f"password: {CANARY}")
        return {"cardNumber": CANARY, "rows": 3}

    @boss.worker(max_retries=0)
    def raises() -> None:
        raise ValueError(f"Authorization: Bearer {CANARY}") from OSError(f"postgresql://ada:{CANARY}@db/shop")

    boss.register("prints", command(["sh", "-c", f"echo api_key={CANARY} >&2; exit 3"]), max_retries=0)
    async with boss:
        for name in ("returns", "raises", "prints"):
            await (await boss.trigger(name)).wait(timeout=30)

    assert b"[redacted]" in what_is_stored(tmp_path)
    assert CANARY.encode() not in what_is_stored(tmp_path)


async def test_a_payload_keeps_what_its_body_needs_and_errors_do_not_repeat_it(boss):
    seen = []

    @boss.worker(max_retries=0)
    def pay(card_number: str) -> None:
        seen.append(card_number)
        raise ValueError(f"the bank refuses {card_number}")

    async with boss:
        run = await (await pay.trigger(CANARY)).wait(timeout=30)

    assert seen == [CANARY]
    assert CANARY in run.payload.decode()
    assert run.error.message == "the bank refuses [redacted]"
    assert CANARY not in run.error.traceback


def test_names_are_a_list():
    with pytest.raises(ConfigurationError, match=r"redact=\['pin'\]"):
        Orchestrator("memory:", redact="pin")
