"""Progress bars on a terminal: amount done, total, rate, and remaining time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from threading import Lock

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress

from airflow_provider_sync.printable import printable
from airflow_provider_sync.sync.progress import Amounts

MAX_BARS = 10
"""Most bars that are drawn at once."""

MAX_NAME = 40
"""Most characters of a name beside its bar."""

WIDE = 110
"""Narrowest terminal, in columns, that shows amounts; a narrower one shows percentages instead, and no elapsed time."""


class Bars(RichProgress):
    """A row for each name: amount done, total, rate, and remaining time.

    A bar fills if the total is known, and pulses if not. Of many names, those with the latest progress are shown. On a narrow
    terminal a percentage replaces the amounts.

    :param clock: returns the seconds of a monotonic clock
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._amounts = Amounts(clock)
        self._bars: dict[str, TaskID] = {}
        self._latest: dict[str, None] = {}
        self._new = Lock()
        self._order = Lock()
        self._is_wide = console.width >= WIDE
        super().__init__(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24 if self._is_wide else 12),
            *(TextColumn(f"{{task.fields[{field}]}}", justify="right") for field in ("done", "speed")),
            TextColumn("{task.fields[left]}"),
            *([TimeElapsedColumn()] if self._is_wide else []),
            console=console,
            transient=True,
            get_time=clock,
        )

    def take(self, name: str, amount: int, unit: str, total: int | None = None) -> None:
        """Record progress; see :class:`~airflow_provider_sync.sync.progress.Progress`."""
        self._amounts.add(name, amount, unit, total)
        if name not in self._bars:
            with self._new:
                if name not in self._bars:
                    shown = escape(printable(name, MAX_NAME if self._is_wide else MAX_NAME // 2))
                    self._bars[name] = self.add_task(shown, total=None, done="", speed="", left="")
        # Outside the lock above, since adding a task redraws all bars.
        with self._order:
            self._latest.pop(name, None)
            self._latest[name] = None

    def get_renderables(self) -> Iterable[RenderableType]:
        """Update the bars when they are drawn, not for each of thousands of files."""
        with self._order:
            latest = list(self._latest)[-MAX_BARS:]
        for name, bar in list(self._bars.items()):
            share = self._amounts.share(name)
            done, speed, left = self._amounts.columns(name)
            if share is not None and not self._is_wide:
                done = f"{share:.0%}"
            self.update(bar, done=done, speed=speed, left=left, visible=name in latest)
            if share is not None:
                self.update(bar, completed=share, total=1)
        return super().get_renderables()
