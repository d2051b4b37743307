"""A table as a value, and as plain text for a log, a pipe or a file. Characters that are not printable are escaped.

Styles for a terminal do not belong here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from airflow_provider_sync.printable import MAX_MESSAGE, printable


@dataclass(frozen=True, slots=True)
class TextTable:
    """A table whose cells are text on one line.

    :ivar headings: headings of the columns
    :ivar rows: one cell for each heading, made printable, since names may come from a server
    :ivar numbers: headings of the columns that are aligned to the right
    :ivar ruled: whether a line of dashes stands below the headings in plain text
    :ivar dispensable: headings of the columns that a narrow terminal may leave out, the first one first
    """

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: frozenset[str] = field(default=frozenset())
    ruled: bool = False
    dispensable: Sequence[str] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "rows", [[printable(cell, MAX_MESSAGE) for cell in row] for row in self.rows])

    @property
    def widths(self) -> list[int]:
        """Number of characters of the widest cell of each column, its heading included."""
        lines = [self.headings, *self.rows]
        return [max(len(line[position]) for line in lines) for position in range(len(self.headings))]

    def plain(self) -> Iterator[str]:
        """Yield the lines of the table; no line ends in spaces."""
        widths = self.widths
        yield self._line(self.headings, widths)
        if self.ruled:
            yield self._line(["-" * width for width in widths], widths)
        for row in self.rows:
            yield self._line(row, widths)

    def without(self, heading: str) -> TextTable:
        """Return the table without one of its columns."""
        place = list(self.headings).index(heading)
        headings, *rows = ([*line[:place], *line[place + 1 :]] for line in (self.headings, *self.rows))
        return TextTable(headings, rows, self.numbers, self.ruled, [name for name in self.dispensable if name != heading])

    def _line(self, cells: Sequence[str], widths: Sequence[int]) -> str:
        padded = (
            cell.rjust(width) if heading in self.numbers else cell.ljust(width)
            for heading, cell, width in zip(self.headings, cells, widths, strict=True)
        )
        return "  ".join(padded).rstrip()
