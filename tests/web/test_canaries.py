"""A12: secrets of every kind put through a system, and looked for on every face of it: they stand nowhere.

Rules of this file
- Faces are walked, not listed: each GET of the OpenAPI document, each command that is not known to change something.
  What is added there is swept here.
- What a face shows is looked at as it leaves the process, in each spelling; of each secret the middle alone.
- The last test leaves one mistake in the world and sees it on every face that could show it.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import click
import httpx
import psycopg
import pytest
from canary_bodies import CANARIES, LEAKS, REASON, a_payload, declared, streamed
from click.testing import CliRunner
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from psycopg import sql

from shiftboss import Orchestrator, Run
from shiftboss.cli.root import root
from shiftboss.cli.run_output import JsonLines, PlainLines, TerminalLines
from shiftboss.codec import AesGcmCodec, new_key
from shiftboss.context import RunFilter
from shiftboss.core.value import replace

from .conftest import SAME_ORIGIN, Gathered, Served, Sse, serving

PATIENCE_S = 60
MIDDLE = {kind: canary.removeprefix("ghp_").removeprefix("cust-")[:12] for kind, canary in CANARIES.items()}
KEY = new_key()
ACTS = {
    "run", "dev", "web", "demo", "trigger", "cancel", "enable", "disable", "pause", "resume", "forget", "drain",
    "prefer", "dead replay",
    "dead resolve", "dead discard", "migrate", "prune", "token new", "token remove",
}  # fmt: skip
WORKERS = ("loop", "loop-dies", "thread", "thread-dies", "child", "child-dies", "program", "program-dies", "hourly")
COULD_SHOW_IT = (
    "library", "stream", "stream of a run", "log: text", "log: terminal", "log: json", "spans", "GET api/v1/status",
    "GET api/v1/activity", "GET api/v1/timeline", "GET api/v1/workers", "GET api/v1/workers/thread-dies",
    "GET api/v1/runs", "GET api/v1/runs/2", "GET api/v1/runs/2/log", "GET api/v1/dead-letters/3",
    "$ shiftboss status", "$ shiftboss show", "$ shiftboss runs", "$ shiftboss logs", "$ shiftboss dead show",
    "$ shiftboss dead export",
)  # fmt: skip
APP = Path(__file__).parents[1] / "cases" / "canary_app.py"


class World(NamedTuple):
    """What was seen of a system: face → what it showed.  And where it lies."""

    faces: dict[str, str]
    url: str


def spellings(secret: str) -> Iterator[str]:
    """Plain, in hexadecimal, in base64 at each of its three offsets."""
    plain = secret.encode()
    yield secret
    yield plain.hex()
    for offset in range(3):
        yield base64.b64encode(b"x" * offset + plain)[offset and 4 : -4].decode()


def found_in(text: str) -> set[str]:
    """The kinds of secrets that stand there."""
    return {kind for kind, middle in MIDDLE.items() if any(each in text for each in spellings(middle))}


def leaks(faces: dict[str, str]) -> dict[str, set[str]]:
    return {face: found for face, text in faces.items() if (found := found_in(text))}


@pytest.fixture(scope="module")
def spans() -> Iterator[InMemorySpanExporter]:
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trace, "_TRACER_PROVIDER", provider)
        yield kept
    provider.shutdown()


@pytest.fixture
def look(tmp_path, spans, monkeypatch, request):
    """Make a system on that store, put secrets through it, and look at all of its faces."""

    def look(store: str, codec: AesGcmCodec | None) -> World:
        url = f"sqlite:///{tmp_path / 'boss.db'}" if store == "sqlite" else request.getfixturevalue("place").url
        monkeypatch.setenv("CANARY_STORE", url)
        monkeypatch.setenv("COLUMNS", "4000")
        if codec is not None:
            monkeypatch.setenv("CANARY_KEY", KEY)
        spans.clear()
        streamed.clear()
        faces: dict[str, str] = {}
        with logged() as logs:
            runs = put_through(declared(url, codec), faces)
        faces |= {f"log: {name}": stream.getvalue() for name, stream in logs.items()}
        faces["spans"] = "\n".join(span.to_json() for span in spans.get_finished_spans())
        faces |= commands(url, runs)
        return World(faces, url)

    return look


@contextmanager
def logged() -> Iterator[dict[str, io.StringIO]]:
    """What `shiftboss run` would write, in each of its forms."""
    forms = {"text": PlainLines(), "terminal": TerminalLines(12), "json": JsonLines()}
    streams = {name: io.StringIO() for name in forms}
    logger = logging.getLogger()
    level, handlers = logger.level, []
    for name, form in forms.items():
        handler = logging.StreamHandler(streams[name])
        handler.addFilter(RunFilter())
        handler.setFormatter(form)
        handlers.append(handler)
        logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield streams
    finally:
        logger.setLevel(level)
        for handler in handlers:
            logger.removeHandler(handler)


def put_through(boss: Orchestrator, faces: dict[str, str]) -> dict[str, int]:
    """The ids of the runs, by their workers."""
    with (
        serving(boss) as address,
        httpx.Client(base_url=address.url, headers=SAME_ORIGIN, timeout=PATIENCE_S) as client,
    ):
        assert client.post("api/v1/session", json={"token": address.token}).status_code == 204
        with Sse(address, "status,event,run") as stream:
            stream.until("hello")
            all_frames = Gathered(stream)
            first = boss.sync.trigger("loop", a_payload())
            with Sse(address, "log,run", run=first.id) as log:
                log.until("hello")
                of_the_run = Gathered(log)
                streamed.set()
                runs = {
                    name: boss.sync.trigger(name, a_payload(known="program" not in name)).id for name in WORKERS[1:-1]
                } | {"loop": first.id}
                ended = [boss.sync.wait_for(run, timeout=PATIENCE_S) for run in runs.values()]
                act(boss, client, runs)
                faces["library"] = str([run_without_payload(run) for run in ended])
                faces["library: audit, status"] = f"{boss.sync.audit()} {boss.sync.status()}"
                faces |= answers(client, runs)
                boss.sync.stop()
                faces["stream of a run"] = json.dumps(of_the_run.join())
            faces["stream"] = json.dumps(all_frames.join())
    return runs


def a_client(address: Served) -> httpx.Client:
    return httpx.Client(base_url=address.url, headers=SAME_ORIGIN, timeout=PATIENCE_S)


def run_without_payload(run: Run) -> str:
    """The library gives a payload as it is."""
    return str(replace(run, payload=None))


def act(boss: Orchestrator, client: httpx.Client, runs: dict[str, int]) -> None:
    """As people do, with reasons that say too much."""

    def post(path: str, **body: Any) -> Any:
        answer = client.post(f"api/v1/{path}", json=body)
        assert answer.is_success, answer.text
        return answer.json()

    late = post("workers/loop/trigger", payload=a_payload(known=False), delay=3600)["run"]
    post(f"runs/{late}/cancel", reason=REASON)
    runs["waits"] = post("workers/child/trigger", payload=a_payload(known=False), delay=3600)["run"]
    post("workers/program/disable", reason=REASON)
    post(f"dead-letters/{runs['loop-dies']}/resolve", note=REASON)
    runs["again"] = post(f"dead-letters/{runs['child-dies']}/replay", delay=3600)["run"]
    boss.sync.record("deploy", before=REASON, after=REASON)


def answers(client: httpx.Client, runs: dict[str, int]) -> dict[str, str]:
    """Of every GET that the server describes, for every run and worker; and of what stands beside the API."""
    described = client.get("api/v1/openapi.json").json()["paths"]
    paths = ["metrics", "healthz", "readyz", "livez", ""]
    for path, methods in described.items():
        if "get" in methods and path != "/events":  # the stream has faces of its own
            paths += [
                f"api/v1{path}".format(run=run, worker=worker)
                for run in (runs.values() if "{run}" in path else (0,))
                for worker in (WORKERS if "{worker}" in path else ("",))
            ]
    found = {path: client.get(path) for path in dict.fromkeys(paths)}
    refused = {path for path, answer in found.items() if not answer.is_success}
    assert all(path.startswith("api/v1/dead-letters/") for path in refused), refused  # which are only some of them
    return {f"GET {path}": f"{answer.headers} {answer.text}" for path, answer in found.items()}


def commands(url: str, runs: dict[str, int]) -> dict[str, str]:
    """What each command that reads says, as text and as JSON, with the application and by the store alone."""
    said = {}
    for words, command in leaves(root, ()):
        if " ".join(words) in ACTS:
            continue
        for arguments in arguments_of(command, runs):
            for how in ways(command, url):
                line = (*words, *arguments, *how)
                result = CliRunner().invoke(root, line, prog_name="shiftboss")
                assert result.exit_code in (0, 1, 3, 4), (line, result.output)
                said[f"$ shiftboss {' '.join(line)}"] = result.output
    return said


def ways(command: click.Command, url: str) -> Iterator[tuple[str, ...]]:
    """By the store alone, with the application, as JSON."""
    options = {param.name for param in command.params}
    store = ("--store", url) if "store" in options else ()
    with_app = ("--app", f"{APP}:boss") if store else ()
    yield store
    if with_app:
        yield (*store, *with_app)
    if "as_json" in options:
        yield (*store, *with_app, "--json")


def leaves(command: click.Command, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    if not isinstance(command, click.Group):
        yield path, command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        yield from leaves(command.get_command(context, name), (*path, name))


def arguments_of(command: click.Command, runs: dict[str, int]) -> list[tuple[str, ...]]:
    """What there is to ask it about."""
    names = [param.human_readable_name for param in command.params if isinstance(param, click.Argument)]
    match names:
        case [] if command.name == "probe":
            return [("--pid", str(os.getpid()))]
        case []:
            return [()]
        case ["NAME|RUN"]:
            return [
                (each,) for each in ("thread-dies", *(str(runs[name]) for name in ("child", "child-dies", "waits")))
            ]
        case ["RUN"]:
            return [(str(runs[name]),) for name in runs if name.endswith("-dies")]
        case ["NAME"] | ["[NAME]"]:
            return [("hourly",)]
        case ["[NAME]..."]:
            return [(), ("thread-dies",)]
        case ["[APP]"]:
            return [(f"{APP}:boss",)]
        case ["SHELL"]:
            return [("bash",)]
    raise AssertionError(f"a command that reads takes {names}: say here what it is asked about")


# ── what lies there ──────────────────────────────────────────────────────────────────────────────────────────────


def columns(url: str) -> dict[str, str]:
    """What lies in each column, bytes as text."""
    found: dict[str, list[str]] = {}
    for table, names, rows in tables(url):
        for row in rows:
            for name, value in zip(names, row, strict=True):
                text = bytes(value).decode("utf-8", "replace") if isinstance(value, bytes | memoryview) else str(value)
                found.setdefault(f"{table}.{name}", []).append(text)
    return {column: "\n".join(texts) for column, texts in found.items()}


def tables(url: str) -> Iterator[tuple[str, list[str], list[Any]]]:
    if url.startswith("sqlite"):
        with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as db:
            for (table,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
                rows = db.execute(f'SELECT * FROM "{table}"')  # noqa: S608  # a name of the schema
                yield table, [each[0] for each in rows.description], rows.fetchall()
        return
    server, _, schema = url.partition("?schema=")
    with psycopg.connect(server) as db:
        named = db.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", (schema,)).fetchall()
        for (table,) in named:
            rows = db.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(schema, table)))
            yield table, [each.name for each in rows.description or ()], rows.fetchall()


def payloads(url: str) -> list[bytes]:
    """As they lie there: as they were sent."""
    (columns_and_rows,) = ((names, rows) for table, names, rows in tables(url) if table == "payload")
    names, rows = columns_and_rows
    return [row[names.index("bytes")] for row in rows]


def raw(url: str) -> bytes:
    """The file, and all that lies beside it."""
    file = Path(url.removeprefix("sqlite:///"))
    return b"\n".join(each.read_bytes() for each in sorted(file.parent.rglob("*")) if each.is_file())


# ── tests ────────────────────────────────────────────────────────────────────────────────────────────────────────


PLAIN, ENCRYPTED = None, AesGcmCodec({"k1": KEY})


@pytest.mark.parametrize(
    ("store", "codec"),
    [
        pytest.param("sqlite", PLAIN, id="sqlite-plain"),
        pytest.param("postgres", ENCRYPTED, id="postgres-encrypted"),
        pytest.param("sqlite", ENCRYPTED, id="sqlite-encrypted", marks=pytest.mark.cases),
        pytest.param("postgres", PLAIN, id="postgres-plain", marks=pytest.mark.cases),
    ],
)
def test_no_secret_stands_on_any_face_nor_in_the_store_but_where_it_must(look, store, codec):
    """A12: whoever says it, and whoever looks; a payload is stored as it must be to run (E1: unless it is encoded)."""
    world = look(store, codec)

    assert leaks(world.faces) == {}
    lie = leaks(columns(world.url))
    assert lie.keys() == (set() if codec else {"payload.bytes"})
    if store == "sqlite":
        file = raw(world.url)
        for payload in payloads(world.url):
            file = file.replace(payload, b"")
        assert found_in(file.decode("latin-1")) == set()


def test_a_secret_that_is_not_masked_is_seen_on_every_face_that_could_show_it(look, monkeypatch):
    """Or the test above would say nothing: bodies forget `ctx.mask`."""
    monkeypatch.setenv(LEAKS, "1")
    faces = leaks(look("sqlite", None).faces)

    assert set().union(*faces.values()) == {"by ctx.mask, of the payload", "by ctx.mask, fetched"}
    assert [face for face in COULD_SHOW_IT if not any(face in each for each in faces)] == []
