"""One line of the benchmark's tables, and how they look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    """A piece of work beside what it is compared with.

    :ivar work: what was done
    :ivar figure: what it took, for people: seconds, bytes, requests
    :ivar against: what it is compared with
    :ivar its_figure: what that took
    :ivar value: the number that the target is about: the ratio of the two figures, or ``figure`` itself
    :ivar at_most: the target of the project's design, where it has one
    :ivar note: rates, bytes and memory
    """

    work: str
    figure: str
    value: float
    against: str = ""
    its_figure: str = ""
    at_most: float | None = None
    note: str = ""

    def cells(self) -> list[str]:
        """Return the line's cells, as `show` names them."""
        value = f"{self.value:,.2f}" if self.against else ""
        target = "" if self.at_most is None else f"at most {self.at_most:g}: {'met' if self.value <= self.at_most else 'MISSED'}"
        return [self.work, self.figure, self.against, self.its_figure, value, target, self.note]


def compared(work: str, seconds: float, against: str, its_seconds: float, at_most: float | None = None, note: str = "") -> Line:
    """Return the line of a work that is compared by its seconds."""
    return Line(work, f"{seconds:.2f} s", seconds / its_seconds, against, f"{its_seconds:.2f} s", at_most, note)


def limited(work: str, value: float, unit: str, at_most: float, note: str = "") -> Line:
    """Return the line of a figure that has a limit of its own."""
    return Line(work, f"{value:,.{1 if value >= 1 else 2}f}".removesuffix(".0") + f" {unit}", value, at_most=at_most, note=note)


@dataclass(frozen=True)
class Section:
    """One table of the benchmark.

    :ivar left_out: what could not be measured, and why
    """

    title: str
    lines: Sequence[Line]
    left_out: Sequence[str] = ()


def show(section: Section) -> str:
    """Render a section as a Markdown table under its title."""
    head = ["work", "it took", "measured against", "which took", "ratio", "target", "notes"]
    rows = [head, ["---", "---:", "---", "---:", "---:", "---", "---"], *(line.cells() for line in section.lines)]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return "\n".join([f"## {section.title}", "", table, "", *(f"Left out: {reason}" for reason in section.left_out)])
