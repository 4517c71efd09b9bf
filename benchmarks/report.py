"""What was found: sections of words, tables and plots, for the terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich import box
from rich.console import Console
from rich.markdown import Markdown
from rich.table import Table as RichTable


@dataclass(frozen=True)
class Table:
    """A table of texts. Columns named in ``words`` are words and go to the left, all others are figures."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: frozenset[str] = frozenset()

    def markdown(self) -> str:
        rules = [":---" if self._is_words(column) else "---:" for column in self.columns]
        lines = [self.columns, rules, *([cell.replace("|", "\\|") for cell in row] for row in self.rows)]
        return "\n".join(["| " + " | ".join(line) + " |" for line in lines])

    def rich(self) -> RichTable:
        table = RichTable(title=self.title or None, title_justify="left", box=box.SIMPLE_HEAD)
        for column in self.columns:
            words = column in self.words
            left = self._is_words(column)
            table.add_column(column, justify="left" if left else "right", no_wrap=not words, overflow="fold")
        for row in self.rows:
            table.add_row(*(cell.replace("`", "") for cell in row))
        return table

    def _is_words(self, column: str) -> bool:
        return column == self.columns[0] or column in self.words


@dataclass(frozen=True)
class Plot:
    """Lines over ``ticks``, or bars in groups of them.

    Attributes:
        name: Of its file, without a suffix.
        title: What it shows; its alternative text as well.
        axis: What is measured.
        ticks: The places along the other axis.
        series: For each name a value for each tick; NaN where there is none.
        lines: Whether ticks follow from each other.
        logarithmic: Whether values are so far apart that only this shows them all.
    """

    name: str
    title: str
    axis: str
    ticks: Sequence[str]
    series: Mapping[str, Sequence[float]]
    lines: bool = False
    logarithmic: bool = False
    along: str = ""


@dataclass(frozen=True)
class Section:
    """One subject: what was done, and what came out."""

    title: str
    text: str
    tables: Sequence[Table] = ()
    plots: Sequence[Plot] = ()


@dataclass(frozen=True)
class Report:
    """Everything, in order."""

    title: str
    text: str
    sections: Sequence[Section] = field(default_factory=tuple)

    def print(self, console: Console) -> None:
        """Shows words and tables in a terminal."""
        console.print(Markdown(f"# {self.title}\n\n{self.text}"))
        for section in self.sections:
            console.print(Markdown(f"## {section.title}\n\n{section.text}"))
            for table in section.tables:
                console.print(table.rich())

    def write(self, directory: Path) -> Path:
        """Writes benchmarks.md into a directory, and its plots into benchmarks/ there."""
        plots = [plot for section in self.sections for plot in section.plots]
        drawn = _draw(plots, directory / "benchmarks")
        lines = [f"# {self.title}", self.text]
        for section in self.sections:
            lines += [f"## {section.title}", *filter(None, [section.text])]
            for table in section.tables:
                lines += [f"**{table.title}**"] if table.title else []
                lines.append(table.markdown())
            lines += [f"![{plot.title}](benchmarks/{plot.name}.svg)" for plot in section.plots if drawn]
        if plots and not drawn:
            lines.append("There are no plots, because matplotlib is not installed.")
        path = directory / "benchmarks.md"
        path.write_text("\n\n".join(lines) + "\n", encoding="utf-8")
        return path


def _draw(plots: Sequence[Plot], directory: Path) -> bool:
    """Draws all plots; whether it could."""
    directory.mkdir(parents=True, exist_ok=True)
    try:
        from .plots import draw
    except ModuleNotFoundError as error:
        if error.name != "matplotlib":
            raise
        return False
    for old in directory.glob("*.svg"):
        old.unlink()
    for plot in plots:
        draw(plot, directory / f"{plot.name}.svg")
    return True
