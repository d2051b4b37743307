"""Read a source as fast as it goes, whatever the pace of the client, by way of a temporary file.

Some databases, such as SQLite without a write-ahead log, let nobody write while a snapshot is open. Without this, a client that
reads slowly, on purpose or over a slow network, would keep the source's own programs from writing.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Condition

from airflow_provider_sync.files.file_errors import file_error
from airflow_provider_sync.protocol.v2.stream import Block

MAX_WAITING_BYTES = 512 * 1024 * 1024
"""Maximum bytes of one response that wait on disk; the source is read further when the client has taken them."""

_PIECE_BYTES = 256 * 1024


def read_ahead(
    blocks: Iterator[Block], close: Callable[[], None], *, limit: int = MAX_WAITING_BYTES
) -> Generator[bytes, None, None]:
    """Yield what ``blocks`` yields, in other pieces; a thread fetches it ahead, and calls ``close`` as soon as it has all.

    Closing this generator ends the thread after the block that is being made, and calls ``close`` if that has not been done. An
    error of ``blocks`` is raised after everything that came before it.

    :param close: releases what ``blocks`` read from
    :param limit: bytes that wait on disk at most, besides one block
    :raises FileError: for a full disk
    """
    with _Waiting(limit) as waiting, ThreadPoolExecutor(1, thread_name_prefix="sync-read-ahead") as thread:
        fetching = thread.submit(_fetch, blocks, close, waiting)
        try:
            yield from waiting
            fetching.result()
        finally:
            waiting.stop()


def _fetch(blocks: Iterator[Block], close: Callable[[], None], waiting: _Waiting) -> None:
    try:
        for block in blocks:
            if not waiting.put(block):
                return
    finally:
        try:
            if close_blocks := getattr(blocks, "close", None):
                close_blocks()
            close()
        finally:
            waiting.end()


@contextmanager
def _file_errors() -> Iterator[None]:
    """Say of an error of the disk which folder it is about."""
    try:
        yield
    except OSError as error:
        raise file_error("write an answer to", "", tempfile.gettempdir(), error) from error


class _Waiting:
    """The bytes that wait in a temporary file, which has no name; for one writing and one reading thread."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._changed = Condition()
        self._written = self._read = 0
        self._ended = self._stopped = False
        self._file = -1

    def __enter__(self) -> _Waiting:
        with _file_errors(), tempfile.TemporaryFile() as file:
            self._file = os.dup(file.fileno())
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def put(self, block: Block) -> bool:
        """Append bytes, when there is room; return false if they are not wanted any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or self._written < self._limit or self._read == self._written)
            if self._stopped:
                return False
            if self._read == self._written:
                # Use the same part of the file again.
                self._read = self._written = 0
            at = self._written
        rest = memoryview(block)
        while rest:
            with _file_errors():
                size = os.pwrite(self._file, rest, at)
            rest, at = rest[size:], at + size
        with self._changed:
            self._written = at
            self._changed.notify_all()
        return True

    def __iter__(self) -> Iterator[bytes]:
        """Yield the bytes in their order, until the end."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._ended or self._read < self._written)
                at, size = self._read, min(_PIECE_BYTES, self._written - self._read)
            if not size:
                return
            with _file_errors():
                piece = os.pread(self._file, size, at)
            with self._changed:
                self._read += len(piece)
                self._changed.notify_all()
            yield piece

    def end(self) -> None:
        """Say that nothing more will be written."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def stop(self) -> None:
        """Say that nothing more will be read."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
