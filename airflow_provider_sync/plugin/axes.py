"""Add axes to the bars of :mod:`.charts`: labels, and for each run a column that reacts to the pointer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from airflow_provider_sync.history import Record
from airflow_provider_sync.plugin.charts import (
    Bar,
    Drawing,
    byte_bars,
    change_bars,
    height_of,
    totals_of_bytes,
    totals_of_changes,
)
from airflow_provider_sync.report_table import format_bytes


class Tick(NamedTuple):
    """A label of an axis, and its position."""

    at: float
    text: str


class Column(NamedTuple):
    """The bars of one run, in a column that reacts to the pointer over its whole height.

    :ivar record: id of the run's record
    """

    x: float
    width: float
    title: str
    record: int
    bars: tuple[Bar, ...]


class Chart(NamedTuple):
    """The values that the template draws.

    :ivar values: labels of the axis of values, from the top
    :ivar times: labels of the axis of time, from the left
    """

    columns: tuple[Column, ...]
    values: tuple[Tick, ...]
    times: tuple[Tick, ...]


_LABEL_HEIGHT = 18.0
_LABEL_WIDTH = 90.0


def chart_of_changes(runs: Sequence[Record], *, width: float, height: float, places: int) -> Chart:
    """Draw what changed in each run; see :func:`.change_bars`."""
    bars = change_bars(runs, width=width, height=height, places=places)
    labels = _labels(totals_of_changes(runs), height, _round_numbers(10, (1, 2, 5)), lambda value: f"{value:,}")
    return _chart(runs, bars, labels, width / places, width)


def chart_of_bytes(runs: Sequence[Record], *, width: float, height: float, places: int) -> Chart:
    """Draw how many bytes were received in each run."""
    bars = byte_bars(runs, width=width, height=height, places=places)
    labels = _labels(totals_of_bytes(runs), height, _round_numbers(1024, (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)), format_bytes)
    return _chart(runs, bars, labels, width / places, width)


def _chart(runs: Sequence[Record], bars: Sequence[Bar], values: tuple[Tick, ...], step: float, width: float) -> Chart:
    grouped = [(x, tuple(found)) for x, found in groupby(bars, key=lambda bar: bar.x)]
    columns = tuple(
        Column(round(x - step * 0.1, 2), round(step, 2), found[0].title, record.id, found)
        for record, (x, found) in zip(runs, grouped, strict=True)
    )
    return Chart(columns, values, _times(runs, step, width))


def _times(runs: Sequence[Record], step: float, width: float) -> tuple[Tick, ...]:
    """Choose labels for the time axis: the newest run, and as many older ones as fit."""
    found: list[Tick] = []
    for place, record in enumerate(runs):
        # Labels are centred.
        at = min(width - (place + 0.5) * step, width - _LABEL_WIDTH / 2)
        if at >= _LABEL_WIDTH / 2 and (not found or found[-1].at - at >= _LABEL_WIDTH):
            found.append(Tick(round(at, 2), f"{record.finished:%b %d, %H:%M}"))
    return tuple(reversed(found))


def _labels(totals: Sequence[int], height: float, round_numbers: Iterator[int], text: Callable[[int], str]) -> tuple[Tick, ...]:
    """Choose labels for the value axis: 0, and as many round numbers up to the highest value as fit."""
    if not totals:
        return (Tick(height, "0"),)
    drawing = Drawing(min(totals), max(totals), height)
    candidates = []
    for number in round_numbers:
        if number > drawing.highest:
            break
        candidates.append(number)
    found = [Tick(height, "0")]
    top = height
    for number in candidates:
        at = height - height_of(number, drawing)
        if top - at >= _LABEL_HEIGHT:
            found.append(Tick(round(at, 2), text(number)))
            top = at
    return tuple(reversed(found))


def _round_numbers(base: int, steps: Sequence[int]) -> Iterator[int]:
    power = 1
    while True:
        yield from (step * power for step in steps)
        power *= base
