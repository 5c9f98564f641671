"""The rules and the dashboard in examples/monitoring ask for what /metrics gives; that keeps to conventions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import promql_parser as promql
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from shiftboss.core.health import Health
from shiftboss.core.model import BreakerMode, Cause, Status
from shiftboss.web.application import Application

from .conftest import BASE, PATIENCE_S, a_shop, open_authenticator

HERE = Path(__file__).parents[2] / "examples" / "monitoring"
FROM_PROMETHEUS = {"instance", "job"}  # labels that every scraped series has
OF_ONE_PROCESS = {
    "shiftboss_build_info",
    "shiftboss_store_up",
    "shiftboss_store_contact_age_seconds",
    "shiftboss_store_log_bytes",
}
LABELS = {"worker", "node", "outcome", "health", "state", "version", "le"}
WORDS = {
    "outcome": {*map(str, Status), *map(str, Cause)},
    "health": set(map(str, Health)),
    "state": set(map(str, BreakerMode)),
}
MAX_SERIES_OF_A_WORKER = 8 + len(Health) + len(BreakerMode) + len(Status) + len(Cause) + 2 * 14


@pytest.fixture(scope="module")
def alerts() -> list[dict]:
    return [rule for group in yaml.safe_load((HERE / "alerts.yml").read_text())["groups"] for rule in group["rules"]]


@pytest.fixture(scope="module")
def panels() -> list[dict]:
    return json.loads((HERE / "dashboard.json").read_text())["panels"]


async def scraped() -> str:
    boss = a_shop("memory:")
    app = Application(boss, open_authenticator())
    async with boss, httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE) as http:
        for to in ("ada", "broken"):
            await (await boss.trigger("send", {"to": to})).wait(timeout=PATIENCE_S)
        await (await boss.trigger("fetch")).wait(timeout=PATIENCE_S)  # a last success
        return (await http.get("/metrics")).text


def labels_of(text: str) -> dict[str, set[str]]:
    """Name of a series → its labels."""
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def parts(expression) -> Iterator:
    """An expression and everything within it."""
    yield expression
    match expression:
        case promql.BinaryExpr():
            inner = [expression.lhs, expression.rhs]
        case promql.Call():
            inner = list(expression.args)
        case promql.MatrixSelector():
            inner = [expression.vector_selector]
        case promql.AggregateExpr() | promql.ParenExpr() | promql.UnaryExpr() | promql.SubqueryExpr():
            inner = [expression.expr]
        case _:
            inner = []
    for each in inner:
        yield from parts(each)


def expressions_of(panels: list[dict]) -> list[str]:
    """As Grafana would send them."""
    found = [target["expr"] for panel in panels for target in panel.get("targets", ())]
    return [expression.replace("$__rate_interval", "1m").replace("$worker", ".*") for expression in found]


async def test_every_rule_and_panel_asks_for_series_that_are_there(alerts, panels):
    told = labels_of(await scraped())
    for text in [*(rule["expr"] for rule in alerts), *expressions_of(panels)]:
        names = set()
        grouped = set()
        for part in parts(promql.parse(text)):
            if isinstance(part, promql.VectorSelector):
                assert part.name in told, text
                names |= told[part.name]
                for matcher in part.matchers.matchers:
                    assert matcher.name in told[part.name], text
                    wanted = set(matcher.value.split("|")) - {".*"}
                    assert wanted <= WORDS.get(matcher.name, set()), text
            elif isinstance(part, promql.AggregateExpr) and part.modifier is not None:
                grouped |= set(part.modifier.labels)

        assert grouped <= names | FROM_PROMETHEUS, text


async def test_what_every_node_says_alike_is_not_added_up(alerts, panels):
    """A gauge about the fleet is the same from each node: summed over instances it would be told once for each."""
    gauges = {family.name for family in text_string_to_metric_families(await scraped()) if family.type == "gauge"}
    for text in [*(rule["expr"] for rule in alerts), *expressions_of(panels)]:
        for part in parts(promql.parse(text)):
            if isinstance(part, promql.AggregateExpr) and isinstance(part.expr, promql.VectorSelector):
                is_one_for_all = part.expr.name in gauges - OF_ONE_PROCESS
                assert not is_one_for_all or str(part.op) == "max", text


def test_every_alert_says_how_grave_it_is_what_is_wrong_and_what_to_do(alerts):
    assert len({rule["alert"] for rule in alerts}) == len(alerts) > 10
    for rule in alerts:
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert set(rule["annotations"]) == {"summary", "description"}
        assert re.fullmatch(r"\d+[mh]", rule.get("for", "1m"))
        used = set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"])))
        (kept,) = {frozenset(part.modifier.labels) for part in outermost(promql.parse(rule["expr"]))} or {frozenset()}
        assert used <= kept, rule["alert"]


def outermost(expression) -> list:
    """The aggregations whose labels the alert has."""
    while isinstance(expression, promql.BinaryExpr):
        expression = expression.lhs
    if isinstance(expression, promql.Call):
        expression = expression.args[-1]
    return [expression] if isinstance(expression, promql.AggregateExpr) and expression.modifier is not None else []


def test_panels_have_a_place_of_their_own_and_say_what_they_show(panels):
    taken = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {(place["x"] + dx, place["y"] + dy) for dx in range(place["w"]) for dy in range(place["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells
        assert panel["type"] == "row" or panel["description"]
        assert panel["type"] == "row" or panel["targets"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert max(x for x, _ in taken) < 24


async def test_the_text_keeps_to_the_conventions():
    text = await scraped()
    families = list(text_string_to_metric_families(text))

    assert text.count("# HELP ") == text.count("# TYPE ") == len(families) == len({f.name for f in families})
    for family in families:
        assert re.fullmatch(r"shiftboss(_[a-z]+)+", family.name)
        assert family.documentation.endswith("."), family.name
        names = {sample.name.removeprefix(family.name) for sample in family.samples}
        match family.type:
            case "counter":
                assert names <= {"_total"}
            case "histogram":
                assert names <= {"_bucket", "_sum", "_count"}
                assert {"le": "+Inf"}.items() <= family.samples[-3].labels.items()
                assert family.name.endswith("_seconds")
            case kind:
                assert (kind, names) == ("gauge", {""})
                assert not family.name.endswith(("_total", "_count", "_sum", "_bucket"))


async def test_the_reference_lists_every_metric_with_its_kind_and_labels():
    page = (HERE.parents[1] / "docs" / "reference" / "metrics.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (\w+)[^|]* \| ([^|]*) \|", page, re.MULTILINE)
    families = list(text_string_to_metric_families(await scraped()))

    assert {(name.removesuffix("_total"), kind) for name, kind, _ in rows} == {(f.name, f.type) for f in families}
    told = {family.name: set().union(*(sample.labels for sample in family.samples)) - {"le"} for family in families}
    said = {name.removesuffix("_total"): set(re.findall(r"`(\w+)`", labels)) for name, _, labels in rows}
    assert said == told


async def test_labels_are_names_and_closed_vocabularies_and_a_worker_has_a_bounded_number_of_series():
    series = [sample for family in text_string_to_metric_families(await scraped()) for sample in family.samples]

    assert {label for sample in series for label in sample.labels} == LABELS
    for sample in series:
        for label, words in WORDS.items():
            assert sample.labels.get(label, next(iter(words))) in words
    assert sum(sample.labels.get("worker") == "send" for sample in series) < MAX_SERIES_OF_A_WORKER
