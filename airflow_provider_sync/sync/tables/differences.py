"""Find the rows in which source and target differ, both sides at work at the same time.

What is compared, and how a difference is read, is in :mod:`.reconcile`; here the two sides are asked.
How finely the tables are best cut is found out in :mod:`.sampling`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

import msgspec
from sqlalchemy import Connection

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.sample import digest_sample
from airflow_provider_sync.databases.table_slice import SegmentDigest, TableSlice
from airflow_provider_sync.exceptions import NOTHING_CHANGED, ProtocolError, SourceChangedError, TableError
from airflow_provider_sync.protocol.v2 import tsv
from airflow_provider_sync.protocol.v2.messages import (
    DIGEST_BYTES,
    MAX_KEYS,
    SHA256,
    Described,
    DescribeTable,
    DigestRows,
    Partitioning,
    RequestedSlice,
    RowDigests,
    Segments,
)
from airflow_provider_sync.protocol.v2.row_text import DIGEST_BITS, key_hash
from airflow_provider_sync.sync.tables.column_mapping import land, requested_slice_for
from airflow_provider_sync.sync.tables.reconcile import (
    Key,
    RowChanges,
    changed_rows,
    differing_segments,
    in_slices,
    joined,
    segment_ranges_of,
)
from airflow_provider_sync.sync.tables.target import Target

SLICE_ROWS = 100_000
"""Digests of about so many rows are held at once, on either side."""

SEGMENT_ROWS = 128
"""Rows that a segment should have about; a changed row costs their digests on the wire."""

FINEST_PARTS = 65_536

FILTER_COST = 0.25
"""What it takes to find rows by their keys' hashes, measured in scans that digest each row."""

MOST_SCANS = 4
"""Scans of the whole table that finding the rows may cost; beyond, the table is sent."""

MOST_DIGESTS = 4_000_000
"""Digests of rows of the source that are taken at once, where a single segment has so many: about 1 GB of memory."""

MOST_KEY_BYTES = 512 * 1024 * 1024

MOST_DELETED = 500_000
"""Keys of rows that only the target has, beyond which they are not held in memory."""

_INTEGER = re.compile("-?[0-9]+")

NO_ROWS = SegmentDigest(0, 0)
"""What a segment without rows holds."""

Found = TypeVar("Found")


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """What both sides hold, segment by segment.

    :ivar source: what the source announced
    :ivar own: what the target held, over the same partitioning
    :ivar differing: numbers of the segments that differ, ascending
    """

    target: Target
    table_slice: TableSlice
    described: Described
    source: Mapping[int, SegmentDigest]
    own: Mapping[int, SegmentDigest]
    differing: tuple[int, ...]

    @property
    def partitioning(self) -> Partitioning:
        """How the tables were cut."""
        return self.described.partitioning

    @property
    def requested_slice(self) -> RequestedSlice:
        """What to ask about from now on: the described columns by name, so that one that goes meanwhile is missed."""
        columns = tuple(column.name for column in self.described.columns)
        return msgspec.structs.replace(requested_slice_for(self.target), columns=columns)

    @property
    def source_rows(self) -> int:
        """Rows of the source."""
        return sum(segment.rows for segment in self.source.values())

    @property
    def target_rows(self) -> int:
        """Rows of the target."""
        return sum(segment.rows for segment in self.own.values())

    def rows_in(self, numbers: Iterable[int]) -> dict[int, int]:
        """Count the rows of segments, on both sides together."""
        return {number: sum(side[number].rows for side in (self.source, self.own) if number in side) for number in numbers}


class Differences(msgspec.Struct, frozen=True, kw_only=True):
    """Rows that differ.

    :ivar announced: the source's digests of the rows that it has, by key, as they came over the wire (48 bits)
    :ivar replaced: by segment, what the target held of rows that are updated or deleted
    """

    changes: RowChanges
    announced: Mapping[Key, int]
    replaced: Mapping[int, SegmentDigest] = {}


