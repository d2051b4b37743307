"""The kinds of messages that a stream carries: those about tables, or those about directories."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec

from airflow_provider_sync.exceptions import FileError, SyncError, TableError
from airflow_provider_sync.protocol.v2.content_check import is_keep_alive
from airflow_provider_sync.protocol.v2.file_messages import Chunks, Content, Entries, FileDigests, FileMessage
from airflow_provider_sync.protocol.v2.messages import (
    Described,
    End,
    Failure,
    RowDigests,
    Rows,
    Segments,
    SnapshotHeld,
    TableDone,
    TableFailed,
)

TableMessage = Described | Segments | TableDone | TableFailed | SnapshotHeld | RowDigests | Rows
"""What the streams about tables carry, besides their end."""

M = TypeVar("M", TableMessage, FileMessage)


@dataclass(frozen=True, slots=True)
class MessageSet(Generic[M]):
    """What the streams of one kind of request carry.

    :ivar max_bytes: most bytes in one message; writers make them a few hundred KB, unless a single row is larger
    :ivar decoder: reads one of these messages, or the end of a stream
    :ivar count: number of items in a message, of which the end of the stream has the sum
    :ivar is_empty: whether a message has nothing in it, and only keeps the connection alive
    :ivar items: what is counted, for error messages
    :ivar content: the bytes at the end of a message that the digest of the stream leaves out
    :ivar too_large: class of the error for a message that is too large to send
    :ivar advice: what to do about it
    """

    max_bytes: int
    decoder: msgspec.msgpack.Decoder[Any]
    count: Callable[[M], int]
    is_empty: Callable[[M], bool]
    items: str
    content: Callable[[M], bytes | memoryview]
    too_large: type[SyncError]
    advice: str


def _count_rows(message: TableMessage) -> int:
    match message:
        case RowDigests() | Rows():
            return message.count
        case Segments():
            return sum(message.counts)
        case _:
            return 0


def _count_files(message: FileMessage) -> int:
    match message:
        case Content():  # first, since they are many
            return 0
        case Entries():
            return len(message.entries)
        case FileDigests():
            return len(message.digests)
        case Chunks():
            return len(message.lengths)
        case _:
            return 0


def _has_no_rows(message: TableMessage) -> bool:
    return isinstance(message, (RowDigests, Rows, Segments)) and not _count_rows(message)


def _has_no_files(message: FileMessage) -> bool:
    match message:
        case Content():
            return is_keep_alive(message)
        case Entries() | FileDigests() | Chunks():
            return not _count_files(message)
        case _:
            return False


def _content(message: FileMessage) -> bytes | memoryview:
    return message.data if isinstance(message, Content) else b""


TABLE_MESSAGES: MessageSet[TableMessage] = MessageSet(
    max_bytes=128 * 1024 * 1024,
    decoder=msgspec.msgpack.Decoder(TableMessage | End | Failure),
    count=_count_rows,
    is_empty=_has_no_rows,
    items="rows",
    content=lambda _: b"",
    too_large=TableError,
    advice="Leave out the largest column.",
)

FILE_MESSAGES: MessageSet[FileMessage] = MessageSet(
    max_bytes=16 * 1024 * 1024,
    decoder=msgspec.msgpack.Decoder(FileMessage | End | Failure),
    count=_count_files,
    is_empty=_has_no_files,
    items="entries",
    # Hashed once more, each byte of a file would cost more than everything else that is done with it.
    content=_content,
    too_large=FileError,
    advice="Shorten the paths, or exclude the files.",
)
