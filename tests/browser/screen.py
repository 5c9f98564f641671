"""What of a page reaches beyond the edge of a phone; nothing where the page as a whole does not."""

from __future__ import annotations

from playwright.sync_api import Page

from .conftest import PHONE

TOO_WIDE = """width => document.documentElement.scrollWidth <= width ? [] :
    [`the page: ${document.documentElement.scrollWidth}`, ...[...document.querySelectorAll("body *")]
        .filter(each => each.getBoundingClientRect().right > width)
        .map(each => `${each.tagName} ${each.getBoundingClientRect().right}: ${each.textContent.slice(0, 60)}`)]"""


def too_wide(page: Page) -> list[str]:
    return page.evaluate(TOO_WIDE, PHONE["width"])
