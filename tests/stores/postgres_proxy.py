"""A TCP proxy in front of a server, that can fall silent with its sockets open, or cut what it carries."""

from __future__ import annotations

import select
import socket
import threading
from contextlib import suppress
from urllib.parse import urlsplit, urlunsplit


class Proxy:
    """Forwards in both directions until it is told otherwise; `with` starts and ends it."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target = parts.hostname or "127.0.0.1", parts.port or 5432
        self._listener = socket.create_server(("127.0.0.1", 0))
        netloc = f"{parts.username}@127.0.0.1:{self._listener.getsockname()[1]}"
        self.url = urlunsplit(parts._replace(netloc=netloc))
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._to_server: set[socket.socket] = set()
        self._wake, self._woken = socket.socketpair()
        self._is_silent = False
        self._silent_after: bytes | None = None
        self._cuts_after: bytes | None = None
        self._lost_answer: bytes | None = None
        self._lost_every = 1
        self._answers = 0
        self.lost = 0  # answers that were swallowed, their connections cut
        self._is_over = False
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Proxy:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over = True
        self._wake.send(b".")
        self._thread.join()
        for each in (self._listener, self._wake, self._woken, *self._pairs):
            each.close()

    def fall_silent(self) -> None:
        """Carry nothing any more, in either direction, on old and new connections; keep all sockets open."""
        self._is_silent = True
        self._wake.send(b".")

    def fall_silent_after(self, words: bytes) -> None:
        """As soon as a client has said *words*, which still reach the server: its answer is lost."""
        self._silent_after = words

    def lose_answers(self, words: bytes, *, every: int) -> None:
        """Swallow each so-many-th answer of the server with *words* in it, and cut its connection."""
        self._lost_answer, self._lost_every = words, every

    def recover(self) -> None:
        self._is_silent = False
        self._silent_after = None
        self._lost_answer = None
        self._wake.send(b".")

    def cut(self) -> None:
        """Close all connections."""
        for each in list(self._pairs):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _run(self) -> None:
        while not self._is_over:
            watched = [self._woken] if self._is_silent else [self._woken, self._listener, *self._pairs]
            ready, _, _ = select.select(watched, [], [])
            for each in ready:
                if each is self._woken:
                    each.recv(100)
                elif each is self._listener:
                    client, _ = self._listener.accept()
                    server = socket.create_connection(self._target)
                    self._pairs[client], self._pairs[server] = server, client
                    self._to_server.add(server)
                elif each in self._pairs and not self._is_silent:
                    self._carry(each)

    def _carry(self, source: socket.socket) -> None:
        try:
            data = source.recv(1 << 16)
        except OSError:
            data = b""
        target = self._pairs.get(source)
        if self._is_lost(source, data):
            data = b""
        if not data or target is None:
            for each in (source, target):
                if each is not None:
                    self._pairs.pop(each, None)
                    self._to_server.discard(each)
                    each.close()
            return
        with suppress(OSError):
            target.sendall(data)
        if self._silent_after is not None and self._silent_after in data:
            self._is_silent = True

    def _is_lost(self, source: socket.socket, data: bytes) -> bool:
        if self._lost_answer is None or source not in self._to_server or self._lost_answer not in data:
            return False
        self._answers += 1
        is_lost = self._answers % self._lost_every == 0
        self.lost += is_lost
        return is_lost
