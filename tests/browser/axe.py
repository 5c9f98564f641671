"""What axe-core finds on a page (WCAG 2.2 AA and good practice), each finding as a line."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from playwright.sync_api import Page

SCRIPT = Path(__file__).resolve().parents[2] / "dashboard/node_modules/axe-core/axe.min.js"
OF_COLOURS = ("color-contrast", "link-in-text-block")  # the rules that another theme may break
RUN = """async (rules) => {
  const runOnly = rules.length ? { runOnly: { type: "rule", values: rules } } : {};
  const found = await axe.run(document, { resultTypes: ["violations"], ...runOnly });
  const said = (rule, node) => `${rule.id}: ${node.target.join(" ")}: ${node.failureSummary}`;
  return found.violations.flatMap((rule) => rule.nodes.map((node) => said(rule, node)));
}"""


@lru_cache(maxsize=1)
def _source() -> str:
    return SCRIPT.read_text(encoding="utf-8")


def findings(page: Page, *, rules: tuple[str, ...] = ()) -> list[str]:
    """By all rules, or by these only."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(_source())
    return page.evaluate(RUN, rules)
