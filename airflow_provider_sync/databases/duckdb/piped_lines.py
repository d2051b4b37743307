"""Lines that a statement of DuckDB reads from a pipe, in a thread of its own, while this process writes them.

::

    blocks ── this thread ── pipe ── SELECT … FROM read_csv('/dev/fd/N'), in a thread of its own
"""

from __future__ import annotations

import fcntl
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import duckdb

_LINE_BYTES = 2 * 1024 * 1024
"""Longest line that a statement reads unless a block shows that there are longer ones: DuckDB allocates buffers by it."""

_LINE_END_BYTES = 16
"""Room for what is added to a line."""

_BUFFER_LINES = 4
"""Size of DuckDB's buffer, in longest lines; it insists on more than one, and would take 16."""

_PIPE_BYTES = 1024 * 1024
_SET_PIPE_SIZE = getattr(fcntl, "F_SETPIPE_SZ", None)
"""Linux only; other systems keep their pipes as they are."""

_HEADER = b"-\n"
"""A first line that is skipped, so that nothing in a row is taken for the mark of an encoding."""


@dataclass(frozen=True, slots=True)
class LinesStatement:
    r"""A statement that reads lines from a file.

    :ivar before: the statement up to the file
    :ivar fields: the columns of the file
    :ivar after: what stands behind the file
    :ivar separator: of the fields; one that no line has for lines that are not split. An empty one would be taken for a NUL
    :ivar null: the text of NULL; for lines that are not split, one that no line has
    """

    before: str
    fields: str
    after: str = ""
    separator: str = "\t"
    null: str = "\\N"

    def reading(self, path: str, longest: int) -> str:
        """Return the statement for a file.

        :param longest: bytes of its longest line
        """
        return (
            f"{self.before} read_csv('{path}', columns = {{{self.fields}}}, auto_detect = false, header = false, skip = 1,"
            f" delim = '{self.separator}', quote = '', escape = '', nullstr = '{self.null}', new_line = '\\n',"
            f" max_line_size = {longest}, buffer_size = {longest * _BUFFER_LINES}){self.after}"
        )


class PipedLines:
    """The pipe of one statement, which is at work from the beginning of the ``with`` block; its end is that of the lines.

    :param first: the first block; one for which :meth:`takes` is false belongs to another statement
    """

    def __init__(self, driver: duckdb.DuckDBPyConnection, statement: LinesStatement, first: bytes) -> None:
        self._longest = max(_LINE_BYTES, len(first) + _LINE_END_BYTES)
        self._driver = driver
        self._statement = statement
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sync-duckdb-lines")

    def __enter__(self) -> Self:
        reader, self._writer = os.pipe()
        if _SET_PIPE_SIZE is not None:
            with suppress(OSError):
                fcntl.fcntl(self._writer, _SET_PIPE_SIZE, _PIPE_BYTES)
        self._row = self._thread.submit(self._read, reader)
        self.write(_HEADER)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        os.close(self._writer)
        self._thread.shutdown()

    def takes(self, block: bytes) -> bool:
        """Whether no line of a block can be too long for this statement."""
        return len(block) <= self._longest - _LINE_END_BYTES

    def write(self, block: bytes) -> bool:
        """Write whole lines.

        :return: false once the statement reads no more, because it failed
        """
        rest = memoryview(block)
        try:
            while rest:
                rest = rest[os.write(self._writer, rest) :]
        except BrokenPipeError:
            return False
        return True

    def row(self) -> tuple[Any, ...]:
        """Return the row that the statement answers, after the ``with`` block.

        :raises duckdb.Error: when it failed
        """
        return self._row.result()

    def _read(self, reader: int) -> tuple[Any, ...]:
        try:
            statement = self._statement.reading(f"/dev/fd/{reader}", self._longest)
            return self._driver.execute(statement).fetchone() or (0,)
        finally:
            os.close(reader)


def filled(block: bytes, columns: int) -> bytes:
    """Return lines that a statement reads: one that is a single empty field would be skipped as empty."""
    return block.replace(b"\n", b"\t-\n") if columns == 1 else block
