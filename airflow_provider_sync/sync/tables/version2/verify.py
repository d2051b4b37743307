"""Verify, after a merge by version 2 and before the commit, that the target has the digests that the source announced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain

import msgspec
from sqlalchemy import Connection

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.table_slice import Key, TableSlice
from airflow_provider_sync.merge.staged_table import StagedTable
from airflow_provider_sync.report import Verified
from airflow_provider_sync.sync.tables.staged_rows import StagedRows, not_as_staged
from airflow_provider_sync.sync.tables.version2.compared_segments import ComparedSegments
from airflow_provider_sync.sync.tables.version2.computed_columns import refuse_other_values
from airflow_provider_sync.sync.tables.version2.plan_verification import Verification, plan_verification
from airflow_provider_sync.sync.tables.version2.segment_digests import (
    SegmentDigests,
    add_segments,
    digest_by_segment,
    segment_ranges_of,
    subtract_segments,
    wire_digest,
)
from airflow_provider_sync.sync.tables.version2.source_digests import digest_source_again

MAX_NAMED = 5
"""Maximum number of keys that a warning names."""


class FetchedRows(StagedRows):
    """Staged rows of the source, all of them or those that differ, and the digests that the source announced for them.

    :param announced: the source's digests of the fetched rows, by key; ``None`` if all rows were fetched, or too many to hold
    :param deleted: keys of the rows to delete, if ``announced`` is given
    :param deleted_rows: number of rows to delete, if ``announced`` is not given
    :param replaced: the target's digests of the rows to update or delete, by segment; ``None`` if all rows were fetched
    :param unstable_keys: keys of rows that changed at the source each time they were fetched
    :ivar proven: whether each staged row has the digest that the source announced
    :ivar listed: table of the keys of the rows to delete; ``None`` if the merge deletes every row that is not staged
    :ivar rows_staged: number of rows in the staging table, including those of a failed attempt
    """

    protocol = 2

    def __init__(
        self,
        client: SyncClient,
        database: Database,
        compared: ComparedSegments,
        staged: StagedTable,
        *,
        received: int = 0,
        announced: Mapping[Key, int] | None = None,
        deleted: Sequence[Key] = (),
        deleted_rows: int = 0,
        replaced: SegmentDigests | None = None,
        unstable_keys: Sequence[Key] = (),
    ) -> None:
        super().__init__(
            compared.target,
            staged,
            rows_total=compared.source_rows,
            rows_received=received,
            warnings=(
                *compared.warnings,
                *((_changed_each_time(sorted(set(unstable_keys)), compared.table_slice),) if unstable_keys else ()),
            ),
        )
        self.listed = staged.removed
        self.staging = staged.staging
        self.replaced = replaced
        self.proven = not unstable_keys
        self.rows_staged = staged.rows
        self.client = client
        self.database = database
        self.compared = compared
        self.announced = announced
        self.deleted = deleted
        self.deleted_rows = len(deleted) or deleted_rows

    @property
    def whole(self) -> bool:
        """Whether all rows of the slice were fetched, so that the merge deletes every other row."""
        return self.listed is None

    def verify(self, connection: Connection) -> Verified | None:
        """Digest the rows that :mod:`.plan_verification` selects, and compare them with the digests that the source announced.

        :return: ``None`` if rows changed each time they were fetched, so that their final digests are unknown
        :raises TargetChangedError: if the digests differ
        :raises TableError: if they differ because the target changes values as it stores them
        """
        compared = self.compared
        if self._has_other_rows:
            # The staged rows have the announced digests, and the merge has compared them with the target.
            return "digest" if self.proven else None
        verification = plan_verification(
            compared.partitioning.scheme,
            is_listed=self.announced is not None,
            touched_rows=compared.source_rows_in(compared.differing),
            source_rows=compared.source_rows,
            keeps_rows=compared.mode.keeps_rows,
        )
        match verification:
            case Verification.KEYS:
                holds = self._keys_hold(connection)
            case Verification.TOUCHED:
                holds = self._segments_hold(connection, self._digest_touched(connection))
            case Verification.TABLE:
                found = self.database.digests.digest_written(connection, compared.table_slice, compared.partitioning)
                holds = self._segments_hold(connection, found)
        if not holds:
            refuse_other_values(self.database, connection, compared.table_slice, self.staging, name=self.target.name)
            raise not_as_staged(self.target.name)
        return "digest" if self.proven else None

    def source_changed(self) -> bool:
        """Tell whether the source's segments changed since they were compared, by requesting their digests again."""
        return dict(digest_source_again(self.client, self.database, self.compared)) != dict(self.compared.source_segments)

    def expected(self, connection: Connection) -> SegmentDigests | None:
        """Return the expected digests of the target's segments after the merge.

        If all rows were fetched, these are the announced digests. Otherwise they are the target's digests at the comparison with
        the differing rows replaced, since the source may have changed after it announced its segments.

        :return: ``None`` if unknown: with partitioning by row hash, where changed rows move to other segments; if the window's
            column is not staged; and if all rows were fetched but the target keeps other rows
        """
        compared, window = self.compared, self.compared.table_slice.window
        if self._has_other_rows:
            return None
        if self.replaced is None:
            return compared.source_segments
        if compared.partitioning.scheme == "row_hash" or (window is not None and self._lacks(window.column)):
            return None
        return self._merged(connection, self.replaced)

    @property
    def _has_other_rows(self) -> bool:
        """Whether all rows were fetched, but the target keeps other rows besides them."""
        return self.replaced is None and self.compared.mode.keeps_rows and self.compared.target_rows > 0

    def _keys_hold(self, connection: Connection) -> bool:
        announced = dict(self.announced or {})
        table_slice = self.compared.table_slice.unwindowed
        found = self.database.digests.digest_keys(connection, table_slice, [*announced, *self.deleted])
        return {key: wire_digest(digest) for batch in found for key, digest in batch} == announced

    def _segments_hold(self, connection: Connection, found: SegmentDigests) -> bool:
        """Tell whether the touched segments have the announced or the expected digests.

        :param found: the target's digests after the merge
        """
        compared = self.compared
        moved = [number for number in compared.differing if found.get(number) != compared.source_segments.get(number)]
        if not moved:
            return True
        expected = self.expected(connection)
        if expected is not None:
            return all(found.get(number) == expected.get(number) for number in moved)
        # The expected digests are unknown, but the merge has compared the target with the staged rows.
        refuse_other_values(self.database, connection, compared.table_slice, self.staging, name=self.target.name)
        return True

    def _digest_touched(self, connection: Connection) -> SegmentDigests:
        """Digest only the touched segments, row by row, since they are few."""
        compared, ranges = self.compared, segment_ranges_of(self.compared.differing)
        batches = self.database.digests.digest_rows(connection, compared.table_slice, compared.partitioning, ranges)
        return digest_by_segment(compared.partitioning, chain.from_iterable(batches))

    def _merged(self, connection: Connection, replaced: SegmentDigests) -> SegmentDigests:
        staged = msgspec.structs.replace(self.compared.table_slice, table=self.staging)
        new = self.database.digests.digest_segments(connection, staged, self.compared.partitioning)
        return add_segments(subtract_segments(self.compared.target_segments, replaced), new)

    def _lacks(self, name: str) -> bool:
        return name not in self.compared.table_slice.column_names


def _changed_each_time(keys: Sequence[Key], table_slice: TableSlice) -> str:
    names = ", ".join(table_slice.key_names)
    some = "; ".join(", ".join(key)[:50] for key in keys[:MAX_NAMED]) + ("; …" if len(keys) > MAX_NAMED else "")
    rows = "1 row" if len(keys) == 1 else f"{len(keys)} rows"
    return (
        f"{rows} changed at the source each time that the sync asked for them ({names}: {some}). The target has what came last;"
        " the next run brings what is newer."
    )
