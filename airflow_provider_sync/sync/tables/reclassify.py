"""The rows that differ, a bounded number at a time, each told once and as what a sync does with it.

What differs between the rows of two slices is found in :mod:`.differences`. Taken by itself, a slice may mislead: a changed row
of a table that is cut by digests is gone in one slice and new in another, and a row that left a window is gone from it. Both
sides are asked for such rows by their keys.
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
from airflow_provider_sync.protocol.v2.messages import DigestRows, RequestedSlice
from airflow_provider_sync.sync.tables.differences import (
    Comparison,
    Differences,
    announced_digests,
    compare_slices,
    in_chunks,
    slices_of,
)
from airflow_provider_sync.sync.tables.reconcile import Key, RowChanges


def confirmed_slices(
    client: SyncClient, database: Database, compared: Comparison, connection: Connection | None = None
) -> Iterator[Differences]:
    """Compare the rows of the segments that differ, some segments after the other.

    No row is told as deleted before the source was asked for it by its key. Where tables are cut by digests, a row that changed
    comes twice: where the target had it, and where the source has it now.

    :param connection: the only one that sees the table of this side; ``None`` to open snapshots of its own
    """
    cut = _is_cut(compared)
    for found in compare_slices(client, database, compared, connection):
        yield _confirmed(client, database, compared, found, connection, cut=cut)


def settled_slices(client: SyncClient, database: Database, compared: Comparison) -> Iterator[Differences]:
    """Compare the rows of the segments that differ, some segments after the other; no key comes twice while both stand still."""
    cut = _is_cut(compared)
    for found in compare_slices(client, database, compared):
        if compared.requested_slice.window is None and compared.partitioning.scheme != "row_hash":
            yield found
            continue
        told = _confirmed(client, database, compared, found, None, cut=cut)
        if cut:
            # A changed row is told where it is new.
            there = [key for key in found.changes.deleted if key in told.announced]
            elsewhere = digests_by_key(client, compared, compared.requested_slice, there)
            changes = told.changes
            updated = tuple(key for key in changes.updated if key not in elsewhere)
            told = msgspec.structs.replace(told, changes=msgspec.structs.replace(changes, updated=updated))
        yield told


def settled(client: SyncClient, database: Database, compared: Comparison, found: Differences) -> Differences:
    """Tell rows that are elsewhere at the source, or at the target, from those that are gone or new.

    A row that the source has outside the window is to be updated, and so is one that the target has there. Where tables are cut
    by digests, a row that changed since the segments were announced may be in one that nobody looked into.

    :param found: in all slices
    """
    if compared.requested_slice.window is None and compared.partitioning.scheme != "row_hash":
        return found
    return _confirmed(client, database, compared, found, None, cut=False)


def digests_by_key(
    client: SyncClient, compared: Comparison, requested_slice: RequestedSlice, keys: Iterable[Key]
) -> dict[Key, int]:
    """Ask the source for the digests of those of these rows that it has.

    :raises ProtocolError: when it answers with others
    """
    wanted, announced = list(keys), dict[Key, int]()
    for chunk in in_chunks(wanted):
        names = tsv.encode_keys(chunk).decode()
        request = DigestRows(
            table_slice=requested_slice, partitioning=compared.partitioning, keys=names, digest=compared.table_slice.digest
        )
        with client.digest_rows(request) as answer:
            announced |= announced_digests(answer, len(compared.table_slice.key))
    if strange := announced.keys() - set(wanted):
        raise ProtocolError(
            f"Table {compared.target.name!r}: the source answered with {len(strange)} keys that were not asked for."
        )
    return announced


def announced_again(client: SyncClient, compared: Comparison, found: Differences, moved: Sequence[Key]) -> Differences:
    """Ask the source again for the digests of rows that are not any more what it announced.

    :param moved: keys of such rows, all among those wanted
    :return: the same differences with what the source says now; rows that are gone there are to be deleted
    """
    changes = found.changes
    now = digests_by_key(client, compared, msgspec.structs.replace(compared.requested_slice, window=None), moved)
    gone = {key for key in moved if key not in now}
    return without_rows(
        msgspec.structs.replace(found, changes=changes, announced={**found.announced, **now}),
        gone,
    )


def without_rows(found: Differences, gone: Collection[Key]) -> Differences:
    """Return the same differences after rows have gone from the source: those that the target has are deleted."""
    changes = found.changes
    return msgspec.structs.replace(
        found,
        changes=RowChanges(
            inserted=tuple(key for key in changes.inserted if key not in gone),
            updated=tuple(key for key in changes.updated if key not in gone),
            deleted=(*changes.deleted, *(key for key in changes.updated if key in gone)),
        ),
        announced={key: digest for key, digest in found.announced.items() if key not in gone},
    )


def confirmed(client: SyncClient, compared: Comparison, found: Differences, deleted: Sequence[Key]) -> Differences:
    """Ask the source by their keys for rows that are to be deleted; those that it has are updated instead."""
    there = digests_by_key(client, compared, msgspec.structs.replace(compared.requested_slice, window=None), deleted)
    return msgspec.structs.replace(
        found,
        changes=RowChanges(
            inserted=found.changes.inserted,
            updated=(*found.changes.updated, *there),
            deleted=tuple(key for key in found.changes.deleted if key not in there),
        ),
        announced={**found.announced, **there},
    )


def _confirmed(
    client: SyncClient,
    database: Database,
    compared: Comparison,
    found: Differences,
    connection: Connection | None,
    *,
    cut: bool,
) -> Differences:
    """Ask both sides for the rows that only one of them has here.

    :param cut: whether the other half of a changed row may be in another slice, with the rows that are new
    """
    found = confirmed(client, compared, found, found.changes.deleted)
    if not cut and compared.requested_slice.window is None:
        return found
    changes = found.changes
    present = _present(database, compared, changes.inserted, connection)
    return msgspec.structs.replace(
        found,
        changes=RowChanges(
            inserted=tuple(key for key in changes.inserted if key not in present),
            updated=(*changes.updated, *(key for key in changes.inserted if key in present)),
            deleted=changes.deleted,
        ),
    )


def _is_cut(compared: Comparison) -> bool:
    """Whether the other half of a changed row may be in another slice."""
    return compared.partitioning.scheme == "row_hash" and len(slices_of(compared)) > 1


def _present(database: Database, compared: Comparison, keys: Sequence[Key], connection: Connection | None) -> set[Key]:
    """Return which of these rows the target has, wherever."""
    if not keys:
        return set()
    table_slice = msgspec.structs.replace(compared.table_slice, window=None)
    with nullcontext(connection) if connection is not None else database.snapshot() as reading:
        return {key for batch in database.digests.digest_keys(reading, table_slice, keys) for key, _ in batch}
