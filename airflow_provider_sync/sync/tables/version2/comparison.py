"""Digest source and target at the same time, and compare the digests.

::

    source  ── describe ─┬─ digests of its segments ─┐
    target               └─ digests of its segments ─┴─ those that differ ── digests of their rows ── rows that differ

:mod:`.plan` decides which digests to request; :mod:`.follow_plan` follows the plan.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

import msgspec
from sqlalchemy import Connection

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.sample import digest_sample
from airflow_provider_sync.databases.table_slice import Key, SegmentDigest
from airflow_provider_sync.exceptions import NOTHING_CHANGED, ProtocolError, SourceChangedError
from airflow_provider_sync.merge.history import several_current
from airflow_provider_sync.merge.target_key import refuse_null_keys
from airflow_provider_sync.protocol.v2.messages import (
    DescribeTable,
    DigestRows,
    Partitioning,
    RowDigests,
)
from airflow_provider_sync.sync.tables.target import Target
from airflow_provider_sync.sync.tables.version2 import batch_sizes
from airflow_provider_sync.sync.tables.version2.column_mapping import map_columns, requested_slice_for
from airflow_provider_sync.sync.tables.version2.compared_segments import ComparedSegments
from airflow_provider_sync.sync.tables.version2.row_changes import (
    Differences,
    RowChanges,
    changed_rows,
    changes_of_mode,
    combine,
    with_updated,
)
from airflow_provider_sync.sync.tables.version2.row_lookups import announced_digests, digests_by_key, keys_at_target
from airflow_provider_sync.sync.tables.version2.segment_digests import (
    SegmentDigests,
    differing_segments,
    digest_by_segment,
    ranges_at_source,
    segment_ranges_of,
    wire_digest,
)
from airflow_provider_sync.sync.tables.version2.source_digests import probes_of, read_segments

Found = TypeVar("Found")


def compare_segments(
    client: SyncClient, database: Database, target: Target, partitioning: Partitioning | None = None, *, sample: int = 0
) -> ComparedSegments:
    """Digest the segments of both sides, at the same time, and compare them.

    :param partitioning: of both tables; ``None`` lets the source choose
    :param sample: number of segments to compare, spread evenly, if the source can look them up by an index; 0 for all
    :raises TableError: if the target cannot hold the source's columns
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
        table_slice = msgspec.structs.replace(map_columns(database, target, described), digest=described.digest)

        def digest_target(connection: Connection) -> dict[int, SegmentDigest]:
            refuse_null_keys(database, connection, table_slice.table, table_slice.key_columns)
            if described.sample:
                return dict(digest_sample(database, connection, table_slice, described.partitioning, described.sample))
            return dict(database.digests.digest_segments(connection, table_slice, described.partitioning))

        source, held = _ask_both(database, partial(read_segments, answer), digest_target)
    differing = differing_segments_of(target, source, held)
    return ComparedSegments(
        target=target,
        table_slice=table_slice,
        described=described,
        source_segments=source,
        target_segments=held,
        differing=tuple(differing),
        mode=target.mode,
    )


def differing_segments_of(target: Target, source: SegmentDigests, held: SegmentDigests) -> list[int]:
    """Return the numbers of the segments in which a sync may have something to change, ascending.

    With a mode that keeps rows, segments with surplus target rows need no change, except that a row which left the window at the
    source must be updated.
    """
    differing = differing_segments(source, held)
    if not target.mode.keeps_rows or (target.mode.name == "upsert" and target.options.window):
        return differing
    return [number for number in differing if number in source]


def compare_rows(client: SyncClient, database: Database, compared: ComparedSegments) -> Differences:
    """Compare the rows of all segments that differ, without a limit on their number."""
    return combine(compare_slice(client, database, compared, numbers) for numbers in compared.slices())


