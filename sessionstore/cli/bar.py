"""The progress bar on stderr, in a module of its own because Rich is slow to load."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text


def progress_bar(doing: str, unit: str, *, disable: bool) -> Progress:
    """Makes a bar that shows the count, the rate and the remaining time."""
    console = Console(stderr=True, markup=False, highlight=False, emoji=False)
    columns = (TextColumn(doing), BarColumn(), _Count(unit), _Rate(unit), TimeRemainingColumn(), TextColumn("left"))
    return Progress(*columns, console=console, disable=disable)


class _Count(ProgressColumn):
    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        return Text(f"{task.completed:,.0f} of {task.total or 0:,.0f} {self._unit}")


class _Rate(ProgressColumn):
    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        return Text(f"{task.completed / task.elapsed if task.elapsed else 0:,.0f} {self._unit}/s")
