"""Reclassify rows that only seem to be inserted or deleted: apart from the rows beside it, a slice may mislead.

A changed row of a table that is cut by row hashes is gone in one slice and new in another, and a row that left a window is gone
from it. Both sides are asked for such rows by their keys; then they count as updated. How rows are compared is in
:mod:`.both_sides`.
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

    Where tables are cut by row hashes, a changed row comes twice: where the target had it, and where the source has it now.

    :param connection: the only one that sees the target's table; ``None`` to open a snapshot for each slice
    """
    is_split = _is_split(compared)
    for found in compare_slices(client, database, compared, connection):
        yield _reclassified(client, database, compared, found, connection, is_split=is_split)


def reclassified_slices(client: SyncClient, database: Database, compared: Comparison) -> Iterator[Differences]:
    """Compare the rows of the segments that differ, slice by slice; no key comes twice while neither side changes."""
    is_split = _is_split(compared)
    for found in compare_slices(client, database, compared):
        if not _may_mislead(compared):
            yield found
            continue
        reclassified = _reclassified(client, database, compared, found, None, is_split=is_split)
        if is_split:
            # A changed row is reported by the slice in which it is new.
            still_there = [key for key in found.changes.deleted if key in reclassified.announced]
            elsewhere = digests_by_key(client, compared, compared.requested_slice, still_there)
            changes = reclassified.changes
            updated = tuple(key for key in changes.updated if key not in elsewhere)
            changes = msgspec.structs.replace(changes, updated=updated)
            reclassified = msgspec.structs.replace(reclassified, changes=changes)
        yield reclassified


def reclassify(client: SyncClient, database: Database, compared: Comparison, found: Differences) -> Differences:
    """Reclassify rows that are elsewhere at the source, or at the target, from deleted or inserted to updated.

    A row that the source has outside the window is to be updated, and so is one that the target has there. Where tables are cut
    by row hashes, a row that changed since the segments were announced may be in one that was not compared.

    :param found: the differences of all slices
    """
    return _reclassified(client, database, compared, found, None, is_split=False) if _may_mislead(compared) else found


def digests_by_key(
    client: SyncClient, compared: Comparison, requested_slice: RequestedSlice, keys: Iterable[Key]
) -> dict[Key, int]:
    """Ask the source for the digests of those of these rows that it has.

    :raises ProtocolError: when it answers with others
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
    """Cut keys into as many as go into one request."""
    for start in range(0, len(keys), MAX_KEYS):
        yield keys[start : start + MAX_KEYS]


def announced_again(client: SyncClient, compared: Comparison, found: Differences, moved: Sequence[Key]) -> Differences:
    """Ask the source again for the digests of rows that are no longer what it announced.

    :param moved: keys of such rows, all among those wanted
    :return: the same differences with what the source says now; rows that are gone there are to be deleted
    """
    now = digests_by_key(client, compared, _without_window(compared), moved)
    announced = msgspec.structs.replace(found, announced={**found.announced, **now})
    return without_rows(announced, {key for key in moved if key not in now})


def without_rows(found: Differences, gone: Collection[Key]) -> Differences:
    """Return the same differences after rows have gone from the source: those that the target has are deleted."""
    return msgspec.structs.replace(
        found,
        changes=with_deleted(found.changes, gone),
        announced={key: digest for key, digest in found.announced.items() if key not in gone},
    )


def confirm_deleted(client: SyncClient, compared: Comparison, found: Differences) -> Differences:
    """Ask the source by their keys for rows that are to be deleted; those that it has are updated instead."""
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
    """Ask both sides for the rows that only one of them has here.

    :param is_split: whether the other half of a changed row may be in another slice, with the rows that are new
    """
    found = confirm_deleted(client, compared, found)
    if not is_split and compared.requested_slice.window is None:
        return found
    present = _present(database, compared, found.changes.inserted, connection)
    return msgspec.structs.replace(found, changes=with_updated(found.changes, at_target=present))


def _may_mislead(compared: Comparison) -> bool:
    """Whether rows that seem to be gone or new may be elsewhere."""
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
