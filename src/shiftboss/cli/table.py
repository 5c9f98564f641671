"""Tables without borders: by rich on a terminal, as plain aligned columns elsewhere and if rich is missing.

Rules of this file
- Off a terminal nothing is cut or wrapped: one line for each row, for `grep` and `awk`.
- On a terminal a table is at most as wide as the window; the column marked `gives` is narrowed.
- Styles are named in `formatting.py`; a plain table has none.
- Everything in a cell or a line is escaped here (`core/printable.py`): a row is one line, whatever it shows.
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from shiftboss.cli import messages
from shiftboss.core.printable import one_line

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

GAP = "  "


class Cell(NamedTuple):
    """A text and how it looks: a style of rich, such as "red" or "bold"."""

    text: str
    style: str = ""


class Column(NamedTuple):
    """`gives`: cut, or with `wraps` broken into lines, if the window is too narrow."""

    title: str
    right: bool = False
    gives: bool = False
    wraps: bool = False


Row = Sequence[str | Cell]


def console() -> Console | None:
    """Rich's console for stdout, if that is a terminal and rich is installed."""
    if not messages.is_terminal(sys.stdout):
        return None
    try:
        from rich.console import Console
    except ImportError:  # the extra `cli` is not installed
        return None
    return Console(highlight=False, markup=False, emoji=False)


def show(columns: Sequence[Column], rows: Iterable[Row], *, indent: str = "", header: bool = True) -> None:
    """Print a table on stdout."""
    cells = [_cells(row) for row in rows]
    rich_console = console()
    if rich_console is not None:
        rich_console.print(rendered(columns, cells, width=rich_console.width, indent=indent, header=header))
        return
    titles = [[Cell(column.title) for column in columns]] if header else []
    for line in _plain_lines(columns, [*titles, *cells]):
        print(f"{indent}{line}".rstrip())


def rendered(
    columns: Sequence[Column], rows: Iterable[Row], *, width: int, indent: str = "", header: bool = True
) -> Table:
    """The table as rich draws it in a window of *width*; the column that gives is narrowed only if it must be."""
    from rich import box  # noqa: F401
    from rich.padding import Padding  # noqa: F401
    from rich.table import Table
    from rich.text import Text

    all_cells = [_cells(row) for row in rows]
    titles = [[Cell(column.title) for column in columns]] if header else []
    natural = len(indent) + sum(_widths([*titles, *all_cells], len(columns))) + len(GAP) * (len(columns) - 1)
    gives = natural > width and any(column.gives for column in columns)
    table = Table(box=None, pad_edge=False, padding=(0, len(GAP), 0, 0), show_header=header, expand=gives)
    for number, column in enumerate(columns):
        table.add_column(
            Text((indent if number == 0 else "") + column.title, style="dim"),
            justify="right" if column.right else "left",
            no_wrap=not column.wraps,
            overflow="fold" if column.wraps else "ellipsis",
            ratio=1 if gives and column.gives else None,
        )
    for cells in all_cells:
        table.add_row(
            *(Text((indent if number == 0 else "") + cell.text, style=cell.style) for number, cell in enumerate(cells))
        )
    return table


def line(*parts: str | Cell) -> None:
    """One line of parts, each with its style."""
    rich_console = console()
    if rich_console is None:
        print("".join(_cell(part).text for part in parts).rstrip())
    else:
        rich_console.print(joined(*parts))


def headline(*parts: str | Cell) -> None:
    """A line that is cut at the window's edge."""
    rich_console = console()
    if rich_console is None:
        line(*parts)
    else:
        rich_console.print(joined(*parts, cut=True))


def joined(*parts: str | Cell, cut: bool = False) -> RenderableType:
    """*cut*: at the window's edge."""
    from rich.text import Text

    text = Text(no_wrap=True, overflow="ellipsis") if cut else Text()
    for part in map(_cell, parts):
        text.append(part.text, style=part.style)
    return text


def blank() -> None:
    print()


def _cells(row: Row) -> list[Cell]:
    return [_cell(each) for each in row]


def _cell(part: str | Cell) -> Cell:
    """A part of a line, without characters that would end the line or control the terminal."""
    return part._replace(text=one_line(part.text)) if isinstance(part, Cell) else Cell(one_line(part))


def _plain_lines(columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> Iterable[str]:
    widths = _widths(rows, len(columns))
    for row in rows:
        parts = []
        for column, cell, width in zip(columns, row, widths, strict=True):
            fill = " " * (width - _width(cell.text))
            parts.append(fill + cell.text if column.right else cell.text + fill)
        yield GAP.join(parts)


def _widths(rows: Sequence[Sequence[Cell]], columns: int) -> list[int]:
    return [max((_width(row[number].text) for row in rows), default=0) for number in range(columns)]


def _width(text: str) -> int:
    """The number of columns that a text takes on a terminal."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(sign) else 2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text
    )
