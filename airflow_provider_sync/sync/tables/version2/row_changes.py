"""Find the rows to insert, update and delete from the row digests of both sides. No I/O.

::

    key 130: digest p | q  -> update
    key 140:        r | -  -> insert
    key 150:        - | s  -> delete
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import msgspec

from airflow_provider_sync.config.mode import Mode
from airflow_provider_sync.databases.table_slice import Key
from airflow_provider_sync.sync.tables.version2.segment_digests import SegmentDigests, add_segments


class RowChanges(msgspec.Struct, frozen=True, kw_only=True):
    """Keys of the rows that make the target equal to the source.

    :ivar inserted: keys that only the source has
    :ivar updated: keys whose rows differ
    :ivar deleted: keys that only the target has
    """

    inserted: tuple[Key, ...] = ()
    updated: tuple[Key, ...] = ()
    deleted: tuple[Key, ...] = ()

    def __len__(self) -> int:
        return len(self.inserted) + len(self.updated) + len(self.deleted)

    @property
    def wanted(self) -> tuple[Key, ...]:
        """Keys of the rows to fetch from the source."""
        return (*self.inserted, *self.updated)


class Differences(msgspec.Struct, frozen=True, kw_only=True):
    """Rows that differ.

    :ivar announced: by key, the source's digests of the rows to insert or update, as on the wire (48 bits)
    :ivar replaced: by segment, the target's digests of the rows to update or delete
    """

    changes: RowChanges
    announced: Mapping[Key, int]
    replaced: SegmentDigests = {}


def changed_rows(source: Mapping[Key, int], target: Mapping[Key, int]) -> RowChanges:
    """Compare the digests of rows, by key."""
    return RowChanges(
        inserted=tuple(key for key in source if key not in target),
        updated=tuple(key for key, digest in source.items() if target.get(key, digest) != digest),
        deleted=tuple(key for key in target if key not in source),
    )


def changes_of_mode(changes: RowChanges, mode: Mode) -> RowChanges:
    """Return the changes that a mode makes; ``upsert`` and ``append`` keep some rows as they are."""
    match mode:
        case "append":
            return RowChanges(inserted=changes.inserted)
        case "upsert":
            return RowChanges(inserted=changes.inserted, updated=changes.updated)
        case _:
            return changes


def combine_changes(slices: Iterable[RowChanges]) -> RowChanges:
    """Combine the changes of several slices.

    With partitioning by row hash, a changed row may appear as deleted in one slice and as inserted in another: an update.
    """
    inserted: dict[Key, None] = {}
    updated: dict[Key, None] = {}
    deleted: dict[Key, None] = {}
    for changes in slices:
        inserted.update(dict.fromkeys(changes.inserted))
        updated.update(dict.fromkeys(changes.updated))
        deleted.update(dict.fromkeys(changes.deleted))
    moved = inserted.keys() & deleted.keys()
    return RowChanges(
        inserted=tuple(key for key in inserted if key not in moved),
        updated=(*updated, *(key for key in inserted if key in moved)),
        deleted=tuple(key for key in deleted if key not in moved),
    )


def combine(slices: Iterable[Differences]) -> Differences:
    """Combine the differences of several slices; see :func:`combine_changes`."""
    announced: dict[Key, int] = {}
    changes = []
    replaced: SegmentDigests = {}
    for found in slices:
        announced.update(found.announced)
        changes.append(found.changes)
        replaced = add_segments(replaced, found.replaced)
    return Differences(changes=combine_changes(changes), announced=announced, replaced=replaced)


def with_updated(changes: RowChanges, *, at_source: Collection[Key] = (), at_target: Collection[Key] = ()) -> RowChanges:
    """Reclassify rows as updated.

    :param at_source: deleted keys that the source has after all
    :param at_target: inserted keys that the target has after all
    """
    return RowChanges(
        inserted=tuple(key for key in changes.inserted if key not in at_target),
        updated=(*changes.updated, *at_source, *(key for key in changes.inserted if key in at_target)),
        deleted=tuple(key for key in changes.deleted if key not in at_source),
    )


def with_deleted(changes: RowChanges, gone: Collection[Key]) -> RowChanges:
    """Reclassify rows that the source no longer has: as deleted if the target has them, else as unchanged."""
    return RowChanges(
        inserted=tuple(key for key in changes.inserted if key not in gone),
        updated=tuple(key for key in changes.updated if key not in gone),
        deleted=(*changes.deleted, *(key for key in changes.updated if key in gone)),
    )