def compare_segments(
    client: SyncClient, database: Database, target: Target, partitioning: Partitioning | None = None, *, sample: int = 0
) -> Comparison:
    """Digest the segments of both sides, at the same time, and compare them.

    :param partitioning: how to cut the tables, if not as the source finds best
    :param sample: compare only so many segments, spread evenly, where the source can look them up by an index
    :raises TableError: when the target cannot hold what the source has
    """
    request = DescribeTable(
        table_slice=requested_slice_for(target),
        partitioning=partitioning,
        sample=sample,
        schemes=database.digests.schemes,
        probes=probes_of(client, database),
    )
    with client.describe_table(request) as answer:
        described = answer.described
        table_slice = msgspec.structs.replace(land(database, target, described), digest=described.digest)

        def own_segments(connection: Connection) -> dict[int, SegmentDigest]:
            _refuse_null_keys(database, connection, table_slice)
            if described.sample:
                return dict(digest_sample(database, connection, table_slice, described.partitioning, described.sample))
            return dict(database.digests.digest_segments(connection, table_slice, described.partitioning))

        source, own = _both(database, partial(_segments_in, answer), own_segments)
    differing = differing_segments(source, own)
    return Comparison(
        target=target, table_slice=table_slice, described=described, source=source, own=own, differing=tuple(differing)
    )


def probes_of(client: SyncClient, database: Database) -> dict[str, str]:
    """Ask the target's database for the digests that it has in common with the server's program, beside SHA-256."""
    capabilities = client.capabilities()
    if capabilities is None or set(capabilities.digests) <= {SHA256}:
        return {}
    with database.connect() as connection:
        return {name: probe for name, probe in database.digests.probes(connection).items() if name in capabilities.digests}


def ask_segments_again(
    client: SyncClient, database: Database, compared: Comparison, partitioning: Partitioning | None = None
) -> Mapping[int, SegmentDigest]:
    """Have the source digest its segments once more; rows that are new outside of all ranges are left to the next sync.

    :param partitioning: another one, for a stretch of ranges alone
    :raises SourceChangedError: when the source is not made as it was
    """
    before, requested_slice = compared.described, compared.requested_slice
    partitioning = partitioning or compared.partitioning
    if partitioning.scheme == "key_range":
        requested_slice = msgspec.structs.replace(requested_slice, key_range=(partitioning.low, partitioning.high))
    request = DescribeTable(
        table_slice=requested_slice, partitioning=partitioning, schemes=(partitioning.scheme,), probes=probes_of(client, database)
    )
    with client.describe_table(request) as answer:
        described = answer.described
        if (described.columns, described.key, described.digest) != (before.columns, before.key, before.digest):
            raise SourceChangedError(
                f"Table {compared.target.name!r}: the source's columns changed while it was compared.",
                NOTHING_CHANGED,
            )
        return _segments_in(answer)


def _segments_in(messages: Iterable[Segments]) -> dict[int, SegmentDigest]:
    segments: dict[int, SegmentDigest] = {}
    for message in messages:
        digests = map(SegmentDigest, message.counts, message.sums)
        segments.update(zip(message.numbers, digests, strict=True))
    return segments


