"""The peak memory of both halves as a table grows to ten times its rows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.benchmarks.halves import megabytes
from tests.benchmarks.made_rows import MADE_ROWS
from tests.benchmarks.pair import Work, filled_pair
from tests.benchmarks.result import Line, Section
from tests.benchmarks.servers import ServersOnDisk
from tests.database_servers import MARIADB, DatabaseServers

_FLAT = 1.1
_LIMIT = 200e6


def memory(servers: DatabaseServers, folder: Path, scale: float, rounds: int) -> Section:
    """Sync 1,000,000 and 10,000,000 rows, first and with 15 changed, between databases on the disk (six gigabytes)."""
    few, many = int(1_000_000 * scale), int(10_000_000 * scale)
    on_disk = ServersOnDisk()
    try:
        before, after = (_peaks(on_disk, folder, rows) for rows in (few, many))
    finally:
        on_disk.stop()
    lines = []
    for half, (peak, took) in after.items():
        base = before[half][0]
        lines += [
            Line(
                half,
                megabytes(peak),
                peak / base,
                f"the same of {few:,} rows",
                megabytes(base),
                _FLAT,
                f"the sync took {took:.0f} s",
            ),
            Line(f"{half}: at all", megabytes(peak), peak / _LIMIT, "a limit", megabytes(int(_LIMIT)), 1),
        ]
    return Section(f"peak memory, mariadb on disk, made rows: {many:,} rows", lines)


def _peaks(servers: DatabaseServers, folder: Path, rows: int) -> Mapping[str, tuple[int, float]]:
    """Return the bytes that each half held at most, and the seconds of the sync."""
    peaks: dict[str, tuple[int, float]] = {}
    with filled_pair(servers, folder, MARIADB, MADE_ROWS, rows) as pair:
        for work in (Work.FIRST, Work.FEW):
            pair.prepare(work)
            pair.server.forget_peak()
            done = pair.sync(work, {})
            peaks[f"{work}, client half"] = done.peak_memory, done.seconds
            peaks[f"{work}, server half"] = pair.server.peak_memory(), done.seconds
    return peaks
