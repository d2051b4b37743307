"""Answers of version 1: tables, files and hashes of tables."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import msgspec

from airflow_provider_sync.client.body import Body
from airflow_provider_sync.client.open_answer import OpenAnswer
from airflow_provider_sync.config import SizeLimits
from airflow_provider_sync.exceptions import ConfigurationError, DamagedStreamError, IncompleteStreamError, ProtocolError
from airflow_provider_sync.printable import reason
from airflow_provider_sync.protocol.too_large import too_large
from airflow_provider_sync.protocol.v1 import EMPTY, MAX_NAME, TIME_ZONE_HEADER
from airflow_provider_sync.protocol.v1.compression import decompress
from airflow_provider_sync.protocol.v1.frames import MAX_METADATA_BYTES, Frame, read_frames
from airflow_provider_sync.protocol.v1.rows import Row, RowReader
from airflow_provider_sync.time_zones import TimeZone, time_zone_named

_OCTET_STREAM = "application/octet-stream"
_MAX_SHORT_BYTES = 64 * 1024
_ETAG = re.compile(rf'(?:W/)?"([0-9a-f]{{40}}|{EMPTY})"')


class TableAnswer(OpenAnswer):
    """The rows of a table, to be read once.

    :ivar hash: the hash of these rows, if the server sent it (this package's does on request); otherwise ``None``
    :ivar time_zone: the time zone of their TIMESTAMP texts, if the server sent it (this package's does); otherwise ``None``
    :ivar one_snapshot: whether all rows are from one snapshot; other servers read page by page, so writes may come in between
    """

    def __init__(self, body: Body, name: str, *, limits: SizeLimits) -> None:
        super().__init__(body, f"Table {name!r}", media_type=_OCTET_STREAM)
        self._max_rows = limits.max_rows
        self.time_zone = announced_time_zone(body)
        # Only this package's server announces its time zone. Another ETag may come from a proxy in front of another server.
        self.one_snapshot = self.time_zone is not None
        etag = _ETAG.fullmatch(body.response.headers.get("ETag", "").strip())
        self.hash: str | None = etag[1] if etag and self.one_snapshot else None
        limit, option = limits.max_table_bytes, "limits.max_table_bytes"
        self._reader = RowReader(decompress(body.chunks(limit=limit, option=option), limit=limit, option=option))

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns in the order of the values; known with the first batch, empty for an empty table."""
        return self._reader.columns

    @property
    def rows_received(self) -> int:
        """Rows read so far."""
        return self._reader.count

    def __iter__(self) -> Iterator[list[Row]]:
        """Yield batches of rows. The table is complete only if the iteration ends without an error.

        :raises IncompleteStreamError: when the body is cut, or the server stops sending
        :raises ProtocolError: when it is not a table
        :raises TableError: when the server lost rows that version 1 cannot carry
        :raises TransportError: when a time limit has run out
        :raises GuardError: when there are more rows, or bytes, than the limits allow
        """
        with self._with_subject():
            for rows in self._reader:
                if self._reader.count > self._max_rows:
                    raise too_large(self._max_rows, "limits.max_rows", what="The answer", unit="rows")
                self._body.progress()
                yield rows


def announced_time_zone(body: Body) -> TimeZone | None:
    """Return the time zone that the server announces for TIMESTAMP; ``None`` if it announces none.

    :raises ProtocolError: for a time zone that is unknown on this machine
    """
    name = body.response.headers.get(TIME_ZONE_HEADER)
    try:
        return None if name is None else time_zone_named(name)
    except ConfigurationError as error:
        raise ProtocolError(f"The server announces a time zone that is unknown on this machine: {str(name)[:80]!r}.") from error


class FilesAnswer(OpenAnswer):
    """The content of files, to be read once, in the order of the request."""

    def __init__(self, body: Body, name: str, paths: Sequence[str], *, limits: SizeLimits) -> None:
        super().__init__(body, f"Directory {name!r}", media_type=_OCTET_STREAM)
        self._limits = limits
        self._paths = tuple(paths)

    def __iter__(self) -> Iterator[Frame]:
        """Yield exactly the requested files. They are complete only if the iteration ends without an error.

        :raises IncompleteStreamError: when the body is cut before the end of the last file, or the server failed
        :raises ProtocolError: for a file that was not asked for
        :raises TransportError: when a time limit has run out
        :raises GuardError: for a file, or files, beyond the limits
        """
        with self._with_subject():
            received = 0
            option = "limits.max_directory_bytes"
            limit = self._limits.max_directory_bytes + len(self._paths) * MAX_METADATA_BYTES
            for frame in read_frames(self._body.chunks(limit=limit, option=option)):
                if received == len(self._paths):
                    raise ProtocolError(f"The server sent {frame.path!r} after all {received} files that were asked for.")
                if frame.path != self._paths[received]:
                    raise ProtocolError(f"The server sent {frame.path!r} where {self._paths[received]!r} was asked for.")
                if frame.size > self._limits.max_file_bytes:
                    raise too_large(self._limits.max_file_bytes, "limits.max_file_bytes", what=f"{frame.path!r}")
                received += 1
                frame.chunks = self._content(frame.chunks)
                yield frame
            if received < len(self._paths):
                raise IncompleteStreamError(
                    f"The server sent {received} of {len(self._paths)} files, and not {self._paths[received]!r}."
                    " Try again, with fewer files in one request."
                )

    def _content(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        with self._with_subject():
            for chunk in chunks:
                self._body.progress()
                yield chunk


class _TableHash(msgspec.Struct, frozen=True):
    hash: str


def read_short_json(body: Body) -> bytearray:
    """Read an answer of a few fields."""
    return body.json(limit=_MAX_SHORT_BYTES)


def read_table_hash(body: Body) -> str:
    """Read the answer to ``/getTableHash``.

    :raises ProtocolError: for anything that cannot be a hash
    :raises DamagedStreamError: for anything that is not JSON
    """
    text = read_short_json(body)
    try:
        value = msgspec.json.decode(text, type=_TableHash).hash
    except (msgspec.ValidationError, RecursionError) as error:
        raise ProtocolError(f"{body.url} did not answer with a hash: {reason(error)}. Check the URL.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DamagedStreamError(
            f"{body.url} did not answer with a hash: {reason(error)}. The answer was cut or damaged on its way. Try again."
        ) from error
    if not value or len(value) > MAX_NAME or not value.isprintable():
        raise ProtocolError(f"{body.url} answered with a hash of {len(value)} characters that cannot be one. Check the URL.")
    return value
