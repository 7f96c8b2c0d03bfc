"""How results reach the person or the script."""

import json
import sys
from typing import Any

from rich.console import Console
from rich.table import Table

WIDTH_OF_A_PIPE = 120


def output_console() -> Console:
    """Where results go: stdout, in the width of the terminal, or wide enough for a table in a pipe."""
    return Console(width=None if sys.stdout.isatty() else WIDTH_OF_A_PIPE, highlight=False, markup=False)


def print_json(data: Any) -> None:
    """Print data as JSON on stdout, in ASCII so that every encoding can carry it; no value becomes null."""
    print(json.dumps(data, indent=2, allow_nan=False, default=str), flush=True)


def plain_table(*headers: str, numbers: tuple[str, ...] = ()) -> Table:
    """An empty table without colours; the columns in `numbers` lie to the right."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for header in headers:
        table.add_column(header, justify="right" if header in numbers else "left", overflow="fold")
    return table


def shown(value: object) -> str:
    """A name as it can be shown on one line: control characters and bytes that are no text are written out."""
    text = str(value).encode("utf-8", "replace").decode("utf-8")
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)
