"""The sets of messages that a stream may carry: those about tables, or those about directories."""

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
"""The messages of the streams about tables, besides the last one."""

M = TypeVar("M", TableMessage, FileMessage)


@dataclass(frozen=True, slots=True)
class MessageSet(Generic[M]):
    """The messages that one kind of stream may carry.

    :ivar max_bytes: maximum bytes of one message; writers make them a few hundred KB, unless a single row is larger
    :ivar decoder: decodes one of these messages, or the last message of a stream
    :ivar count: returns the number of items in a message; the last message of the stream has their sum
    :ivar is_empty: returns whether a message has no items, and only keeps the connection alive
    :ivar items: name of the items, for error messages
    :ivar content: returns the bytes at the end of a message that the digest of the stream leaves out
    :ivar too_large: class of the error for a message that is too large to send
    :ivar advice: what users can do about a message that is too large
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
    # Hashing each byte of a file a second time would cost more than all other work on it.
    content=_content,
    too_large=FileError,
    advice="Shorten the paths, or exclude the files.",
)
