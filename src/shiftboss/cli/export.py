"""A dead letter as it is exported: its payload, byte for byte if it holds no secret, and every attempt (Q2)."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from shiftboss.core.model import DeadLetter, Run
from shiftboss.core.opaque import OpaqueBytes


def entry(letter: DeadLetter, run: Run, shown: bytes | None) -> dict[str, Any]:
    """Stable fields, always all present.  *shown*: the payload as it may be seen; a masked payload is exported without
    its bytes, because a run with them would run with the masks.
    """
    payload = run.payload
    sealed = isinstance(payload, OpaqueBytes)
    masked = shown != payload
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
        "payload_base64": None if payload is None or masked else base64.b64encode(payload).decode(),
        "payload_sha256": None if payload is None or sealed else hashlib.sha256(payload).hexdigest(),
        "payload_text": None if sealed else _text(shown),
        "payload_masked": masked,
        "payload_encrypted": payload.why if isinstance(payload, OpaqueBytes) else None,
        "attempts": run.attempts,
    }


def _text(payload: bytes | None) -> str | None:
    try:
        return None if payload is None else payload.decode("utf-8")
    except UnicodeDecodeError:
        return None
