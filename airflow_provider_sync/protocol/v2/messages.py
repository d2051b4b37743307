"""Requests and answers of version 2: requests are JSON, answers are streams of the messages below.

:mod:`.stream` frames, compresses and ends a stream of messages.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from airflow_provider_sync.protocol.v2.described_details import TableDetails
from airflow_provider_sync.protocol.v2.row_text import DIGEST_BITS, KEY_HASH_BITS
from airflow_provider_sync.protocol.v2.types import LogicalType

DIGEST_BYTES = 6
"""Bytes of a row's digest on the wire: the highest 48 of its 60 bits."""

SHA256 = "sha256"
"""Name of the digest that every client and server supports; see :mod:`.row_text`."""

PGHASH = "pghash"
"""Name of the digest for two PostgreSQL databases whose hash functions agree; see ``docs/reference/protocol-v2.md``."""

DIGESTS = (PGHASH, SHA256)
"""Names of the supported digests, the fastest first."""


MAX_SEGMENTS = 65_536
"""Maximum segments of a partitioning."""

MAX_KEYS = 100_000
"""Maximum keys in one request: a few MB for keys of usual length."""

MAX_COLUMNS = 32_768
"""Maximum columns of a table; SQLite can be compiled to allow 32,767."""

MAX_SAMPLE = 256
"""Maximum segments of a sample; each takes one statement."""

MAX_TABLES = 200
"""Maximum tables in one request."""

MAX_SNAPSHOT_TABLES = 20_000
"""Maximum tables for which one snapshot is held."""

MAX_SNAPSHOT_NAME = 200
"""Maximum characters of a snapshot's name."""

KeyRange = tuple[int | None, int | None]
"""Lowest and highest integer key, both included; ``None`` for an open end."""


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``GET capabilities``.

    :ivar protocol: 2
    :ivar tables: names of the tables that this token may see, each with the columns that windows may use
    :ivar directories: names of the directories that this token may see
    :ivar compressions: in order of preference: ``zstd``, ``gzip``
    :ivar digests: names of the row digests that the server knows; a table's database may not be able to compute all of them
    :ivar file_digests: names of the file digests that the server knows; empty if it serves directories by version 1 only
    :ivar tables_per_request: maximum tables in one ``describeTables``; 0 for a server without that endpoint
    :ivar details: whether :attr:`DescribeTable.details` may be asked for
    :ivar snapshots: whether the server holds snapshots for its clients (``holdSnapshot``)
    :ivar described_rows: whether :attr:`GetRows.describe` may be asked for
    :ivar named_keys: whether :attr:`RequestedSlice.key` may be sent
    """

    protocol: int = 2
    tables: dict[str, tuple[str, ...]] = {}
    directories: tuple[str, ...] = ()
    compressions: tuple[str, ...] = ("zstd", "gzip")
    digests: tuple[str, ...] = (SHA256,)
    file_digests: tuple[str, ...] = ()
    tables_per_request: Annotated[int, msgspec.Meta(ge=0)] = 0
    details: bool = False
    snapshots: bool = False
    described_rows: bool = False
    named_keys: bool = False


class Window(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A half-open range of a column's values: it selects rows with ``start <= column < end``, never NULL.

    :ivar start: canonical text of the first value
    :ivar end: canonical text of the value after the last
    """

    column: str
    start: str
    end: str


ALL_COLUMNS = ("*",)
"""Stands for all columns in :attr:`RequestedSlice.trailing_zeros`."""


class ColumnDescription(msgspec.Struct, frozen=True, kw_only=True):
    """One column of the source."""

    name: str
    type: LogicalType
    nullable: bool = True


