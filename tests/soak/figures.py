"""The figures of the soak: what is measured, how much each may grow, and the table of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

MEGABYTES, FILES, THREADS = "memory (MB)", "open files", "threads"
CONNECTIONS, TRANSACTIONS, STAGING = "connections", "transactions", "staging tables"
TEMPORARY, KEPT = "temporary files", "size (MB)"

SLACK = {
    MEGABYTES: 40.0,
    FILES: 5,
    THREADS: 4,
    CONNECTIONS: 3,
    TRANSACTIONS: 0,
    STAGING: 0,
    TEMPORARY: 0,
    KEPT: 20.0,
}
"""How much more of each there may be at the end than at the start, both times at rest."""

Sample = dict[tuple[str, str], float]
"""One value for each thing that is watched and each measure of it."""


@dataclass
class Figures:
    """The samples of a soak.

    :ivar start: at rest, after each DAG has run twice
    :ivar working: while everything works
    :ivar end: at rest, after the last run of each DAG
    """

    start: Sample = field(default_factory=dict)
    working: list[Sample] = field(default_factory=list)
    end: Sample = field(default_factory=dict)

    def growth(self) -> list[str]:
        """Name what grew by more than its slack."""
        return [
            f"{of}: {measure} grew from {self.start[of, measure]:g} to {end:g}, by more than {SLACK[measure]:g}"
            for (of, measure), end in self.end.items()
            if end > self.start[of, measure] + SLACK[measure]
        ]

    def rows(self) -> Sequence[Sequence[str]]:
        """Return the table: what, measure, start, median, highest, end."""
        table = []
        for key, start in self.start.items():
            values = [sample[key] for sample in self.working if key in sample] or [start]
            numbers = (start, median(values), max(values), self.end[key])
            table.append((*key, *(f"{number:.1f}" if key[1] in (MEGABYTES, KEPT) else f"{number:.0f}" for number in numbers)))
        return table
