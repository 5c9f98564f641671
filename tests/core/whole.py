"""Values with all their fields, one a line: what tests compare that look for what nobody thought of.

A field that has its default is not shown; the day is left out of instants.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec


class Whole:
    """Scenarios, and the file in which stands what comes of them."""

    def __init__(self, file: Path, scenarios: Mapping[str, Callable[[], Iterable[tuple[str, Any]]]]) -> None:
        self.file = file
        self.scenarios = scenarios

    def made(self, name: str) -> str:
        return "\n".join([f"{name}:", *(f"  {kind}: {_text(value)}" for kind, value in self.scenarios[name]())])

    def written(self) -> dict[str, str]:
        parts = self.file.read_text(encoding="utf-8").strip().split("\n\n")
        return {part.partition("\n")[0].removesuffix(":"): part for part in parts}

    def write(self) -> None:
        self.file.write_text("\n\n".join(self.made(name) for name in self.scenarios) + "\n", encoding="utf-8")
        print(f"{self.file.name}: written; read the difference", file=sys.stderr)


def _text(value: Any) -> str:
    text = msgspec.json.encode(value, order="sorted").decode()
    return re.sub(r"2026-06-01T([\d:.]+)Z", r"\1", text)
