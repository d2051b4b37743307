"""A list of values that spills to disk above a limit, so that memory is bounded for any number of files."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from heapq import merge
from types import TracebackType
from typing import Generic, Self, TypeVar

import msgspec

from airflow_provider_sync.files.file_errors import file_error

MAX_IN_MEMORY = 20_000
"""Maximum number of values of one list in memory."""

BLOCK = 500
"""Number of values that are written, and read again, at a time."""

Item = TypeVar("Item", bound=msgspec.Struct)


class SpooledList(Generic[Item]):
    """Values that are appended, then read any number of times; a context manager, which removes what is on disk.

    :param kind: the type of the values
    :param order: the key by which they are read sorted; without, they are read as they were appended
    """

    def __init__(self, kind: type[Item], *, order: Callable[[Item], bytes] | None = None) -> None:
        self._order = order
        self._decoder = msgspec.msgpack.Decoder(list[kind])  # type: ignore[valid-type]  # a type for msgspec
        self._recent: list[Item] = []
        self._runs: list[list[tuple[int, int]]] = []
        self._file = -1
        self._end = 0
        self._length = 0

    def append(self, item: Item) -> None:
        """Add a value."""
        self._recent.append(item)
        self._length += 1
        if len(self._recent) >= MAX_IN_MEMORY:
            self._spill()

    def extend(self, items: Iterable[Item]) -> None:
        """Add values."""
        for item in items:
            self.append(item)

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Item]:
        """Yield the values; values that are appended during the iteration may be left out."""
        runs = [*map(self._read, self._runs), iter(self._in_order())]
        if self._order is not None:
            yield from merge(*runs, key=self._order)
        else:
            for run in runs:
                yield from run

    def _in_order(self) -> list[Item]:
        return list(self._recent) if self._order is None else sorted(self._recent, key=self._order)

    def _read(self, run: list[tuple[int, int]]) -> Iterator[Item]:
        for offset, size in run:
            yield from self._decoder.decode(os.pread(self._file, size, offset))

    def _spill(self) -> None:
        """Write the values in memory to the disk, as one sorted run.

        :raises FileError: for a full disk
        """
        recent = self._in_order()
        run = []
        try:
            if self._file < 0:
                with tempfile.TemporaryFile() as file:
                    self._file = os.dup(file.fileno())
            for start in range(0, len(recent), BLOCK):
                block = msgspec.msgpack.encode(recent[start : start + BLOCK])
                written = 0
                while written < len(block):
                    written += os.pwrite(self._file, block[written:], self._end + written)
                run.append((self._end, len(block)))
                self._end += len(block)
        except OSError as error:
            raise file_error("write a list of files in", "", tempfile.gettempdir(), error) from error
        self._runs.append(run)
        self._recent = []

    def close(self) -> None:
        """Remove what is on disk."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
