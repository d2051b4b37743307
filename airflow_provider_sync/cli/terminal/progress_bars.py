"""Progress of long work on standard error: bars on a terminal, otherwise a line every few seconds."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from functools import partial
from threading import Lock

from rich.console import Console, RenderableType
from rich.progress import BarColumn, ProgressColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress

from airflow_provider_sync.cli.terminal.styles import is_styled, styled_console
from airflow_provider_sync.sync.progress import Amounts, Progress, ProgressLines, silent

SECONDS_BETWEEN_LINES = 10.0


@contextmanager
def show_progress(*, quiet: bool = False) -> Iterator[Progress]:
    """Show the progress of everything that happens inside the block.

    Whatever is printed meanwhile also goes to standard error: standard output is for results, and Airflow logs there if one of
    its connections is named.

    :param quiet: show no progress
    """
    if quiet:
        with redirect_stdout(sys.stderr):
            yield silent
        return
    if not is_styled(sys.stderr):
        with redirect_stdout(sys.stderr):
            yield ProgressLines(partial(print, file=sys.stderr), every=SECONDS_BETWEEN_LINES)
        return
    console = styled_console(sys.stderr)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[amounts]}"), TimeElapsedColumn())
    with redirect_stdout(sys.stderr), _Bars(*columns, console=console) as bars:
        yield bars.take


class _Bars(RichProgress):
    """A bar for each name; it fills if the total is known, and pulses if not."""

    def __init__(self, *columns: ProgressColumn, console: Console) -> None:
        self._amounts = Amounts()
        self._bars: dict[str, TaskID] = {}
        self._new = Lock()
        super().__init__(*columns, console=console, transient=True)

    def take(self, name: str, amount: int, unit: str, total: int | None = None) -> None:
        """Take note of progress; see :class:`~airflow_provider_sync.sync.progress.Progress`."""
        self._amounts.add(name, amount, unit, total)
        if name not in self._bars:
            with self._new:
                if name not in self._bars:
                    self._bars[name] = self.add_task(name, total=None, amounts="")

    def get_renderables(self) -> Iterable[RenderableType]:
        """Bring the bars up to date when they are drawn, and not with each of thousands of files."""
        for name, bar in list(self._bars.items()):
            share, amounts = self._amounts.share(name), self._amounts.text(name)
            if share is None:
                self.update(bar, amounts=amounts)
            else:
                self.update(bar, amounts=amounts, completed=share, total=1)
        return super().get_renderables()
