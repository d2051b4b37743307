"""Compute the bars of the charts about the runs of a sync; the template draws them."""

from __future__ import annotations

from collections.abc import Sequence
from math import log1p
from typing import NamedTuple

from airflow_provider_sync.history import Record
from airflow_provider_sync.report import DirectoryReport, Report, TableReport
from airflow_provider_sync.report_table import format_bytes


class Bar(NamedTuple):
    """A rectangle, in the units of the drawing.

    :ivar kind: ``inserted``, ``updated``, ``deleted``, ``bytes``, ``unchanged`` or ``failed``
    """

    x: float
    y: float
    width: float
    height: float
    kind: str
    title: str


class Changes(NamedTuple):
    """Changed rows of a table, or changed files of a directory."""

    inserted: int
    updated: int
    deleted: int


class Drawing(NamedTuple):
    """The scale from amounts to heights: logarithmic, so that small runs stay visible beside a first sync.

    Heights are relative to the lowest amount, so that the difference between 800 and 1,600 bytes is visible, too.

    :ivar lowest: lowest amount above 0
    """

    lowest: int
    highest: int
    height: float


_LEAST = 1.5
_GAP = 0.2


def changes_of(report: Report) -> Changes:
    """Return the numbers of inserted, updated and deleted rows, or of added, updated and deleted files."""
    match report:
        case TableReport():
            return Changes(report.rows_inserted, report.rows_updated, report.rows_deleted)
        case DirectoryReport():
            return Changes(report.files_added, report.files_updated, report.files_deleted)
    return Changes(0, 0, 0)


def change_bars(runs: Sequence[Record], *, width: float, height: float, places: int) -> list[Bar]:
    """Draw what changed in each run, oldest first; heights are logarithmic, so that small runs stay visible beside a first sync.

    :param runs: newest first
    :param places: number of bars that fit, even where there are fewer runs
    """
    parts = [changes_of(record.report)._asdict() for record in runs]
    return _bars(runs, parts, width=width, height=height, places=places)


def byte_bars(runs: Sequence[Record], *, width: float, height: float, places: int) -> list[Bar]:
    """Return bars of the bytes that were received in each run; see :func:`change_bars`."""
    parts = [{"bytes": record.report.bytes_received} for record in runs]
    return _bars(runs, parts, width=width, height=height, places=places)


def height_of(amount: int, drawing: Drawing) -> float:
    """Return the height of an amount."""
    return drawing.height * log1p(amount / drawing.lowest) / log1p(drawing.highest / drawing.lowest)


def totals_of_changes(runs: Sequence[Record]) -> list[int]:
    """Return the amounts that :func:`change_bars` draws."""
    return _drawn(runs, [sum(changes_of(record.report)) for record in runs])


def totals_of_bytes(runs: Sequence[Record]) -> list[int]:
    """Return the amounts that :func:`byte_bars` draws."""
    return _drawn(runs, [record.report.bytes_received for record in runs])


def _drawn(runs: Sequence[Record], totals: Sequence[int]) -> list[int]:
    return [total for record, total in zip(runs, totals, strict=True) if total and record.report.status != "failed"]


def _bars(runs: Sequence[Record], parts: Sequence[dict[str, int]], *, width: float, height: float, places: int) -> list[Bar]:
    totals = _drawn(runs, [sum(part.values()) for part in parts])
    drawing = Drawing(min(totals, default=1), max(totals, default=1), height)
    step = width / places
    bars = []
    for place, (record, part) in enumerate(zip(runs, parts, strict=True)):
        x = width - (place + 1) * step
        title = _title(record, part)
        total = sum(part.values())
        if record.report.status == "failed":
            bars.append(Bar(x, 0, step * (1 - _GAP), height, "failed", title))
        elif not total:
            bars.append(Bar(x, height - _LEAST, step * (1 - _GAP), _LEAST, "unchanged", title))
        else:
            whole = max(height_of(total, drawing), _LEAST)
            bottom = height
            for kind, amount in part.items():
                if amount:
                    part_height = whole * amount / total
                    bottom -= part_height
                    bars.append(Bar(x, bottom, step * (1 - _GAP), part_height, kind, title))
    return [
        bar._replace(x=round(bar.x, 2), y=round(bar.y, 2), width=round(bar.width, 2), height=round(bar.height, 2)) for bar in bars
    ]


def _title(record: Record, part: dict[str, int]) -> str:
    when = f"{record.finished:%Y-%m-%d %H:%M} UTC"
    if record.report.status == "failed":
        return f"{when}: failed"
    if "bytes" in part:
        return f"{when}: {format_bytes(part['bytes'])}"
    return f"{when}: " + ", ".join(f"{amount:,} {kind}" for kind, amount in part.items())
