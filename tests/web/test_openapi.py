"""The document is true: it has every operation, and every answer is as it says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shiftboss.web import frames
from shiftboss.web.openapi import document
from shiftboss.web.table import OPERATIONS

from .conftest import started

SCHEMAS = document()["components"]["schemas"]


def refs(value: Any):
    match value:
        case {"$ref": str(ref)}:
            yield ref
        case dict():
            for each in value.values():
                yield from refs(each)
        case list():
            for each in value:
                yield from refs(each)


def test_everything_that_it_refers_to_is_there():
    assert {ref.rpartition("/")[2] for ref in refs(document())} <= SCHEMAS.keys()


def test_it_has_every_operation_once_with_its_role():
    told = {
        (method.upper(), path): operation["x-role"]
        for path, methods in document()["paths"].items()
        for method, operation in methods.items()
    }
    ids = [operation["operationId"] for methods in document()["paths"].values() for operation in methods.values()]

    assert told == {(o.method, o.path): None if o.role is None else o.role.name.lower() for o in OPERATIONS}
    assert len(ids) == len(set(ids))


def test_every_operation_and_every_type_says_what_it_is():
    assert [operation.id for operation in OPERATIONS if len(operation.summary) < 10] == []
    assert all(name in SCHEMAS for name in (kind.__name__ for kind in frames.STREAMED.values()) if name != "Event")


def fits(value: Any, schema: dict[str, Any], where: str = "$") -> None:
    """*value* is what *schema* says: every property there, none beside, types and words as told."""
    if "$ref" in schema:
        fits(value, SCHEMAS[schema["$ref"].rpartition("/")[2]], where)
    elif "anyOf" in schema:
        problems = []
        for option in schema["anyOf"]:
            try:
                return fits(value, option, where)
            except AssertionError as problem:
                problems.append(str(problem))
        raise AssertionError(f"{where}: {problems}")
    elif "enum" in schema:
        assert value in schema["enum"], f"{where}: {value!r} is none of {schema['enum']}"
    else:
        fits_type(value, schema, where)
    return None


def fits_type(value: Any, schema: dict[str, Any], where: str) -> None:
    kinds = {
        "object": dict, "array": list, "string": str, "integer": int, "number": (int, float), "boolean": bool,
        "null": type(None),
    }  # fmt: skip
    kind = schema.get("type")
    if kind is None:
        return
    assert isinstance(value, kinds[kind]), f"{where}: {value!r} is no {kind}"
    if kind == "array":
        for number, each in enumerate(value):
            fits(each, schema.get("items", {}), f"{where}[{number}]")
    if kind == "object":
        properties = schema.get("properties", {})
        assert set(schema.get("required", ())) <= value.keys(), (
            f"{where}: lacks {set(schema['required']) - value.keys()}"
        )
        if "additionalProperties" not in schema and properties:
            assert value.keys() <= properties.keys(), f"{where}: has {value.keys() - properties.keys()} beside"
        for name, each in value.items():
            fits(each, properties.get(name, {}), f"{where}.{name}")


@pytest.fixture
async def api(shop):
    async with started(shop) as api:
        for to in ("ada", "broken"):
            run = await api.post("/workers/send/trigger", 202, payload={"to": to, "password": "x"})
            await shop.wait_for(run["run"], timeout=30)
        await api.post("/workers/pick/trigger", 202, delay=3600, payload={"parcels": 1})
        await api.post("/workers/tidy/disable", reason="moving house")
        api.dead = run["run"]
        yield api


@pytest.mark.parametrize(
    "operation", [each for each in OPERATIONS if each.method == "GET" and each.id != "events"], ids=lambda each: each.id
)
async def test_an_answer_is_as_the_document_says(api, operation):
    until = (datetime.now(UTC) + timedelta(hours=2)).isoformat()
    query = {"until": until} if operation.id == "timeline" else {}
    path = operation.path.format(worker="send" if operation.id != "worker" else "tidy", run=api.dead)

    found = await api.get(path, **query)

    told = document()["paths"][operation.path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    fits(found, told)


@pytest.mark.parametrize(
    ("path", "told", "body"),
    [
        ("/workers/pick/trigger", "Accepted", {}),
        ("/workers/pick/disable", "Switched", {}),
        ("/dead-letters/{run}/resolve", "DeadLetter", {"note": "x"}),
        ("/dead-letters/resolve", "Done", {"filter": {}, "dry_run": True}),
    ],
)
async def test_what_is_done_answers_as_the_document_says(api, path, told, body):
    found = await api.http.post(
        f"/api/v1{path.format(run=api.dead)}", json=body, headers={"sec-fetch-site": "same-origin"}
    )

    fits(found.json(), SCHEMAS[told])
