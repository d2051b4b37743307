"""What one request asked for, and what it got: filled in while it is answered, read when its last byte has been sent.

This is the one source of the access log, the audit log and the metrics, so that they agree.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import TypeVar

from starlette.types import Scope

from airflow_provider_sync.protocol.v2.file_messages import Chunked, Content, Entries, FileDigests, FileMessage
from airflow_provider_sync.protocol.v2.framing import FramedContent
from airflow_provider_sync.protocol.v2.message_sets import TABLE_MESSAGES, TableMessage

CLIENT_GONE = 499
"""Status of a request whose client left before its answer began; servers call it so among themselves (nginx)."""

_KEY = "sync.account"

Table = TypeVar("Table", bound=TableMessage)


@dataclass(slots=True)
class RequestAccount:
    """The facts of one request. Its methods are called by one thread at a time.

    :ivar endpoint: name of the endpoint, as ``getRows``; empty for a path that is none
    :ivar token: name of the token; empty without one
    :ivar tables: names of the tables that it is about
    :ivar directory: name of the directory that it is about
    :ivar rows: whose values or digests were made for the answer
    :ivar files: whose entries, digests or contents were made for the answer
    :ivar source_seconds: that databases and disks took for them
    :ivar status: of the answer
    :ivar bytes_sent: of the answer's body, as it went out, compressed
    :ivar complete: whether the last byte of the answer was sent
    :ivar error: kind of the error that the answer tells of, or that it ended in; empty if none
    :ivar refused: whether the request had no valid token
    """

    endpoint: str = ""
    token: str = ""
    tables: list[str] = field(default_factory=list)
    directory: str = ""
    rows: int = 0
    files: int = 0
    source_seconds: float = 0.0
    status: int = CLIENT_GONE
    bytes_sent: int = 0
    complete: bool = False
    error: str = ""
    refused: bool = False
    began: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Seconds since the head of the request."""
        return time.monotonic() - self.began

    @property
    def has_content(self) -> bool:
        """Whether the answer has data or digests, or says that they are what the client knows."""
        return bool(self.tables or self.directory) and self.status in (200, 304)

    def about_table(self, name: str) -> None:
        """Note a table that the request is about, once it is known to be there for its sender."""
        self.tables.append(name)

    def about_directory(self, name: str) -> None:
        """Note the directory that the request is about, as above."""
        self.directory = name

    def failed(self, error: BaseException) -> None:
        """Note an error; the first one is the one that counts."""
        self.error = self.error or type(error).__name__

    def count(self, *, rows: int = 0, files: int = 0, seconds: float = 0.0) -> None:
        """Add to what was made for the answer."""
        self.rows += rows
        self.files += files
        self.source_seconds += seconds

    def counting_rows(self, messages: Generator[Table, None, None]) -> Generator[Table, None, None]:
        """Pass on messages about a table, and count their rows, and the time that it took to make them."""
        with closing(messages):
            for message, seconds in _timed(messages):
                self.count(rows=TABLE_MESSAGES.count(message), seconds=seconds)
                yield message

    def counting_tables(
        self, groups: Generator[Sequence[TableMessage], None, None]
    ) -> Generator[Sequence[TableMessage], None, None]:
        """Do the same for groups of messages about tables."""
        with closing(groups):
            for group, seconds in _timed(groups):
                self.count(rows=sum(map(TABLE_MESSAGES.count, group)), seconds=seconds)
                yield group

    def counting_files(
        self, groups: Generator[Sequence[FileMessage | FramedContent], None, None]
    ) -> Generator[Sequence[FileMessage | FramedContent], None, None]:
        """Do the same for groups of messages about files."""
        with closing(groups):
            for group, seconds in _timed(groups):
                self.count(files=sum(map(_files_in, group)), seconds=seconds)
                yield group


def begin_account(scope: Scope) -> RequestAccount:
    """Make the account of a request, for all who see its scope."""
    account = scope[_KEY] = RequestAccount()
    return account


def account_of(scope: Scope) -> RequestAccount:
    """Return the account of a request; outside of an application that keeps one, an account that nobody reads."""
    account: RequestAccount | None = scope.get(_KEY)
    return RequestAccount() if account is None else account


Item = TypeVar("Item")


def _timed(items: Iterable[Item]) -> Generator[tuple[Item, float], None, None]:
    """Yield each item with the seconds that it took to make, without those until the next one is asked for."""
    began = time.monotonic()
    for item in items:
        yield item, time.monotonic() - began
        began = time.monotonic()


def _files_in(message: FileMessage | FramedContent) -> int:
    match message:
        case FramedContent():
            return message.files
        case Content():
            return message.end is not None
        case Entries():
            return len(message.entries)
        case FileDigests():
            return len(message.digests)
        case _:
            return isinstance(message, Chunked)
