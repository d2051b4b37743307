"""Let a DuckDB statement read lines from a pipe, in a separate thread, while the calling thread writes them.

::

    blocks ── this thread ── pipe ── SELECT … FROM read_csv('/dev/fd/N'), in a separate thread
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
"""Default maximum line length, raised if the first block has longer lines: DuckDB allocates buffers by it."""

_LINE_END_BYTES = 16
"""Reserve for bytes that are added to a line."""

_BUFFER_LINES = 4
"""Size of DuckDB's buffer, as a multiple of the longest line; DuckDB requires more than 1, its default is 16."""

_PIPE_BYTES = 1024 * 1024
_SET_PIPE_SIZE = getattr(fcntl, "F_SETPIPE_SZ", None)
"""Linux only; other systems keep their pipes as they are."""

_HEADER = b"-\n"
"""A first line that the statement skips, so that DuckDB does not read the start of a row as a byte order mark."""


@dataclass(frozen=True, slots=True)
class LinesStatement:
    r"""A statement that reads lines from a file.

    :ivar before: the statement up to the file
    :ivar fields: names and types of the columns in the file
    :ivar after: the statement after the file
    :ivar separator: separator of the fields; to read whole lines, a character that no line contains. An empty one means NUL
    :ivar null: the text of NULL; to read whole lines, a text that is no line
    """

    before: str
    fields: str
    after: str = ""
    separator: str = "\t"
    null: str = "\\N"

    def reading(self, path: str, longest: int) -> str:
        """Return the statement for a file.

        :param longest: bytes of the file's longest line
        """
        return (
            f"{self.before} read_csv('{path}', columns = {{{self.fields}}}, auto_detect = false, header = false, skip = 1,"
            f" delim = '{self.separator}', quote = '', escape = '', nullstr = '{self.null}', new_line = '\\n',"
            f" max_line_size = {longest}, buffer_size = {longest * _BUFFER_LINES}){self.after}"
        )


class PipedLines:
    """The pipe of one statement, which runs during the ``with`` block; the end of the block ends the lines.

    :param first: the first block; a later block for which :meth:`takes` is false needs another statement
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
        """Whether all lines of a block are short enough for this statement."""
        return len(block) <= self._longest - _LINE_END_BYTES

    def write(self, block: bytes) -> bool:
        """Write whole lines.

        :return: false if the statement has stopped reading because it failed
        """
        rest = memoryview(block)
        try:
            while rest:
                rest = rest[os.write(self._writer, rest) :]
        except BrokenPipeError:
            return False
        return True

    def row(self) -> tuple[Any, ...]:
        """Return the statement's result row; call it after the ``with`` block.

        :raises duckdb.Error: when the statement failed
        """
        return self._row.result()

    def _read(self, reader: int) -> tuple[Any, ...]:
        try:
            statement = self._statement.reading(f"/dev/fd/{reader}", self._longest)
            return self._driver.execute(statement).fetchone() or (0,)
        finally:
            os.close(reader)


def filled(block: bytes, columns: int) -> bytes:
    """Return the lines with a filler field if they have one column, since DuckDB skips empty lines."""
    return block.replace(b"\n", b"\t-\n") if columns == 1 else block
