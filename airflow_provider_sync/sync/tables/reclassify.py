"""Reclassify apparent inserts and deletes that are really updates.

In a table that is partitioned by row hash, a changed row is missing in one slice and new in another; and a row that left a
window is missing in it. Such rows are looked up by key on both sides, and then count as updated. :mod:`.both_sides` compares
rows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import nullcontext

import msgspec
from sqlalchemy import Connection

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.exceptions import ProtocolError
from airflow_provider_sync.protocol.v2 import tsv
from airflow_provider_sync.protocol.v2.messages import MAX_KEYS, DigestRows, RequestedSlice
from airflow_provider_sync.sync.tables.both_sides import Comparison, Differences, announced_digests, compare_slices
from airflow_provider_sync.sync.tables.row_changes import Key, with_deleted, with_updated


def confirmed_slices(
    client: SyncClient, database: Database, compared: Comparison, connection: Connection | None = None
) -> Iterator[Differences]:
    """Compare the rows of the segments that differ, slice by slice, and confirm each deletion at the source by the row's key.

    When partitioned by row hash, a changed row comes twice: in the slice of its old hash, and in that of its new hash.

    :param connection: the only one that can see the target's table; ``None`` to open a snapshot for each slice
    """
    is_split = _is_split(compared)
    for found in compare_slices(client, database, compared, connection):
        yield _reclassified(client, database, compared, found, connection, is_split=is_split)


def reclassified_slices(client: SyncClient, database: Database, compared: Comparison) -> Iterator[Differences]:
    """Compare the rows of the segments that differ, slice by slice; each key comes once if neither side changes."""
    is_split = _is_split(compared)
    for found in compare_slices(client, database, compared):
        if not _may_mislead(compared):
            yield found
            continue
        reclassified = _reclassified(client, database, compared, found, None, is_split=is_split)
        if is_split:
            # A changed row is reported by the slice of its new hash.
            still_there = [key for key in found.changes.deleted if key in reclassified.announced]
            elsewhere = digests_by_key(client, compared, compared.requested_slice, still_there)
            changes = reclassified.changes
            updated = tuple(key for key in changes.updated if key not in elsewhere)
            changes = msgspec.structs.replace(changes, updated=updated)
            reclassified = msgspec.structs.replace(reclassified, changes=changes)
        yield reclassified


def reclassify(client: SyncClient, database: Database, compared: Comparison, found: Differences) -> Differences:
    """Reclassify deleted rows that the source still has, and inserted rows that the target already has, as updated.

    With a window, they are outside of it. When partitioned by row hash, a row that changed since the segments were announced
    may be in a segment that was not compared.

    :param found: the differences of all slices
    """
    return _reclassified(client, database, compared, found, None, is_split=False) if _may_mislead(compared) else found


def digests_by_key(
    client: SyncClient, compared: Comparison, requested_slice: RequestedSlice, keys: Iterable[Key]
) -> dict[Key, int]:
    """Return the source's digests of the rows with these keys, without keys that it lacks.

    :raises ProtocolError: when it answers with other rows
    """
    wanted, announced = list(keys), dict[Key, int]()
    for chunk in in_chunks(wanted):
        request = DigestRows(
            table_slice=requested_slice,
            partitioning=compared.partitioning,
            keys=tsv.encode_keys(chunk).decode(),
            digest=compared.table_slice.digest,
        )
        with client.digest_rows(request) as answer:
            announced |= announced_digests(answer, len(compared.table_slice.key))
    if strange := announced.keys() - set(wanted):
        raise ProtocolError(
            f"Table {compared.target.name!r}: the source answered with {len(strange)} keys that were not asked for."
        )
    return announced


def in_chunks(keys: Sequence[Key]) -> Iterator[Sequence[Key]]:
    """Cut keys into lists that fit into one request."""
    for start in range(0, len(keys), MAX_KEYS):
        yield keys[start : start + MAX_KEYS]


def refresh_announced(client: SyncClient, compared: Comparison, found: Differences, moved: Sequence[Key]) -> Differences:
    """Ask the source again for the digests of rows that changed since it announced them.

    :param moved: keys of such rows, all of them to insert or update
    :return: the differences with the new digests; rows that the source no longer has are deleted
    """
    now = digests_by_key(client, compared, _without_window(compared), moved)
    announced = msgspec.structs.replace(found, announced={**found.announced, **now})
    return without_rows(announced, {key for key in moved if key not in now})


def without_rows(found: Differences, gone: Collection[Key]) -> Differences:
    """Return the differences without rows that the source no longer has; those that the target has become deleted."""
    return msgspec.structs.replace(
        found,
        changes=with_deleted(found.changes, gone),
        announced={key: digest for key, digest in found.announced.items() if key not in gone},
    )


def confirm_deleted(client: SyncClient, compared: Comparison, found: Differences) -> Differences:
    """Look up the rows to delete at the source by key; those that it still has become updated."""
    still_there = digests_by_key(client, compared, _without_window(compared), found.changes.deleted)
    return msgspec.structs.replace(
        found,
        changes=with_updated(found.changes, at_source=still_there),
        announced={**found.announced, **still_there},
    )


def _reclassified(
    client: SyncClient,
    database: Database,
    compared: Comparison,
    found: Differences,
    connection: Connection | None,
    *,
    is_split: bool,
) -> Differences:
    """Look up deleted rows at the source, and inserted rows at the target, and reclassify those that are found.

    :param is_split: whether the other half of a changed row may be in another slice, with the rows that are new
    """
    found = confirm_deleted(client, compared, found)
    if not is_split and compared.requested_slice.window is None:
        return found
    present = _present(database, compared, found.changes.inserted, connection)
    return msgspec.structs.replace(found, changes=with_updated(found.changes, at_target=present))


def _may_mislead(compared: Comparison) -> bool:
    """Whether apparent inserts and deletes may really be updates."""
    return compared.requested_slice.window is not None or compared.partitioning.scheme == "row_hash"


def _is_split(compared: Comparison) -> bool:
    """Whether the other half of a changed row may be in another slice."""
    return compared.partitioning.scheme == "row_hash" and len(compared.slices()) > 1


def _without_window(compared: Comparison) -> RequestedSlice:
    return msgspec.structs.replace(compared.requested_slice, window=None)


def _present(database: Database, compared: Comparison, keys: Sequence[Key], connection: Connection | None) -> set[Key]:
    """Return which of these rows the target has, inside or outside the window."""
    if not keys:
        return set()
    table_slice = msgspec.structs.replace(compared.table_slice, window=None)
    with nullcontext(connection) if connection is not None else database.snapshot() as reading:
        return {key for batch in database.digests.digest_keys(reading, table_slice, keys) for key, _ in batch}
