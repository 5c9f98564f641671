"""Rows as no version writes them: planted by SQL, in a file from another process, in PostgreSQL by a connection.

Rules of this file
- In a file by another process: a second SQLite in this one would drop our locks at its close.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg

# What becomes of the JSON of a row; each makes it one that cannot be read.
WRONG_TYPE, MISSING, NOT_JSON, NULL, A_LIST, CUT = "wrong type", "missing", "not json", "null", "a list", "cut"
NOT_UTF8, WITH_NUL = "not utf-8", "with nul"  # what a file can hold, and PostgreSQL cannot
EVERYWHERE = (WRONG_TYPE, MISSING, NOT_JSON, NULL, A_LIST, CUT)
IN_A_FILE = (*EVERYWHERE, NOT_UTF8, WITH_NUL)


def damaged(text: str, how: str) -> bytes:
    """*text*, the JSON of a row, made unreadable."""
    match how:
        case "wrong type":
            return json.dumps({name: [[]] for name in json.loads(text)}).encode()
        case "missing":
            return b"{}"
        case "not json":
            return b'"],[ no json at all \x01'
        case "null":
            return b"null"
        case "a list":
            return b"[1, 2]"
        case "cut":
            return text.encode()[:-1]
        case "not utf-8":
            return text.encode().replace(b'"', b'"\xff', 1)
        case _:
            return text.encode().replace(b'"', b'"\x00', 1)


SCRIPT = """
import apsw, json, sys
for line in sys.stdin:
    path, statements = json.loads(line)
    connection, found = apsw.Connection(path), []
    connection.set_busy_timeout(10_000)
    for statement, values in statements:
        values = [bytes.fromhex(v["hex"]) if isinstance(v, dict) else v for v in values]
        found += connection.execute(statement, values).fetchall()
    connection.close()
    print(json.dumps(found), flush=True)
"""


class OtherProcess:
    """Carries out statements on files."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __call__(self, path: Path, *statements: tuple[str, tuple[Any, ...]]) -> list[Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        asked = json.dumps([str(path), statements], default=lambda raw: {"hex": raw.hex()})
        self._process.stdin.write(asked + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        self._process.communicate()


def in_postgres(url: str, schema: str, *statements: tuple[str, tuple[Any, ...]]) -> list[Any]:
    found: list[Any] = []
    with psycopg.connect(url) as connection:
        connection.execute(f'SET search_path = "{schema}"'.encode())
        for statement, values in statements:
            cursor = connection.execute(statement.replace("?", "%s").encode(), values)
            found += cursor.fetchall() if cursor.description is not None else []
    return found