def compare_slice(
    client: SyncClient,
    database: Database,
    compared: ComparedSegments,
    numbers: Sequence[int],
    connection: Connection | None = None,
) -> Differences:
    """Digest the rows of some segments on both sides, and compare them by key.

    When partitioned by row hash, a changed row may appear as deleted in one slice and as inserted in another.

    :param numbers: numbers of the segments, ascending
    :param connection: the connection to use if no other can see the target's table; ``None`` to open a snapshot
    """
    table_slice, partitioning = compared.table_slice, compared.partitioning
    segment_ranges = segment_ranges_of(numbers)

    def digest_target(connection: Connection) -> dict[Key, int]:
        rows, digests = 0, dict[Key, int]()
        for batch in database.digests.digest_rows(connection, table_slice, partitioning, segment_ranges):
            rows += len(batch)
            digests.update(batch)
        if compared.mode.valid_to and rows > len(digests):
            raise several_current(compared.mode.valid_to).with_subject(f"Table {compared.target.name!r}")
        return digests

    def digest_source() -> dict[Key, int]:
        asked = tuple(ranges_at_source(segment_ranges, partitioning))
        if not asked:
            return {}
        request = DigestRows(
            table_slice=compared.requested_slice, partitioning=partitioning, segment_ranges=asked, digest=table_slice.digest
        )
        with client.digest_rows(request) as answer:
            return announced_digests(
                _check_announced_rows(answer, compared, compared.source_rows_in(numbers)), len(table_slice.key)
            )

    if connection is None:
        source, held = _ask_both(database, digest_source, digest_target)
    else:
        source, held = digest_source(), digest_target(connection)
    changes = changed_rows(source, {key: wire_digest(digest) for key, digest in held.items()})
    if compared.mode.name == "upsert" and compared.requested_slice.window is not None:
        elsewhere = digests_by_key(client, compared, compared.without_window, changes.deleted)
        changes, source = with_updated(changes, at_source=elsewhere), {**source, **elsewhere}
    changes = changes_of_mode(changes, compared.mode.name)
    if compared.mode.name == "append" and compared.may_mislead:
        present = keys_at_target(database, compared, changes.inserted, connection)
        changes = RowChanges(inserted=tuple(key for key in changes.inserted if key not in present))
    return Differences(
        changes=changes,
        announced={key: source[key] for key in changes.wanted},
        replaced=digest_by_segment(partitioning, ((key, held[key]) for key in (*changes.updated, *changes.deleted))),
    )


def _check_announced_rows(messages: Iterable[RowDigests], compared: ComparedSegments, announced: int) -> Iterator[RowDigests]:
    """Yield the messages, and fail if they contain many more digests than the source announced, so that memory stays bounded.

    :param announced: number of rows that the source announced for these segments
    :raises SourceChangedError: if there are many more rows than announced, which may have been inserted in the meantime
    :raises ProtocolError: if the digests exceed :data:`.batch_sizes.MAX_DIGESTS`, or the keys :data:`.batch_sizes.MAX_KEY_BYTES`
    """
    max_rows, rows, size = batch_sizes.max_digests(announced), 0, 0
    for message in messages:
        rows += message.count
        size += len(message.keys)
        if rows > max_rows:
            raise SourceChangedError(
                f"Table {compared.target.name!r}: the source announced {announced} rows, and sent digests of more than {rows}.",
                NOTHING_CHANGED,
            )
        if rows > batch_sizes.MAX_DIGESTS or size > batch_sizes.MAX_KEY_BYTES:
            raise ProtocolError(
                f"Table {compared.target.name!r}: the source sent {rows} digests at once, with {size} bytes of keys, and"
                f" {batch_sizes.MAX_DIGESTS} with {batch_sizes.MAX_KEY_BYTES} are allowed. Sync it in steps, or by a"
                " window."
            )
        yield message


def _ask_both(database: Database, source: Callable[[], Found], target: Callable[[Connection], Found]) -> tuple[Found, Found]:
    """Query the target in another thread, in a snapshot, while this thread reads the source's response."""

    def over_snapshot() -> Found:
        with database.snapshot() as connection:
            return target(connection)

    with ThreadPoolExecutor(1, thread_name_prefix="target") as pool:
        waiting = pool.submit(over_snapshot)
        found = source()
        return found, waiting.result()
