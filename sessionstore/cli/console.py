"""Output: data on stdout, messages and progress on stderr.

Ids, owners and states come from strangers. So they are shown without markup, and control characters are escaped. The
functions that need Rich load it when they run, because most output does not need it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

import typer

if TYPE_CHECKING:
    from rich.console import Console

Advance: TypeAlias = Callable[[int], None]
"""Is called with the number of rows, turns or states that are done so far."""

# Lines for a file or a pipe are not wrapped, so that an id is never split and a search finds it.
_UNBROKEN = 10_000


def printable(text: str, keep: str = "") -> str:
    r"""Returns the text with each invisible character escaped as in JSON: ``\u001b``, ``\u202e``."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


def say(message: str) -> None:
    """Prints a message on stderr."""
    typer.echo(printable(message), err=True)


def fail(message: str, status: int = 1) -> NoReturn:
    """Prints an error on stderr and ends the command.

    Raises:
        typer.Exit: Always, with the status.
    """
    say(f"error: {message}")
    raise typer.Exit(status)


def print_json(value: Any) -> None:
    """Prints one line of JSON on stdout, in ASCII."""
    typer.echo(json.dumps(value).replace("\x7f", "\\u007f"))


def print_pretty(value: Any) -> None:
    """Prints indented JSON on stdout, without control characters."""
    from rich.text import Text

    text = printable(json.dumps(value, indent=2, ensure_ascii=False), keep="\n")
    _stdout().print(Text(text), soft_wrap=True)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Prints a table on stdout. Numbers are grouped and aligned to the right. No cell is cut."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for index, column in enumerate(columns):
        numbers = all(isinstance(row[index], int) for row in rows)
        table.add_column(Text(_cell(column)), justify="right" if numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(_cell(value)) for value in row))
    _stdout().print(table)


def print_facts(facts: Iterable[tuple[str, object]]) -> None:
    """Prints names and values on stdout, one a line."""
    shown = [(name, _cell(value)) for name, value in facts]
    width = max(len(name) for name, _ in shown)
    for name, value in shown:
        typer.echo(f"{name:<{width}}   {value}")


def somebody_watches() -> bool:
    """Whether stderr is a terminal, where a person sees the progress."""
    return sys.stderr.isatty()


@contextmanager
def progress(doing: str, total: int, unit: str) -> Generator[Advance]:
    """Shows a progress bar on stderr during the block, if stderr is a terminal."""
    from .bar import progress_bar

    with progress_bar(doing, unit, disable=not somebody_watches()) as bar:
        task = bar.add_task(doing, total=total)
        # The total was counted before the work began, so the count may exceed it.
        yield lambda done: bar.update(task, completed=done, total=max(total, done))


def _cell(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else printable(str(value))


def _stdout() -> Console:
    from rich.console import Console

    width = None if sys.stdout.isatty() else _UNBROKEN
    return Console(width=width, markup=False, highlight=False, emoji=False)
