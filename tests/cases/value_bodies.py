"""Bodies whose parameters and results have types: a child imports this file, so they stand at its top."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path


class Colour(Enum):
    RED = "red"


@dataclass
class Invoice:
    at: datetime
    total: Decimal
    colour: Colour
    file: Path | None = None
    lines: tuple[tuple[int, str], ...] = ()


INVOICE = Invoice(datetime(2026, 1, 2, tzinfo=UTC), Decimal("1.10"), Colour.RED, Path("/a"), ((1, "a"), (2, "b")))
KEYED = {uuid.UUID(int=1): {3, 1, 2}}


def plain(invoice: Invoice, keyed: dict[uuid.UUID, set[int]]) -> tuple[Invoice, dict[uuid.UUID, set[int]]]:
    return invoice, keyed


async def on_a_loop(invoice: Invoice, keyed: dict[uuid.UUID, set[int]]) -> tuple[Invoice, dict[uuid.UUID, set[int]]]:
    return invoice, keyed


def says_nothing():  # what is tested: no annotation
    return INVOICE


def breaks_its_word() -> int:
    return "five"  # type: ignore[return-value]  # what is tested


def forgets() -> Invoice:  # type: ignore[return]  # what is tested
    ...


def large() -> str:
    return "x" * 100_000
