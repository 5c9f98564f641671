"""Serves the application alone: with uvicorn, in a thread and on a loop of its own in the node's process.

Rules of this file
- A function that blocks the node's loop does not block the dashboard, which shows that; a slow page delays no function.
- The thread is a daemon without signal handlers: nothing here can keep the process from ending, and a stop has a bound.
- Connections have deadlines and a bound (`connection.py`): a client that sends or reads nothing keeps nobody out.
- Every address has a credential (authenticators.py).  Without one, or if the port is taken, nothing starts.
"""

from __future__ import annotations

import errno
import re
import socket
import threading
from functools import partial
from typing import NamedTuple

import uvicorn

from shiftboss.app.orchestrator import Orchestrator
from shiftboss.clock import SystemClock
from shiftboss.errors import ConfigurationError
from shiftboss.web import authenticators
from shiftboss.web.application import Application
from shiftboss.web.connection import MAX_HEADER_BYTES, ClientConnection
from shiftboss.web.log_throttle import LogThrottle

DEFAULT_PORT = 8420
STOP_WITHIN_S = 3.0
GRACE_S = 2  # for answers in progress; streams are ended first
MAX_CONNECTIONS = 500  # each is a socket and a task; fewer if the process may open few files
BACKLOG = 128  # accepted at a time, before others are closed for them
SEND_BUFFER_BYTES = 128 * 1024  # in the kernel: otherwise up to 4 MB for each client that does not read
RECEIVE_BUFFER_BYTES = 32 * 1024  # also the most that is read at a time: so much of an unwanted body is in memory
ADDRESS = re.compile(
    r"(?:(?P<host>\[[0-9a-fA-F:.]+\]|[^:\s\[\]]+)?:)?(?P<port>\d{1,5})|(?P<alone>\[[0-9a-fA-F:.]+\]|[^:\s]+)"
)


class ListenAddress(NamedTuple):
    host: str
    port: int

    @property
    def url(self) -> str:
        return f"http://{self}/"

    def __str__(self) -> str:
        return f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


DEFAULT = ListenAddress("127.0.0.1", DEFAULT_PORT)


def address_of(text: str) -> ListenAddress:
    """ "8420", ":8420", "HOST", "HOST:PORT", "[::1]:8420".  Raises ConfigurationError."""
    match = ADDRESS.fullmatch(text.strip())
    if match is None or int(match["port"] or 0) > 65_535:
        raise ConfigurationError(
            f"{text!r} is not an address; write it like 127.0.0.1:{DEFAULT_PORT} or [::1]:{DEFAULT_PORT}"
        )
    host = (match["host"] or match["alone"] or DEFAULT.host).strip("[]")
    return ListenAddress(host, int(match["port"] or DEFAULT_PORT))


def free_address(address: ListenAddress, *, or_any: bool) -> ListenAddress:
    """An address that can be listened on now, with its port; *or_any*: if that port is taken, any other.

    Raises ConfigurationError.
    """
    with _listening(address, or_free=or_any) as listening:
        return address._replace(port=listening.getsockname()[1])


class Server:
    """Listens as soon as it is made; answers from `start` on."""

    def __init__(
        self,
        boss: Orchestrator,
        address: ListenAddress,
        *,
        or_free: bool = False,
        options: authenticators.Options = authenticators.DEFAULT,
    ) -> None:
        """*or_free*: if the port is taken, use any other.  Raises ConfigurationError."""
        authenticators.check_address(address.host, boss, options)
        self._socket = _listening(address, or_free=or_free)
        try:
            self._authenticator, self.token_file = authenticators.alone(address.host, boss, options)
            self._app = Application(boss, self._authenticator, options.proxies())
        except BaseException:
            self._socket.close()
            raise
        host, port = self._socket.getsockname()[:2]
        self.address = ListenAddress(address.host if address.host == "localhost" else host, port)
        config = uvicorn.Config(
            self._app,
            lifespan="off",
            ws="none",
            log_config=None,
            log_level="warning",
            access_log=False,
            proxy_headers=False,  # it would trust every client on this machine; proxy.py does it
            server_header=False,
            http=partial(ClientConnection, most=_most_connections(), throttle=LogThrottle(SystemClock())),  # type: ignore[arg-type]  # it is called
            h11_max_incomplete_event_size=MAX_HEADER_BYTES,
            backlog=BACKLOG,
            timeout_graceful_shutdown=GRACE_S,
        )
        self._code = ""
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, args=([self._socket],), name="shiftboss-http", daemon=True
        )

        self._reading_ahead = threading.Thread(target=self._app.read_ahead, name="shiftboss-read-ahead", daemon=True)

    def start(self) -> None:
        """To be called once the orchestrator is started."""
        self._thread.start()
        self._reading_ahead.start()

    def login_link(self) -> str:
        """The page's address with a code that logs in once; the address alone if no token gives full access.

        The same link as before while it can be used.
        """
        if self._authenticator.own is None:
            return self.address.url
        if not self._authenticator.codes.holds(self._code):
            self._code = self._authenticator.codes.new()
        return f"{self.address.url}#code={self._code}"

    def stop(self) -> None:
        """End streams, then answers in progress, then the rest.  A server that never started only gives up its port."""
        if self._thread.is_alive():
            self._app.end_streams()
            self._server.should_exit = True
            self._thread.join(STOP_WITHIN_S)
            self._server.force_exit = True
        self._socket.close()


def _most_connections() -> int:
    """At most half of the files that this process may open: the store and the host need some as well."""
    try:
        import resource
    except ImportError:  # Windows
        return MAX_CONNECTIONS
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MAX_CONNECTIONS if files == resource.RLIM_INFINITY else max(16, min(MAX_CONNECTIONS, files // 2))


def _listening(address: ListenAddress, *, or_free: bool) -> socket.socket:
    try:
        return _bound(address)
    except OSError as error:
        if or_free and error.errno == errno.EADDRINUSE:
            return _listening(address._replace(port=0), or_free=False)
        remedy = "give another one, as in --http 127.0.0.1:0 for any free port"
        raise ConfigurationError(f"cannot listen on {address.host}:{address.port} ({error}); {remedy}") from error


def _bound(address: ListenAddress) -> socket.socket:
    family, kind, protocol, _, place = socket.getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # accepted sockets inherit both
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        listening.bind(place)
        listening.listen(BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening
