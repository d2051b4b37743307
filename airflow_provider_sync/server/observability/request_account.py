"""The account of one request and its response, filled in while it is handled, and read after the last byte has been sent.

The access log, the audit log and the metrics all use it, so that they agree.
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
"""Status of a request whose client disconnected before the response began, as nginx logs it."""

_KEY = "sync.account"

Table = TypeVar("Table", bound=TableMessage)


@dataclass(slots=True)
class RequestAccount:
    """The facts of one request. Its methods are called by one thread at a time.

    :ivar endpoint: name of the endpoint, such as ``getRows``; empty for an unknown path
    :ivar token: name of the token; empty without one
    :ivar tables: names of the requested tables
    :ivar directory: name of the requested directory
    :ivar rows: number of rows whose values or digests were produced
    :ivar files: number of files whose entries, digests or contents were produced
    :ivar source_seconds: seconds that databases and disks took to produce them
    :ivar status: HTTP status of the response
    :ivar bytes_sent: size of the response's body on the wire, after compression
    :ivar complete: whether the last byte of the response was sent
    :ivar error: kind of the error in the response, or that ended it; empty if none
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
        """Seconds since the head of the request arrived."""
        return time.monotonic() - self.began

    @property
    def has_content(self) -> bool:
        """Whether the response has data or digests, or says that the client's are current."""
        return bool(self.tables or self.directory) and self.status in (200, 304)

    def about_table(self, name: str) -> None:
        """Record a requested table, once it is known that the sender may see it."""
        self.tables.append(name)

    def about_directory(self, name: str) -> None:
        """Record the requested directory, once it is known that the sender may see it."""
        self.directory = name

    def failed(self, error: BaseException) -> None:
        """Record an error; only the first one is kept."""
        self.error = self.error or type(error).__name__

    def count(self, *, rows: int = 0, files: int = 0, seconds: float = 0.0) -> None:
        """Add to the numbers of rows and files, and to the seconds that they took."""
        self.rows += rows
        self.files += files
        self.source_seconds += seconds

    def counting_rows(self, messages: Generator[Table, None, None]) -> Generator[Table, None, None]:
        """Yield messages about a table, and count their rows and the time to make them."""
        with closing(messages):
            for message, seconds in _timed(messages):
                self.count(rows=TABLE_MESSAGES.count(message), seconds=seconds)
                yield message

    def counting_tables(
        self, groups: Generator[Sequence[TableMessage], None, None]
    ) -> Generator[Sequence[TableMessage], None, None]:
        """Yield groups of messages about tables, and count their rows and the time to make them."""
        with closing(groups):
            for group, seconds in _timed(groups):
                self.count(rows=sum(map(TABLE_MESSAGES.count, group)), seconds=seconds)
                yield group

    def counting_files(
        self, groups: Generator[Sequence[FileMessage | FramedContent], None, None]
    ) -> Generator[Sequence[FileMessage | FramedContent], None, None]:
        """Yield groups of messages about files, and count the files and the time to make them."""
        with closing(groups):
            for group, seconds in _timed(groups):
                self.count(files=sum(map(_files_in, group)), seconds=seconds)
                yield group


def begin_account(scope: Scope) -> RequestAccount:
    """Make the account of a request, and store it in the scope."""
    account = scope[_KEY] = RequestAccount()
    return account


def account_of(scope: Scope) -> RequestAccount:
    """Return the account of a request; an unused one if the application keeps no accounts."""
    account: RequestAccount | None = scope.get(_KEY)
    return RequestAccount() if account is None else account


Item = TypeVar("Item")


def _timed(items: Iterable[Item]) -> Generator[tuple[Item, float], None, None]:
    """Yield each item with the seconds that it took to make, not counting the time until the next one is requested."""
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
