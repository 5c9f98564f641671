"""A process of a peer, as the harness sees it: messages in order, requests, signals.

Rules of this file
- Each message is a line of JSON with the key `what`.  All of them are kept; a wait takes the next of its kind.
- A wait ends: by the message, by the end of the process, or by its deadline; the latter two raise Failure with what the
  process wrote to stderr.
- Whoever leaves the `with` leaves no process behind.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

Message = dict[str, Any]
STOP_S = 30.0
TAIL = 3  # lines of stderr that a failure quotes


class Failure(Exception):
    """A peer did not do what was asked of it; the text says what it did instead."""


class Program:
    def __init__(self, command: Sequence[str], errors: Path, env: dict[str, str] | None = None) -> None:
        self._errors = errors
        with errors.open("ab") as stderr:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                start_new_session=True,
                env={**os.environ, **(env or {})},
                cwd=errors.parent,
            )
        self.messages: list[Message] = []
        self._taken: dict[str, int] = {}
        self._changed = threading.Condition()  # protects messages
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with suppress(ValueError):
                message = json.loads(line)
                with self._changed:
                    self.messages.append(message)
                    self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, **request: Any) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # the wait that follows says why
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()

    def hear(self, *kinds: str, within_s: float) -> Message:
        """The next message of one of *kinds* that no wait has taken yet."""
        first = max(self._taken.get(kind, 0) for kind in kinds)

        def found() -> bool:
            return any(message["what"] in kinds for message in self.messages[first:])

        if not self._wait(found, within_s):
            raise Failure(f"no {' or '.join(kinds)} {self._what_happened(within_s)}")
        at, message = next((at, m) for at, m in enumerate(self.messages[first:], first) if m["what"] in kinds)
        self._taken.update(dict.fromkeys(kinds, at + 1))
        return message

    def until(self, reached: Callable[[list[Message]], bool], within_s: float) -> bool:
        """Wait until *reached* of all messages; False when that did not come about."""
        return self._wait(lambda: reached(self.messages), within_s)

    def _wait(self, reached: Callable[[], bool], within_s: float) -> bool:
        deadline = time.monotonic() + within_s
        with self._changed:
            while not reached():
                left_s = deadline - time.monotonic()
                if left_s <= 0 or not self._listener.is_alive():
                    return reached()
                self._changed.wait(min(left_s, 0.5))
        return True

    def _what_happened(self, within_s: float) -> str:
        lines = self._errors.read_text(errors="replace").split("\n") if self._errors.exists() else []
        told = " | ".join([line.strip() for line in lines if line.strip()][-TAIL:])
        with suppress(subprocess.TimeoutExpired):  # its pipe is closed a moment before it has ended
            self._process.wait(0 if self._listener.is_alive() else 1)
        ended = self._process.poll()
        how = f"within {within_s:.0f} s" if ended is None else f"before it ended with {ended}"
        return f"{how}{': ' + told if told else ''}"

    def kill(self) -> None:
        """The process and all that it has started."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._listener.join(STOP_S)
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(BrokenPipeError):
                assert pipe is not None
                pipe.close()

    def terminate(self) -> float:
        """SIGTERM; seconds until it has ended.  After STOP_S it is killed, and the answer is infinite."""
        began = time.monotonic()
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
            return float("inf")
        took_s = time.monotonic() - began
        self.kill()  # what it left behind
        return took_s

    def finish(self) -> bool:
        """End of requests.  False: it did not end of its own accord, and was ended."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_S)
        ended = self._process.poll() is not None
        self.kill()
        return ended


@contextmanager
def a_program(command: Sequence[str], errors: Path, env: dict[str, str] | None = None) -> Iterator[Program]:
    program = Program(command, errors, env)
    try:
        yield program
    finally:
        program.kill()
