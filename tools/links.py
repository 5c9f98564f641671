"""Do the documents' links lead somewhere?

Rules of this file
- Only what lies in the tree is followed: files, folders, headings.  Addresses of the web are not asked for.
- An anchor is made from a heading as GitHub makes it.
- A page of docs/ that no other page links to is an error too: nobody would find it.
"""

from __future__ import annotations

import re
import sys
from functools import cache
from pathlib import Path
from urllib.parse import unquote

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"!?\[[^\]]*\]\(([^()\s]+(?:\([^()]*\))?)\)")
FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]*`")
ELSEWHERE = ("http://", "https://", "mailto:")


def main() -> None:
    pages = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
    wrong: list[str] = []
    linked: set[Path] = set()
    for page in pages:
        for target in links(page):
            fault, found = follow(page, target)
            if fault:
                wrong.append(f"{page.relative_to(ROOT)}: {target}: {fault}")
            elif found is not None and found != page:
                linked.add(found)
    wrong += [f"{page.relative_to(ROOT)}: no page links to it" for page in pages if is_lost(page, linked)]
    if wrong:
        sys.exit("\n".join(wrong))
    print(f"links: {len(pages)} pages, every relative link leads somewhere")


def links(page: Path) -> list[str]:
    text = CODE.sub("", FENCE.sub("", page.read_text(encoding="utf-8")))
    return [target for target in LINK.findall(text) if not target.startswith(ELSEWHERE)]


def follow(page: Path, target: str) -> tuple[str, Path | None]:
    """What is wrong with *target*, and the file it means."""
    address, _, anchor = target.partition("#")
    path = page if not address else (page.parent / unquote(address)).resolve()
    if not path.exists():
        return "there is no such file", None
    if ROOT not in path.parents and path != ROOT:
        return "it leads out of the tree", None
    if anchor and (path.suffix != ".md" or anchor not in anchors(path)):
        return f"there is no heading for #{anchor}", None
    return "", path


def is_lost(page: Path, linked: set[Path]) -> bool:
    return (ROOT / "docs") in page.parents and page not in linked


@cache
def anchors(page: Path) -> frozenset[str]:
    """The anchors of a page's headings, as GitHub makes them: repeated ones are numbered."""
    found: set[str] = set()
    for heading in re.findall(r"^#{1,6} +(.+?) *$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE):
        shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
        number = 0
        while (name := slug if number == 0 else f"{slug}-{number}") in found:
            number += 1
        found.add(name)
    return frozenset(found)


if __name__ == "__main__":
    main()
