"""A dead letter as it leaves the house: payload byte for byte, every attempt (Q2)."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from shiftboss.core.model import DeadLetter, Run
from shiftboss.core.opaque import OpaqueBytes


def entry(letter: DeadLetter, run: Run) -> dict[str, Any]:
    """Stable fields, all of them always there."""
    payload = run.payload
    sealed = isinstance(payload, OpaqueBytes)
    return {
        "run": letter.run,
        "worker": letter.worker,
        "state": letter.state,
        "cause": letter.cause,
        "error_type": letter.error_type,
        "error_message": run.error.message if run.error is not None else "",
        "entered_at": letter.entered_at,
        "created_at": run.created_at,
        "occurs_at": run.occurs_at,
        "key": run.key,
        "priority": run.priority,
        "payload_base64": None if payload is None else base64.b64encode(payload).decode(),
        "payload_sha256": None if payload is None or sealed else hashlib.sha256(payload).hexdigest(),
        "payload_text": None if sealed else _text(payload),
        "payload_encrypted": payload.why if isinstance(payload, OpaqueBytes) else None,
        "attempts": run.attempts,
    }


def _text(payload: bytes | None) -> str | None:
    try:
        return None if payload is None else payload.decode("utf-8")
    except UnicodeDecodeError:
        return None
