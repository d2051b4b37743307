"""Reclassify apparent inserts and deletes that are really updates.

With partitioning by row hash, a changed row appears as deleted in one slice and as inserted in another. With a window, a row that
left it appears as deleted. This module looks such rows up by key on both sides, and reclassifies them as updated.
:mod:`.comparison` compares rows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import msgspec
from sqlalchemy import Connection

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.table_slice import Key
from airflow_provider_sync.sync.tables.version2.compared_segments import ComparedSegments
from airflow_provider_sync.sync.tables.version2.comparison import compare_slice
from airflow_provider_sync.sync.tables.version2.row_changes import Differences, with_deleted, with_updated
from airflow_provider_sync.sync.tables.version2.row_lookups import digests_by_key, keys_at_target
from airflow_provider_sync.sync.tables.version2.segment_digests import segment_of_wire


def confirmed_slices(
    client: SyncClient, database: Database, compared: ComparedSegments, connection: Connection | None = None
) -> Iterator[Differences]:
    """Compare the rows of the segments that differ, slice by slice, and confirm each deletion at the source by the row's key.

    With partitioning by row hash, a changed row appears twice: in the slice of its old hash, and in that of its new hash.

    :param connection: the connection to use if no other can see the target's table; ``None`` to open a snapshot for each slice
    """
    is_split = _is_split(compared)
    for numbers in compared.slices():
        found = compare_slice(client, database, compared, numbers, connection)
        yield _reclassified(client, database, compared, found, connection, numbers=numbers, is_split=is_split)


def reclassified_slices(client: SyncClient, database: Database, compared: ComparedSegments) -> Iterator[Differences]:
    """Compare the rows of the segments that differ, slice by slice; each key appears once, unless either side changes."""
    is_split = _is_split(compared)
    for numbers in compared.slices():
        found = compare_slice(client, database, compared, numbers)
        if not compared.may_mislead:
            yield found
            continue
        reclassified = _reclassified(client, database, compared, found, None, numbers=numbers, is_split=is_split)
        if is_split:
            # A changed row is reported by the slice of its new hash.
            still_there = [key for key in found.changes.deleted if key in reclassified.announced]
            elsewhere = digests_by_key(client, compared, compared.requested_slice, still_there)
            changes = reclassified.changes
            updated = tuple(key for key in changes.updated if key not in elsewhere)
            changes = msgspec.structs.replace(changes, updated=updated)
            reclassified = msgspec.structs.replace(reclassified, changes=changes)
        yield reclassified


def reclassify(client: SyncClient, database: Database, compared: ComparedSegments, found: Differences) -> Differences:
    """Reclassify deleted rows that the source still has, and inserted rows that the target already has, as updated.

    With a window, such rows are outside of it. With partitioning by row hash, a row that changed since the segments were
    announced may be in a segment that was not compared.

    :param found: the differences of all slices
    """
    return confirm_listed(client, database, compared, found) if compared.may_mislead else found


def confirm_listed(client: SyncClient, database: Database, compared: ComparedSegments, found: Differences) -> Differences:
    """Look up all rows to delete at the source by key, given the differences of all slices; see :func:`reclassify`."""
    return _reclassified(client, database, compared, found, None, numbers=compared.differing, is_split=False)


def refresh_announced(client: SyncClient, compared: ComparedSegments, found: Differences, moved: Sequence[Key]) -> Differences:
    """Request the digests of rows again that changed since the source announced them.

    :param moved: keys of such rows, all of them rows to insert or update
    :return: the differences with the new digests; rows that the source no longer has are deleted
    """
    now = digests_by_key(client, compared, compared.without_window, moved)
    announced = msgspec.structs.replace(found, announced={**found.announced, **now})
    return without_rows(announced, {key for key in moved if key not in now})


def without_rows(found: Differences, gone: Collection[Key]) -> Differences:
    """Return the differences without rows that the source no longer has; if the target has such a row, it becomes deleted."""
    return msgspec.structs.replace(
        found,
        changes=with_deleted(found.changes, gone),
        announced={key: digest for key, digest in found.announced.items() if key not in gone},
    )


def _confirm_deleted(client: SyncClient, compared: ComparedSegments, found: Differences) -> Differences:
    """Look up the rows to delete at the source by key; reclassify those that it still has as updated."""
    still_there = digests_by_key(client, compared, compared.without_window, found.changes.deleted)
    return msgspec.structs.replace(
        found,
        changes=with_updated(found.changes, at_source=still_there),
        announced={**found.announced, **still_there},
    )


def _reclassified(
    client: SyncClient,
    database: Database,
    compared: ComparedSegments,
    found: Differences,
    connection: Connection | None,
    *,
    numbers: Sequence[int],
    is_split: bool,
) -> Differences:
    """Look up deleted rows at the source, and inserted rows at the target, and reclassify those that are found.

    :param numbers: numbers of the segments whose rows were compared
    :param is_split: whether a changed row may appear as inserted in another slice
    """
    before, found = found, _confirm_deleted(client, compared, found)
    if _came_back(compared, before, found, numbers):
        # The source may have got other rows together with these; comparing again finds their keys.
        again = compare_slice(client, database, compared, numbers, connection)
        found = _confirm_deleted(client, compared, again)
    if not is_split and compared.requested_slice.window is None:
        return found
    present = keys_at_target(database, compared, found.changes.inserted, connection)
    return msgspec.structs.replace(found, changes=with_updated(found.changes, at_target=present))


def _came_back(compared: ComparedSegments, before: Differences, found: Differences, numbers: Sequence[int]) -> bool:
    """Tell whether the source has rows again that it lacked when the segments were compared, for example after a table reload.

    A row that left a window cannot be distinguished from one that came back into it; it counts as having left.

    :param before: the differences
    :param found: the differences after deleted rows were looked up
    """
    digests = [found.announced[key] for key in before.changes.deleted if key in found.announced]
    if compared.partitioning.scheme != "row_hash":
        return bool(digests) and compared.requested_slice.window is None
    # A row that changed is in another segment, so it did not come back.
    return not {segment_of_wire(digest, compared.partitioning) for digest in digests}.isdisjoint(numbers)


def _is_split(compared: ComparedSegments) -> bool:
    """Tell whether a changed row may appear as deleted in one slice and as inserted in another."""
    return compared.partitioning.scheme == "row_hash" and len(compared.slices()) > 1
