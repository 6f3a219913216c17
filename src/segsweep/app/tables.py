"""Tables on stdout: drawn on a terminal, else a line a row with tabs between the cells, for other programs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = ["clean", "show_table", "show_tables"]


def show_table(columns: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[str] = ()) -> None:
    """Prints a table; the columns in `numbers` are aligned to the right. Without names of columns it has no head."""
    console = Console(highlight=False)
    if not console.is_terminal:
        for row in (*([columns] if any(columns) else []), *rows):
            print("\t".join(map(clean, row)))  # noqa: T201
        return
    table = Table(box=None, pad_edge=False, header_style="bold", show_header=any(columns))
    for column in columns:
        table.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(clean(cell)) for cell in row))
    console.print(table)


def show_tables(*tables: tuple[Sequence[str], Sequence[Sequence[str]], Sequence[str]]) -> None:
    """Tables (columns, rows, columns of numbers) with empty lines between them; a table without rows is left out."""
    for number, (columns, rows, numbers) in enumerate(table for table in tables if table[1]):
        if number:
            print()  # noqa: T201
        show_table(columns, rows, numbers)


def clean(text: str) -> str:
    """A text from a file without what would move a terminal's cursor or break a row."""
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)
