"""Results of a command on standard output: for people on a terminal, as plain text in a pipe, or as data."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, TextIO

from airflow_provider_sync.cli.terminal.styles import STYLES, WORD_STYLES, Meaning, is_styled, styled_console
from airflow_provider_sync.printable import printable_lines
from airflow_provider_sync.text_table import TextTable

if TYPE_CHECKING:
    from rich.console import Console

_STATUS_COLUMNS = ("status", "")


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text, or an error of several lines.

    :ivar text: text without escape codes, since it may quote a server
    :ivar meaning: what the line is about; determines its colour on a terminal
    """

    text: str
    meaning: Meaning = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", printable_lines(self.text))


Part = TextTable | Line


class Output:
    """Writes a command's results to standard output.

    :param stream: standard output, as it is when the command begins
    :param form: ``table`` (styled on a terminal), ``plain`` (never styled), ``json`` or ``yaml``
    :param quiet: whether only data is written
    """

    def __init__(self, stream: TextIO, form: str = "table", *, quiet: bool = False) -> None:
        self._stream = stream
        self._form = form
        self._quiet = quiet

    @classmethod
    def of(cls, options: Namespace) -> Self:
        """Return the output that a command's arguments request."""
        return cls(sys.stdout, getattr(options, "output", "table"), quiet=options.quiet)

    @property
    def takes_data(self) -> bool:
        """Whether the output is data, to be written by :meth:`data` alone."""
        return self._form in ("json", "yaml")

    @property
    def is_silent(self) -> bool:
        """Whether :meth:`show` shows nothing."""
        return self._quiet or self.takes_data

    def data(self, values: Any) -> None:
        """Write values of dicts, lists and scalars as JSON or YAML."""
        if self._form == "yaml":
            self._stream.write(_yaml_of(values))
            return
        json.dump(values, self._stream, indent=2)
        self._stream.write("\n")

    def show(self, parts: Iterable[Part]) -> None:
        """Show tables and lines, unless the output is data or ``quiet``."""
        if self.is_silent:
            return
        if self._form == "plain" or not is_styled(self._stream):
            for part in parts:
                for line in part.plain() if isinstance(part, TextTable) else (part.text,):
                    print(line, file=self._stream)
            return
        console = styled_console(self._stream)
        for part in parts:
            _draw(part, console)


def _yaml_of(values: Any) -> str:
    """Write values as YAML, with letters of all scripts as they are, unless a character of any text would not be safe to show."""
    import yaml

    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
    # YAML's own escapes leave marks of direction and spaces without a width as they are.
    return text if text.replace("\n", "").isprintable() else yaml.safe_dump(values, sort_keys=False, allow_unicode=False)


def _draw(part: Part, console: Console) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    if isinstance(part, Line):
        # Let the terminal wrap the line, so that it is copied as one.
        console.print(Text(part.text, STYLES[part.meaning]), soft_wrap=True)
        return
    fitting = _fitting(part, console.width)
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style=STYLES["heading"])
    for heading in fitting.headings:
        table.add_column(heading, justify="right" if heading in fitting.numbers else "left", overflow="fold")
    for row in fitting.rows:
        cells = zip(fitting.headings, row, strict=True)
        table.add_row(*(Text(cell, WORD_STYLES.get(cell, "") if name in _STATUS_COLUMNS else "") for name, cell in cells))
    console.print(table)


def _fitting(table: TextTable, width: int) -> TextTable:
    """Return a table without the columns that a narrow terminal has no room for."""
    while table.dispensable and sum(table.widths) + 3 * (len(table.headings) - 1) > width:
        table = table.without(table.dispensable[0])
    return table
