"""Progress of long work on standard error: bars on a terminal, otherwise a line every few seconds."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from functools import partial

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress

from airflow_provider_sync.sync.progress import Amounts, Progress, ProgressLines

SECONDS_BETWEEN_LINES = 10.0


@contextmanager
def show_progress() -> Iterator[Progress]:
    """Show the progress of everything that happens inside the block.

    Whatever is printed meanwhile also goes to standard error: standard output is for results, and Airflow logs there if one of
    its connections is named.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        with redirect_stdout(sys.stderr):
            yield ProgressLines(partial(print, file=sys.stderr), every=SECONDS_BETWEEN_LINES)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[amounts]}"), TimeElapsedColumn())
    with redirect_stdout(sys.stderr), RichProgress(*columns, console=console, transient=True) as bars:
        yield _Bars(bars)


class _Bars:
    """A bar for each name; it fills if the total is known, and pulses if not."""

    def __init__(self, bars: RichProgress) -> None:
        self._bars = bars
        self._amounts = Amounts()
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, name: str, amount: int, unit: str, total: int | None = None) -> None:
        amounts = self._amounts.add(name, amount, unit)
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task(name, total=None, amounts="")
        if total is None:
            self._bars.update(self._tasks[name], amounts=amounts)
        else:
            self._bars.update(self._tasks[name], amounts=amounts, total=total, advance=amount)
