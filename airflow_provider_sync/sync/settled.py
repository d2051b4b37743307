"""The rows that differ, a bounded number at a time, each told once and as what a sync does with it.

What differs between the rows of two slices is found in :mod:`.differences`. Taken by itself, a slice may mislead: a changed row
of a table that is cut by digests is gone in one slice and new in another, and a row that left a window is gone from it. Both
sides are asked for such rows by their keys.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.exceptions import ProtocolError
from airflow_provider_sync.protocol.v2 import tsv
from airflow_provider_sync.protocol.v2.messages import DigestRows, Selection
from airflow_provider_sync.sync.differences import (
    Comparison,
    Differences,
    announced_digests,
    compare_slices,
    in_chunks,
    slices_of,
)
from airflow_provider_sync.tables.engines.base import Database
from airflow_provider_sync.tables.reconcile import Key, RowChanges


def settled_slices(client: SyncClient, database: Database, compared: Comparison) -> Iterator[Differences]:
    """Compare the rows of the segments that differ, some segments after the other; no key comes twice."""
    cut = compared.grid.scheme == "bucket" and len(slices_of(compared)) > 1
    for found in compare_slices(client, database, compared):
        yield _settled(client, database, compared, found, cut=cut)


def settled(client: SyncClient, database: Database, compared: Comparison, found: Differences) -> Differences:
    """Tell rows that are elsewhere at the source, or at the target, from those that are gone or new.

    A row that the source has outside the window is to be updated, and so is one that the target has there. Where tables are cut
    by digests, a row that changed since the segments were announced may be in one that nobody looked into.

    :param found: in all slices
    """
    return _settled(client, database, compared, found, cut=False)


def digests_by_key(client: SyncClient, compared: Comparison, selection: Selection, keys: Iterable[Key]) -> dict[Key, int]:
    """Ask the source for the digests of those of these rows that it has.

    :raises ProtocolError: when it answers with others
    """
    wanted, announced = list(keys), dict[Key, int]()
    for chunk in in_chunks(wanted):
        names = tsv.encode_keys(chunk).decode()
        request = DigestRows(selection=selection, grid=compared.grid, keys=names, digest=compared.part.digest)
        with client.digest_rows(request) as answer:
            announced |= announced_digests(answer, len(compared.part.key))
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
    now = digests_by_key(client, compared, msgspec.structs.replace(compared.selection, window=None), moved)
    gone = {key for key in moved if key not in now}
    return Differences(
        changes=RowChanges(
            inserted=tuple(key for key in changes.inserted if key not in gone),
            updated=tuple(key for key in changes.updated if key not in gone),
            deleted=(*changes.deleted, *(key for key in changes.updated if key in gone)),
        ),
        announced={key: digest for key, digest in {**found.announced, **now}.items() if key not in gone},
    )


def _settled(client: SyncClient, database: Database, compared: Comparison, found: Differences, *, cut: bool) -> Differences:
    """Ask both sides for the rows that only one of them has here.

    :param cut: whether the other half of a changed row may be in another slice, with the rows that are new
    """
    selection = compared.selection
    if selection.window is None and compared.grid.scheme != "bucket":
        return found
    changes = found.changes
    there = digests_by_key(client, compared, msgspec.structs.replace(selection, window=None), changes.deleted)
    # Where a changed row is new, it is told as changed.
    elsewhere = digests_by_key(client, compared, selection, there) if cut else {}
    moved = {key: digest for key, digest in there.items() if key not in elsewhere}
    present = _present(database, compared, changes.inserted) if cut or selection.window is not None else set()
    return Differences(
        changes=RowChanges(
            inserted=tuple(key for key in changes.inserted if key not in present),
            updated=(*changes.updated, *(key for key in changes.inserted if key in present), *moved),
            deleted=tuple(key for key in changes.deleted if key not in there),
        ),
        announced={**found.announced, **moved},
    )


def _present(database: Database, compared: Comparison, keys: Sequence[Key]) -> set[Key]:
    """Return which of these rows the target has, wherever."""
    if not keys:
        return set()
    part = msgspec.structs.replace(compared.part, window=None)
    with database.snapshot() as connection:
        return {key for batch in database.digest_keys(connection, part, keys) for key, _ in batch}
