"""The version 2 table endpoints: segment digests, row digests and rows, each response from one snapshot."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from itertools import chain

import msgspec
from starlette.responses import Response

from airflow_provider_sync.config import SourceTable
from airflow_provider_sync.databases.held_snapshot import HeldSnapshot
from airflow_provider_sync.databases.sample import digest_sample, has_indexed_segments
from airflow_provider_sync.databases.table_slice import TableSlice
from airflow_provider_sync.protocol.v2.described_details import TableDetails
from airflow_provider_sync.protocol.v2.keep_alives import NO_ROW_DIGESTS, NO_ROWS, NO_SEGMENTS
from airflow_provider_sync.protocol.v2.messages import (
    DIGEST_BYTES,
    DIGESTS,
    ONE_SEGMENT,
    SHA256,
    ColumnDescription,
    Described,
    DescribeTable,
    DigestRows,
    GetRows,
    Partitioning,
    RowDigests,
    Rows,
    Segments,
)
from airflow_provider_sync.protocol.v2.row_text import DIGEST_BITS
from airflow_provider_sync.protocol.v2.stream import write_messages
from airflow_provider_sync.protocol.v2.tsv import encode_keys
from airflow_provider_sync.server.access.grants import Grant
from airflow_provider_sync.server.active_requests import ActiveRequest
from airflow_provider_sync.server.json_requests import invalid_field
from airflow_provider_sync.server.sources import Sources
from airflow_provider_sync.server.streaming import stream_messages, work_ahead
from airflow_provider_sync.server.tables.offered_details import offered_details
from airflow_provider_sync.server.tables.offered_tables import OfferedTables
from airflow_provider_sync.server.tables.open_table import OpenTable, open_table
from airflow_provider_sync.server.tables.slice_resolution import choose_partitioning, has_ranges, needs_scans, resolve_slice
from airflow_provider_sync.server.tables.snapshot_leases import SnapshotLeases
from airflow_provider_sync.server.tables.table_requests import (
    check_requested_segments,
    decode_requested_keys,
    decode_table_request,
)

MESSAGE_ROWS = 20_000
"""Number of row digests in one message: a few hundred KB with keys of usual size."""

MESSAGE_BYTES = 256 * 1024
"""Bytes of rows after which a message is sent."""

Answer = Described | Segments | RowDigests | Rows
Digests = Iterable[list[tuple[tuple[str, ...], int]]]


class TableAnswers:
    """Answers ``/describeTable``, ``/digestRows`` and ``/getRows``.

    A request contains everything on which its response depends, unless it names a held snapshot.
    """

    def __init__(self, sources: Sources, tables: OfferedTables, leases: SnapshotLeases) -> None:
        self._sources = sources
        self._tables = tables
        self._leases = leases

    def describe(self, body: bytes, accept: str, grant: Grant, active: ActiveRequest) -> Response:
        """Send the description of a table at once, then the digests of its segments."""
        visible = self._tables.visible_to(grant)
        request = decode_table_request(body, DescribeTable, visible)
        if request.partitioning is not None:
            check_requested_segments((), request.partitioning)

        def messages(opened: OpenTable) -> Generator[Answer, None, None]:
            details = partial(offered_details, opened, visible, self._sources) if request.details else None
            return describe_opened(opened, request, details=details)

        source = visible[request.table_slice.name]
        held = self._leases.find(request.table_slice, source, grant)
        return self._stream(source, held, accept, active, messages, idle=NO_SEGMENTS)

    def digests(self, body: bytes, accept: str, grant: Grant, active: ActiveRequest) -> Response:
        """Send keys and digests of the rows in some segments, or of the rows with some keys."""
        visible = self._tables.visible_to(grant)
        request = decode_table_request(body, DigestRows, visible)
        if request.keys is None:
            check_requested_segments(request.segment_ranges, request.partitioning)

        def messages(opened: OpenTable) -> Generator[Answer, None, None]:
            table_slice = resolve_slice(opened, request.table_slice)
            if request.digest != SHA256 and request.digest not in opened.database.digests.probes(opened.connection):
                raise invalid_field("digest", f"The digest {request.digest!r} cannot be computed in this table's database.")
            return _row_digests(_digests(opened, msgspec.structs.replace(table_slice, digest=request.digest), request))

        source = visible[request.table_slice.name]
        held = self._leases.find(request.table_slice, source, grant)
        return self._stream(source, held, accept, active, messages, idle=NO_ROW_DIGESTS)

    def rows(self, body: bytes, accept: str, grant: Grant, active: ActiveRequest) -> Response:
        """Send the rows with some keys, or all rows; before them the description of the table, if requested."""
        visible = self._tables.visible_to(grant)
        request = decode_table_request(body, GetRows, visible)

        def messages(opened: OpenTable) -> Generator[Answer, None, None]:
            table_slice = resolve_slice(opened, request.table_slice)
            keys = None if request.keys is None else decode_requested_keys(request.keys, table_slice.key)
            has_none = keys is not None and not keys
            rows = _rows(() if has_none else opened.database.reader.read_text(opened.connection, table_slice, keys))
            return _described_rows(opened, request, rows) if request.describe else rows

        source = visible[request.table_slice.name]
        held = self._leases.find(request.table_slice, source, grant)
        return self._stream(source, held, accept, active, messages, idle=NO_ROWS)

    def _stream(
        self,
        source: SourceTable,
        held: HeldSnapshot | None,
        accept: str,
        active: ActiveRequest,
        make_messages: Callable[[OpenTable], Generator[Answer, None, None]],
        *,
        idle: Answer,
    ) -> Response:
        """Respond with messages from a snapshot.

        :param held: a held snapshot to read instead of a new one
        :param idle: the keep-alive, a message without rows, sent while the database computes
        """
        active.account.about_table(source.name)
        with ExitStack() as stack:
            opened = stack.enter_context(open_table(self._sources, source, active, held))
            made = active.account.counting_rows(opened.masking_errors(make_messages(opened)))
            messages = work_ahead(made, idle=idle)
            return stream_messages(
                write_messages,
                messages,
                accept,
                active,
                what=f"Table {source.name!r}",
                # A snapshot that is held for a run stays open anyway.
                ahead=held is None and opened.database.reader.blocks_writers(opened.connection),
                close=stack.pop_all().close,
            )


def describe_opened(
    opened: OpenTable,
    request: DescribeTable,
    *,
    max_rows: int | None = None,
    details: Callable[[TableSlice], TableDetails] | None = None,
) -> Generator[Described | Segments, None, None]:
    """Check an open table and its key; return its description, then the digests of its segments.

    :param max_rows: estimated number of rows above which no digests are sent; ``None`` for no limit
    :param details: returns the indexes, foreign keys, defaults and comments to send; ``None`` for none
    :raises InvalidRequest: for columns, windows and partitionings that do not exist or are not allowed
    :raises TableError: when the configuration does not fit the table, or its key does not identify a row
    """
    table_slice = resolve_slice(opened, request.table_slice)
    opened.check_key(table_slice.key_columns)
    if request.partitioning is not None:
        _refuse_scheme(opened, table_slice, request.partitioning)
    table_slice = msgspec.structs.replace(table_slice, digest=_common_digest(opened, request.probes))
    return _description(opened, table_slice, request, max_rows, None if details is None else details(table_slice))


def _description(
    opened: OpenTable,
    table_slice: TableSlice,
    request: DescribeTable,
    max_rows: int | None,
    details: TableDetails | None,
) -> Generator[Described | Segments, None, None]:
    database = opened.database
    rows = database.digests.estimate_rows(opened.connection, table_slice)
    if max_rows is not None and rows <= max_rows and not table_slice.table.is_derived:
        # One segment is enough for a small table: if it differs, the client asks again with finer segments.
        partitioning = ONE_SEGMENT
    else:
        partitioning = request.partitioning or choose_partitioning(opened, table_slice, rows, request.schemes)
    sample = request.sample if has_indexed_segments(table_slice, partitioning) else 0
    yield Described(
        columns=tuple(
            ColumnDescription(name=column.column.name, type=column.type, nullable=column.column.nullable)
            for column in table_slice.columns
        ),
        key=table_slice.key_names,
        rows=rows,
        partitioning=partitioning,
        digest=table_slice.digest,
        sample=sample,
        scanned=needs_scans(table_slice, partitioning),
        details=details,
        derived=table_slice.table.is_derived,
    )
    if not request.digests or (max_rows is not None and rows > max_rows):
        return
    if sample:
        found = digest_sample(database, opened.connection, table_slice, partitioning, sample)
    else:
        found = database.digests.digest_segments(opened.connection, table_slice, partitioning)
    # Rows inserted outside of the described key range since then are left to the next sync.
    segments = sorted((number, segment) for number, segment in found.items() if 0 <= number < partitioning.segment_count)
    yield Segments(
        numbers=tuple(number for number, _ in segments),
        counts=tuple(segment.rows for _, segment in segments),
        sums=tuple(segment.sum for _, segment in segments),
    )


def _described_rows(opened: OpenTable, request: GetRows, rows: Generator[Answer]) -> Generator[Answer, None, None]:
    """Yield the description of a table, then its rows, both from one snapshot."""
    described = describe_opened(opened, DescribeTable(table_slice=request.table_slice, digests=False))

    def messages() -> Generator[Answer, None, None]:
        yield from described
        yield from rows

    return messages()


def _common_digest(opened: OpenTable, probes: Mapping[str, str]) -> str:
    """Return the fastest digest that both this table's database and the client's database compute."""
    supported = opened.database.digests.probes(opened.connection) if probes else {}
    return next((name for name in DIGESTS if name in supported and supported[name] == probes.get(name)), SHA256)


def _refuse_scheme(opened: OpenTable, table_slice: TableSlice, partitioning: Partitioning) -> None:
    if partitioning.scheme not in opened.database.digests.schemes:
        raise invalid_field(
            "partitioning", f"Table {opened.source.name!r} is in a database that cannot partition it by key hash."
        )
    if partitioning.scheme == "key_range" and not has_ranges(table_slice):
        raise invalid_field(
            "partitioning", f"Table {opened.source.name!r} has no single integer key, so it cannot be partitioned by key range."
        )


def _digests(opened: OpenTable, table_slice: TableSlice, request: DigestRows) -> Digests:
    database = opened.database
    if request.keys is not None:
        keys = decode_requested_keys(request.keys, table_slice.key)
        return database.digests.digest_keys(opened.connection, table_slice, keys) if keys else ()
    _refuse_scheme(opened, table_slice, request.partitioning)
    return (
        database.digests.digest_rows(opened.connection, table_slice, request.partitioning, request.segment_ranges)
        if request.segment_ranges
        else ()
    )


def _row_digests(batches: Digests) -> Generator[Answer, None, None]:
    shift = DIGEST_BITS - 8 * DIGEST_BYTES
    for rows in _joined(batches):
        yield RowDigests(
            count=len(rows),
            keys=encode_keys([key for key, _ in rows]),
            digests=b"".join([(digest >> shift).to_bytes(DIGEST_BYTES) for _, digest in rows]),
        )


def _joined(batches: Digests) -> Iterator[list[tuple[tuple[str, ...], int]]]:
    waiting: list[tuple[tuple[str, ...], int]] = []
    for batch in batches:
        waiting += batch
        if len(waiting) >= MESSAGE_ROWS:
            yield waiting
            waiting = []
    if waiting:
        yield waiting


def _rows(blocks: Iterable[tuple[int, bytes]]) -> Generator[Answer, None, None]:
    waiting: list[bytes] = []
    rows = size = 0
    for count, block in chain(blocks, [(0, b"")]):
        waiting.append(block)
        rows += count
        size += len(block)
        if rows and (size >= MESSAGE_BYTES or not count):
            yield Rows(count=rows, data=b"".join(waiting))
            waiting, rows, size = [], 0, 0