class RequestedSlice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The slice of the source's table that a request selects: its rows, columns and key range.

    :ivar columns: names at the source; ``None`` for all; the primary key is always included
    :ivar key: the key columns as they were described. The server refuses the request if the key or its types have changed since,
        and sends the columns in the order in which ``columns`` names them. Only for servers with :attr:`Capabilities.named_keys`
    :ivar key_range: select only rows with these keys, if the key is a single integer
    :ivar trailing_zeros: names at the source of decimal columns of any scale whose values keep trailing zeros, or ``*`` for all
    :ivar snapshot: name of the snapshot to read, as ``holdSnapshot`` gave it; ``None`` for the rows as they are now
    """

    name: str
    columns: tuple[str, ...] | None = None
    key: Annotated[tuple[ColumnDescription, ...], msgspec.Meta(max_length=MAX_COLUMNS)] = ()
    window: Window | None = None
    key_range: KeyRange | None = None
    trailing_zeros: tuple[str, ...] = ()
    snapshot: Annotated[str, msgspec.Meta(max_length=MAX_SNAPSHOT_NAME)] | None = None


Scheme = Literal["key_range", "row_hash", "key_hash"]


class Partitioning(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a table is cut into segments, numbered from 0.

    Client and server cut in the same way, so a segment's number means the same on both sides.

    - ``key_range``: by the integer key, from ``low`` to ``high``, in segments of ``width`` keys; the last may be shorter.
    - ``row_hash``: by the highest ``log2(segment_count)`` bits of the row's digest; ``segment_count`` is a power of two.
    - ``key_hash``: like ``row_hash``, but by the hash of the key (:func:`.row_text.key_hash`).

    :ivar low: lowest key of the source; 0 for ``row_hash`` and ``key_hash``
    :ivar high: highest key of the source; -1 for an empty table, and for ``row_hash`` and ``key_hash``
    """

    scheme: Scheme
    segment_count: int
    low: int = 0
    high: int = -1

    @property
    def width(self) -> int:
        """Number of keys in one segment, at least 1."""
        return max(1, -(-(self.high - self.low + 1) // self.segment_count))

    @property
    def shift(self) -> int:
        """Number of bits to shift a row's digest, or a key's hash, to the right to get its segment's number."""
        return (KEY_HASH_BITS if self.scheme == "key_hash" else DIGEST_BITS) - (self.segment_count.bit_length() - 1)

    @property
    def is_whole(self) -> bool:
        """Whether every row is in segment 0, whatever its key, so that rows need no grouping."""
        return self.segment_count == 1 and self.scheme != "key_range"


ONE_SEGMENT = Partitioning(scheme="row_hash", segment_count=1)
"""The whole table as one segment."""


class DescribeTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Request of ``describeTable``.

    :ivar digests: whether to send the digests of the segments
    :ivar partitioning: how to cut the table; ``None`` lets the source choose. A client asks for a finer one when a few segments
        hold too many rows, or when nearly all segments differ in few rows
    :ivar sample: maximum number of segments, spread evenly, whose digests to send; 0 for all. A source that cannot look up single
        segments by an index sends all
    :ivar schemes: partitioning schemes that the target's database supports
    :ivar probes: the digests besides SHA-256 that the target's database can compute, each with its result for fixed texts;
        only for servers whose capabilities name such digests
    :ivar details: whether to send indexes, foreign keys, defaults and comments, too; only for servers with
        :attr:`Capabilities.details`
    """

    table_slice: RequestedSlice
    digests: bool = True
    partitioning: Partitioning | None = None
    sample: Annotated[int, msgspec.Meta(ge=0, le=MAX_SAMPLE)] = 0
    schemes: tuple[Scheme, ...] = ("key_range", "row_hash")
    probes: dict[str, str] = {}
    details: bool = False


class DescribeTables(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Request of ``describeTables``: describe many tables, and digest the segments of the small ones, in one answer.

    :ivar table_slices: slices to describe, in the order of the answers
    :ivar max_rows: maximum rows, by the source's estimate, of a table whose digests to send; a larger one is only described
    :ivar schemes: see :class:`DescribeTable`
    :ivar probes: see :class:`DescribeTable`
    """

    table_slices: Annotated[tuple[RequestedSlice, ...], msgspec.Meta(min_length=1, max_length=MAX_TABLES)]
    max_rows: Annotated[int, msgspec.Meta(ge=0)]
    schemes: tuple[Scheme, ...] = ("key_range", "row_hash")
    probes: dict[str, str] = {}


class DigestRows(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Request of ``digestRows``: the key and digest of every row in these segments, or of the rows with these keys.

    :ivar segment_ranges: first and last number of each range of segments, ascending
    :ivar keys: TSV of canonical key texts, one line a key; ``partitioning`` and ``segment_ranges`` are then ignored
    :ivar digest: name of the digest, as in the table's description
    """

    table_slice: RequestedSlice
    partitioning: Partitioning
    segment_ranges: tuple[tuple[int, int], ...] = ()
    keys: str | None = None
    digest: str = SHA256


class GetRows(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Request of ``getRows``: the rows with these keys, or all rows.

    :ivar keys: TSV of canonical key texts, one line a key; ``None`` for every row of the slice
    :ivar describe: whether to send :class:`Described` first, from the same snapshot as the rows; only for servers with
        :attr:`Capabilities.described_rows`
    """

    table_slice: RequestedSlice
    keys: str | None = None
    describe: bool = False


class HoldSnapshot(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Request of ``holdSnapshot``: hold one state of a database until the client closes the connection.

    :ivar tables: names of the tables to read, all in one database
    """

    tables: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=MAX_SNAPSHOT_TABLES)]


class Described(msgspec.Struct, frozen=True, kw_only=True, tag="described", omit_defaults=True):
    """First message of ``describeTable``, and of ``getRows`` if requested.

    :ivar key: names of the columns that identify a row
    :ivar rows: number of rows, estimated
    :ivar digest: name of the digest by which rows are compared
    :ivar sample: maximum number of segments whose digests follow; 0 for all
    :ivar scanned: whether the source has to scan a view or a query to find the rows of a segment, for lack of an index
    :ivar details: indexes, foreign keys, defaults and comments, if requested
    :ivar derived: whether it is a view or a query, which may have other rows each time that it runs
    """

    # In msgpack the length precedes the content, so the decoder checks these limits before it decodes the content.
    columns: Annotated[tuple[ColumnDescription, ...], msgspec.Meta(max_length=MAX_COLUMNS)]
    key: Annotated[tuple[str, ...], msgspec.Meta(max_length=MAX_COLUMNS)]
    rows: int
    partitioning: Partitioning
    digest: str = SHA256
    sample: int = 0
    scanned: bool = False
    details: TableDetails | None = None
    derived: bool = False

    @property
    def key_columns(self) -> tuple[ColumnDescription, ...]:
        """The columns of the key."""
        by_name = {column.name: column for column in self.columns}
        return tuple(by_name[name] for name in self.key)


class Segments(msgspec.Struct, frozen=True, kw_only=True, tag="segments"):
    """Digests of segments that have rows.

    :ivar numbers: numbers of the segments, ascending
    :ivar sums: for each segment, the sum of its rows' 60-bit digests, modulo 2**64
    """

    numbers: Annotated[tuple[int, ...], msgspec.Meta(max_length=MAX_SEGMENTS)]
    counts: Annotated[tuple[int, ...], msgspec.Meta(max_length=MAX_SEGMENTS)]
    sums: Annotated[tuple[int, ...], msgspec.Meta(max_length=MAX_SEGMENTS)]


class TableDone(msgspec.Struct, frozen=True, kw_only=True, tag="table_done", omit_defaults=True):
    """Last message of one table in the answer to ``describeTables``.

    :ivar number: number of the table in the request, from 0
    :ivar digested: whether the digests of its segments were sent before; false for a table with more rows than the request allows
    """

    number: int
    digested: bool = True


class TableFailed(msgspec.Struct, frozen=True, kw_only=True, tag="table_failed"):
    """Last message of one table that cannot be described or digested, in place of :class:`TableDone`; other tables follow.

    :ivar number: number of the table in the request, from 0
    :ivar status: HTTP status with which ``describeTable`` would answer for this table alone
    :ivar message: what happened and what to do
    """

    number: int
    status: int
    message: str


class SnapshotHeld(msgspec.Struct, frozen=True, kw_only=True, tag="snapshot_held"):
    """First message of ``holdSnapshot``; only keep-alives follow.

    :ivar snapshot: name of the snapshot, for :attr:`RequestedSlice.snapshot`
    :ivar seconds: longest time for which the server holds it
    """

    snapshot: Annotated[str, msgspec.Meta(max_length=MAX_SNAPSHOT_NAME)]
    seconds: float


class RowDigests(msgspec.Struct, frozen=True, kw_only=True, tag="digests"):
    """Keys and digests of rows.

    :ivar count: number of rows
    :ivar keys: TSV of canonical key texts, one line a key
    :ivar digests: :data:`DIGEST_BYTES` bytes for each row, big-endian
    """

    count: int
    keys: bytes
    digests: bytes


class Rows(msgspec.Struct, frozen=True, kw_only=True, tag="rows"):
    """Rows of a table.

    :ivar count: number of rows
    :ivar data: TSV of canonical texts in the order of the description; see :mod:`.tsv`
    """

    count: int
    data: bytes


class End(msgspec.Struct, frozen=True, kw_only=True, tag="end"):
    """Last message of every complete stream; a stream without it was cut off.

    :ivar rows: number of rows in all earlier messages
    :ivar digest: SHA-256, hex, over the bytes of all earlier messages
    """

    rows: int
    digest: str


class Failure(msgspec.Struct, frozen=True, kw_only=True, tag="failure"):
    """Last message of a stream that cannot be completed, in place of :class:`End`.

    :ivar status: HTTP status that the answer would have if the stream had not begun
    :ivar message: what happened and what to do
    :ivar of_table: whether the reason is the table, such as its lock, so that requests for others may be answered
    """

    status: int
    message: str
    of_table: bool = False


Message = Described | Segments | TableDone | TableFailed | SnapshotHeld | RowDigests | Rows | End | Failure
