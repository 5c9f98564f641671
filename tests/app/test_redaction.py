"""Nothing that is called like a secret reaches the store, whichever way a body says it."""

from __future__ import annotations

import re

import pytest

from shiftboss import ConfigurationError, Context, Orchestrator, SecretValue, command
from shiftboss.app.pages import page_of_run
from shiftboss.core.bounds import RAW_CHARS, ends, head, loose_ends
from shiftboss.core.redact import redaction

CANARY = "canary-3f9a1c77"


@pytest.fixture
def boss(tmp_path):
    return Orchestrator(f"sqlite:///{tmp_path / 'boss.db'}", redact=["card number"])


def what_is_stored(tmp_path) -> bytes:
    return b"".join(file.read_bytes() for file in tmp_path.glob("boss.db*") if file.is_file())


async def test_errors_results_lines_and_progress_are_masked_before_they_are_stored(boss, tmp_path):
    """A12: whichever way a body says it."""

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


# ── masked first, cut after ──────────────────────────────────────────────────────────────────────────────────────


def pieces_in(data: bytes) -> set[bytes]:
    """Four characters of the canary in a row."""
    return {CANARY[at : at + 5].encode() for at in range(len(CANARY) - 4) if CANARY[at : at + 5].encode() in data}


@pytest.mark.parametrize("limit", [500, 2_000, 16_000])
def test_a_text_that_masking_made_short_shows_no_border(limit):
    """What a loose cut leaves of a secret would come into sight where many masks stand before it."""
    raw = (f"password={CANARY * 40} " * 100)[: RAW_CHARS - 20] + f" then {CANARY[:14]}"
    masked = redaction(()).knowing([CANARY + "-and-more"]).text(raw)

    assert pieces_in(head(raw, masked, limit).encode()) == set()


def test_the_ends_of_a_long_traceback_show_no_border():
    secret = f"token='{CANARY * 500}' "
    loose = loose_ends(secret * 40)

    assert pieces_in(ends(redaction(()).text(loose)).encode()) == set()


async def test_an_error_that_shows_the_beginning_of_a_payload_gives_nothing_away(boss, tmp_path):
    """A value in a message is cut after 80 characters: what is left of a secret is found all the same."""

    @boss.worker(max_retries=0)
    def pay(card_number: str) -> None:
        raise ValueError(f"it does not accept {card_number!r:.30}…")

    @boss.worker(max_retries=0)
    def fails(token: str) -> None:
        raise KeyError({"token": token, "more": [token]})

    secret = f"{CANARY}\"it's\\long-{CANARY}"
    async with boss:
        paid = await (await pay.trigger(secret)).wait(timeout=30)
        failed = await (await fails.trigger(secret)).wait(timeout=30)

    assert paid.error.message == "it does not accept '[redacted]…"
    for run in (paid, failed):
        assert pieces_in(f"{run.error.message}{run.error.traceback}".encode()) == set()


# ── by value ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_names_patterns_and_values_are_masked(tmp_path):
    boss = Orchestrator(
        f"sqlite:///{tmp_path / 'boss.db'}",
        redact=["card number", re.compile(r"\bcust-\d{6}\b", re.IGNORECASE), SecretValue(f'{CANARY} "é"')],
    )

    @boss.worker(max_retries=0)
    async def says(ctx: Context, note: str, to: list[str]) -> dict[str, object]:
        ctx.log.info("for CUST-123456: %s", note)
        return {"card_number": "4111", "note": note}

    async with boss:
        run = await (await boss.trigger("says", {"note": f'{CANARY} "é"', "to": ["ada", "cust-123456"]})).wait(
            timeout=30
        )
        page = await boss.ask(lambda views: page_of_run(views, run.id))
        forms = [str(boss.redact_patterns), boss.definitions["says"]]

    assert run.result == b'{"card_number":"[redacted]","note":"[redacted]"}'
    assert [line.text for line in page.log] == ["for [redacted]: [redacted]"]
    assert page.run.payload == b'{"note":"[redacted]","to":["ada","[redacted]"]}'
    assert CANARY not in str(forms)
    other = Orchestrator(f"sqlite:///{tmp_path / 'boss.db'}")
    async with other.client():
        page = await other.ask(lambda views: page_of_run(views, run.id))
    assert page.run.payload == b'{"note":"[redacted]","to":["ada","[redacted]"]}'


def test_a_value_that_stands_everywhere_is_no_secret():
    for value in ("", "abc", 1234, None):
        with pytest.raises(ConfigurationError, match="at least 4 characters"):
            SecretValue(value)
    assert CANARY not in repr(SecretValue(CANARY))
    with pytest.raises(ConfigurationError, match="a pattern for bytes"):
        Orchestrator("memory:", redact=[re.compile(b"x")])