def compare_finer(client: SyncClient, database: Database, compared: Comparison) -> Comparison:
    """Cut again where rows stand so thick in the segments that differ that asking for all their digests would not pay.

    That is so where nearly all keys are near to each other and a few far away, and where the source was wrong about how many
    rows it has. Buckets are cut finer, too, where looking into all that differ would take many scans.
    """
    rows = sum(compared.rows_in(compared.differing).values())
    parts = min(FINEST_PARTS, 1 << (compared.source_rows // SEGMENT_ROWS).bit_length())
    usual = 2 * compared.source_rows // parts
    if rows >= SLICE_ROWS // 2 and rows > 8 * usual * len(compared.differing):
        return compare_segments(client, database, compared.target, Partitioning(scheme="row_hash", segment_count=parts))
    if (
        scans_of(compared) > 2
        and 2 * compared.partitioning.segment_count <= FINEST_PARTS
        and len(compared.differing) < compared.partitioning.segment_count
    ):
        return compare_segments(
            client, database, compared.target, msgspec.structs.replace(compared.partitioning, segment_count=FINEST_PARTS)
        )
    return compared


def scans_of(compared: Comparison) -> float:
    """Count the scans of the whole table that it would take to compare all rows: buckets cannot be looked up."""
    if compared.partitioning.scheme == "key_range":
        return 0
    slices = -(-sum(compared.rows_in(compared.differing).values()) // _rows_at_once(compared))
    return slices * (FILTER_COST if compared.partitioning.scheme == "key_hash" else 1)


def _rows_at_once(compared: Comparison) -> int:
    """Rows of both sides whose digests are held at once; twice as many where each time costs a scan."""
    return (2 if compared.partitioning.scheme == "key_range" else 4) * SLICE_ROWS


def compare_rows(client: SyncClient, database: Database, compared: Comparison) -> Differences:
    """Digest the rows of the segments that differ, and compare them by key; as many as there are."""
    return _joined(compare_slices(client, database, compared))


def compare_few_rows(client: SyncClient, database: Database, compared: Comparison, most: float) -> Differences | None:
    """Compare rows as :func:`compare_rows` does, as long as no more than ``most`` have to be fetched.

    :return: ``None`` as soon as there are more, or many more that only the target has, so that keys do not fill the memory
    """
    held: list[Differences] = []
    wanted = deleted = 0
    for found in compare_slices(client, database, compared):
        held.append(found)
        wanted += len(found.announced)
        deleted += len(found.changes.deleted)
        if wanted > most or deleted > MOST_DELETED:
            return None
    return _joined(held)


def compare_slices(
    client: SyncClient, database: Database, compared: Comparison, connection: Connection | None = None
) -> Iterator[Differences]:
    """Compare rows as :func:`compare_rows` does, some segments after the other, so that few of their digests are in memory.

    A row whose bucket changed is deleted in one slice and inserted in another.

    :param connection: the only one that sees the table of this side; ``None`` to open a snapshot of its own
    """
    for numbers in slices_of(compared):
        yield compare_slice(client, database, compared, numbers, connection)


def slices_of(compared: Comparison) -> list[Sequence[int]]:
    """Cut the segments that differ into slices, of whose rows the digests are held at once."""
    return list(in_slices(compared.differing, compared.rows_in(compared.differing), _rows_at_once(compared)))


def _joined(parts: Iterable[Differences]) -> Differences:
    announced: dict[Key, int] = {}
    changes = []
    replaced: dict[int, SegmentDigest] = {}
    for found in parts:
        announced.update(found.announced)
        changes.append(found.changes)
        replaced = added(replaced, found.replaced)
    return Differences(changes=joined(changes), announced=announced, replaced=replaced)


def in_chunks(keys: Sequence[Key]) -> Iterator[Sequence[Key]]:
    """Cut keys into as many as go into one request."""
    for start in range(0, len(keys), MAX_KEYS):
        yield keys[start : start + MAX_KEYS]


def compare_slice(
    client: SyncClient,
    database: Database,
    compared: Comparison,
    numbers: Sequence[int],
    connection: Connection | None = None,
) -> Differences:
    """Digest the rows of some segments, and compare them by key.

    :param connection: see :func:`compare_slices`
    """
    table_slice, partitioning = compared.table_slice, compared.partitioning
    segment_ranges = segment_ranges_of(numbers)

    def own_rows(connection: Connection) -> dict[Key, int]:
        return {
            key: digest
            for batch in database.digests.digest_rows(connection, table_slice, partitioning, segment_ranges)
            for key, digest in batch
        }

    def source_rows() -> dict[Key, int]:
        asked = tuple(_inside(segment_ranges, partitioning))
        if not asked:
            return {}
        request = DigestRows(
            table_slice=compared.requested_slice, partitioning=partitioning, segment_ranges=asked, digest=table_slice.digest
        )
        announced = sum(compared.source[number].rows for number in numbers if number in compared.source)
        with client.digest_rows(request) as answer:
            return announced_digests(_limited(answer, compared, announced), len(table_slice.key))

    if connection is None:
        source, own = _both(database, source_rows, own_rows)
    else:
        source, own = source_rows(), own_rows(connection)
    changes = changed_rows(source, {key: to_wire(digest) for key, digest in own.items()})
    replaced = _by_segment(partitioning, {key: own[key] for key in (*changes.updated, *changes.deleted)})
    return Differences(changes=changes, announced={key: source[key] for key in changes.wanted}, replaced=replaced)


def announced_digests(messages: Iterable[RowDigests], key_columns: int) -> dict[Key, int]:
    """Read keys and digests as they come over the wire."""
    announced: dict[Key, int] = {}
    for message in messages:
        data = message.digests
        digests = (int.from_bytes(data[at : at + DIGEST_BYTES]) for at in range(0, len(data), DIGEST_BYTES))
        announced.update(zip(tsv.decode_keys(message.keys, key_columns), digests, strict=True))
    return announced


def _limited(messages: Iterable[RowDigests], compared: Comparison, announced: int) -> Iterator[RowDigests]:
    """Pass digests on as long as they are about as many as the source has announced, so that they do not fill the memory.

    :param announced: rows of these segments
    :raises SourceChangedError: for many more rows than that, which may have come meanwhile
    :raises ProtocolError: for more than anybody could hold
    """
    most, rows, size = 2 * announced + SLICE_ROWS, 0, 0
    for message in messages:
        rows += message.count
        size += len(message.keys)
        if rows > most:
            raise SourceChangedError(
                f"Table {compared.target.name!r}: the source announced {announced} rows, and sent digests of more than {rows}.",
                NOTHING_CHANGED,
            )
        if rows > MOST_DIGESTS or size > MOST_KEY_BYTES:
            raise ProtocolError(
                f"Table {compared.target.name!r}: the source sent {rows} digests at once, with {size} bytes of keys,"
                f" and {MOST_DIGESTS} with {MOST_KEY_BYTES} are allowed. Synchronise it in steps, or by a window."
            )
        yield message


def segment_of(key: str, partitioning: Partitioning) -> int:
    """Return the number of the range that a key is in; what is no integer is beyond all of them, as databases count it."""
    if not _INTEGER.fullmatch(key):
        return partitioning.segment_count
    number = int(key)
    if number < partitioning.low:
        return -1
    return partitioning.segment_count if number > partitioning.high else (number - partitioning.low) // partitioning.width


def _by_segment(partitioning: Partitioning, rows: Mapping[Key, int]) -> dict[int, SegmentDigest]:
    """Sum the 60-bit digests of rows by the segments that they are in."""
    segments: dict[int, SegmentDigest] = {}
    for key, digest in rows.items():
        if partitioning.scheme == "key_range":
            number = segment_of(key[0], partitioning)
        else:
            number = (
                key_hash(value.encode() for value in key) if partitioning.scheme == "key_hash" else digest
            ) >> partitioning.shift
        held = segments.get(number, NO_ROWS)
        segments[number] = SegmentDigest(held.rows + 1, (held.sum + digest) % 2**64)
    return segments


def added(one: Mapping[int, SegmentDigest], other: Mapping[int, SegmentDigest]) -> dict[int, SegmentDigest]:
    """Add digests, segment by segment; what has no rows in the end is left out."""
    return _combined(one, other, 1)


def without(one: Mapping[int, SegmentDigest], other: Mapping[int, SegmentDigest]) -> dict[int, SegmentDigest]:
    """Take the second digests from the first, segment by segment; what has no rows in the end is left out."""
    return _combined(one, other, -1)


def _combined(one: Mapping[int, SegmentDigest], other: Mapping[int, SegmentDigest], sign: int) -> dict[int, SegmentDigest]:
    segments = dict(one)
    for number, digest in other.items():
        held = segments.get(number, NO_ROWS)
        segments[number] = SegmentDigest(held.rows + sign * digest.rows, (held.sum + sign * digest.sum) % 2**64)
    return {number: digest for number, digest in segments.items() if digest != NO_ROWS}


def to_wire(digest: int) -> int:
    """Cut a row's digest to what goes over the wire."""
    return digest >> (DIGEST_BITS - 8 * DIGEST_BYTES)


def _refuse_null_keys(database: Database, connection: Connection, table_slice: TableSlice) -> None:
    column = database.reader.find_null(connection, table_slice.table, [column.column for column in table_slice.key])
    if column is not None:
        raise TableError(
            f"Table {str(table_slice.table)!r} has rows without a value in {column.name!r}, a column of the key."
            " Fill or delete them."
        )


def _inside(segment_ranges: Iterable[tuple[int, int]], partitioning: Partitioning) -> Iterable[tuple[int, int]]:
    """Cut stretches to the numbers that the source has: outside of its bounds there are rows of the target only."""
    for first, last in segment_ranges:
        if first < partitioning.segment_count and last >= 0:
            yield max(first, 0), min(last, partitioning.segment_count - 1)


def _both(database: Database, source: Callable[[], Found], own: Callable[[Connection], Found]) -> tuple[Found, Found]:
    """Do what concerns the target in another thread, over a snapshot, while the source is read here."""

    def over_snapshot() -> Found:
        with database.snapshot() as connection:
            return own(connection)

    with ThreadPoolExecutor(1, thread_name_prefix="target") as pool:
        waiting = pool.submit(over_snapshot)
        found = source()
        return found, waiting.result()
