"""Stage all rows of the source, or those that differ, by version 2, until their digests are the announced ones.

The staging table is its own journal: rows of a failed attempt that still have the announced digest are kept, and only the others
are fetched. For that purpose, rows are committed a few tens of megabytes at a time.

:mod:`.follow_plan` finds the rows that differ; :mod:`.verify` checks the target after the merge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from sqlalchemy import Connection

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.partitioning import key_range_of, missing_segment_ranges
from airflow_provider_sync.databases.schema import Table
from airflow_provider_sync.databases.table_mode import MIRROR
from airflow_provider_sync.databases.table_slice import Key
from airflow_provider_sync.exceptions import DuplicateKeyError, ProtocolError
from airflow_provider_sync.merge.staged_table import StagedTable
from airflow_provider_sync.merge.staging import Staging, TemporaryStaging
from airflow_provider_sync.protocol.v2 import tsv
from airflow_provider_sync.sync.progress import RowProgress
from airflow_provider_sync.sync.tables.version2 import batch_sizes, plan
from airflow_provider_sync.sync.tables.version2.compared_segments import ComparedSegments
from airflow_provider_sync.sync.tables.version2.equal_keys import EqualKeys
from airflow_provider_sync.sync.tables.version2.follow_plan import Findings
from airflow_provider_sync.sync.tables.version2.plan import Action
from airflow_provider_sync.sync.tables.version2.reclassify import (
    confirm_listed,
    confirmed_slices,
    reclassify,
    refresh_announced,
    without_rows,
)
from airflow_provider_sync.sync.tables.version2.row_changes import Differences, changes_of_mode
from airflow_provider_sync.sync.tables.version2.row_loading import RowLoader
from airflow_provider_sync.sync.tables.version2.segment_digests import (
    SegmentDigests,
    add_segments,
    differing_segments,
    digest_by_segment,
    subtract_segments,
)
from airflow_provider_sync.sync.tables.version2.source_digests import digest_source_again
from airflow_provider_sync.sync.tables.version2.staging_slice import StagingSlice
from airflow_provider_sync.sync.tables.version2.unkept_values import refuse_unkept_values
from airflow_provider_sync.sync.tables.version2.unstable_query import refuse_unstable_query
from airflow_provider_sync.sync.tables.version2.verify import FetchedRows


class Stager:
    """Stages the rows that the last step of a plan names.

    :param findings: the last step of the plan, and the comparison so far
    :param staging: the staging table for rows
    :param removed: the table for the keys of the rows to delete; by default a temporary table of this connection
    :param on_rows: called when rows arrive
    """

    def __init__(
        self,
        client: SyncClient,
        database: Database,
        connection: Connection,
        findings: Findings,
        staging: Staging,
        *,
        removed: Staging | None = None,
        on_rows: RowProgress,
    ) -> None:
        self._client = client
        self._database = database
        self._connection = connection
        self._findings = findings
        self._compared = findings.compared
        self._target = self._compared.target
        self._staging = staging
        self._removed = removed or TemporaryStaging(database, purpose="removed")
        self._loader = RowLoader(
            client,
            connection,
            self._target,
            staging,
            self._compared.table_slice,
            self._compared.requested_slice,
            on_rows,
        )
        self._unstable_keys: list[Key] = []
        self._is_query_checked = False

    def stage(self) -> FetchedRows:
        """Fetch the rows that the last step of the plan names.

        :raises TableError: if the target changes a value as it stores it
        """
        match self._findings.step.action:
            case Action.FETCH_ALL:
                return self._stage_all()
            case Action.FETCH_SLICES:
                return self._stage_slices()
            case _:
                return self._stage_listed(self._findings.differences)

    def _stage_all(self) -> FetchedRows:
        """Stage all rows of the slice.

        If the staged segments do not have the announced digests, the source is digested again, and the rows that differ are
        fetched. Afterwards the digests of the staged rows replace the announced ones.
        """
        compared = self._compared
        staged, is_resumed = self._open()
        held = staged.segments(compared.partitioning) if is_resumed else {}
        if held:
            self._complete(compared, staged, held, whole_ranges=True)
        else:
            self._loader.expect(compared.source_rows)
            self._loader.load_all()
        held = staged.segments(compared.partitioning)
        if dict(held) != dict(compared.source_segments):
            self._check_query()
            source = digest_source_again(self._client, self._database, compared)
            self._complete(msgspec.structs.replace(compared, source_segments=source), staged, held, whole_ranges=False)
            held = dict(staged.segments(compared.partitioning))
            differing = tuple(differing_segments(held, compared.target_segments))
            compared = msgspec.structs.replace(compared, source_segments=held, differing=differing)
        return self._fetched(compared, self._staged_table(staged, compared.source_rows, None))

    def _stage_listed(self, differences: Differences) -> FetchedRows:
        """Stage the rows to insert or update, and list the keys of the rows to delete."""
        differences = reclassify(self._client, self._database, self._compared, differences)
        staged, is_resumed = self._open()
        held = staged.digests() if is_resumed else {}
        staged.delete([key for key in held if key not in differences.announced])
        held = {key: digest for key, digest in held.items() if key in differences.announced}
        found = self._without_kept(differences, self._stage_rows(staged, differences, held, is_alone=True))
        if differences.changes.deleted and not self._matches_announcement(staged, found.replaced):
            # The source's responses disagree, so rows may be missing from one of them.
            # Rows that the source has again are now announced, but must still be fetched.
            before, confirmed = found.announced, confirm_listed(self._client, self._database, self._compared, found)
            staged.delete([key for key in before if key not in confirmed.announced])
            before = {key: digest for key, digest in before.items() if key in confirmed.announced}
            found = self._stage_rows(staged, confirmed, before, is_alone=True)
        announced, deleted = found.announced, found.changes.deleted
        removed = self._open_removed()
        self._list_removed(removed, deleted)
        former, replaced = self._settle_equal_keys(staged, removed, found.replaced)
        if former and self._compared.mode.name == "append":
            kept = staged.digests()
            announced = {key: digest for key, digest in announced.items() if key in kept}
            former = ()
        table = self._staged_table(staged, len(announced), removed.table_slice.table)
        return self._fetched(self._compared, table, announced=announced, deleted=(*deleted, *former), replaced=replaced)

    def _stage_slices(self) -> FetchedRows:
        """Stage like :meth:`_stage_listed`, but slice by slice, for any number of rows; rows of a failed attempt are dropped."""
        staged, is_resumed = self._open()
        if is_resumed:
            staged.empty()
        removed = self._open_removed()
        rows = deleted = 0
        replaced: SegmentDigests = {}
        for differences in confirmed_slices(self._client, self._database, self._compared):
            held: dict[Key, int] = {}
            if self._compared.partitioning.scheme == "row_hash" and (rows or deleted):
                # A changed row has two hashes, so it may be in an earlier slice, too.
                keys = [*differences.announced, *differences.changes.deleted]
                held = staged.digests_by_key(keys)
                staged.delete([key for key in held if key not in differences.announced])
                listed = list(removed.digests_by_key(keys))
                removed.delete(listed)
                deleted -= len(listed)
            found = self._without_kept(differences, self._stage_rows(staged, differences, held, is_alone=False))
            self._list_removed(removed, found.changes.deleted)
            rows += len(found.announced) - len(held)
            deleted += len(found.changes.deleted)
            replaced = add_segments(replaced, found.replaced)
        former, replaced = self._settle_equal_keys(staged, removed, replaced)
        if former and self._compared.mode.name == "append":
            rows, former = staged.count(), ()
        deleted += len(former)
        table = self._staged_table(staged, rows, removed.table_slice.table)
        return self._fetched(self._compared, table, deleted_rows=deleted, replaced=replaced)

    def _settle_equal_keys(
        self, staged: StagingSlice, removed: StagingSlice, replaced: SegmentDigests
    ) -> tuple[Sequence[Key], SegmentDigests]:
        """Handle keys that are now spelled differently; return the former keys, and the digests of the replaced rows."""
        equal = EqualKeys(self._client, self._database, self._connection, self._compared, staged, removed)
        former = equal.settle()
        if not former or self._compared.mode.name == "append":
            return former, replaced
        return former, add_segments(replaced, equal.digests(former))

    def _stage_rows(self, staged: StagingSlice, wanted: Differences, held: Mapping[Key, int], *, is_alone: bool) -> Differences:
        """Stage rows until they have the announced digests; only rows that changed in the meantime are fetched again.

        Rows that still change in the last round are kept as last received.

        :param held: digests of the rows that are already staged, by key
        :param is_alone: whether no other rows are staged
        :return: the last announced digests; for rows that changed each time, the digests of the staged rows
        :raises TableError: if the announced digest of a row never changes, but its staged values have another digest
        """
        held = dict(held)
        stable: set[Key] | None = None
        for rounds_left in reversed(range(plan.MAX_ROUNDS)):
            other = [key for key, digest in wanted.announced.items() if held.get(key) != digest]
            staged.delete([key for key in other if key in held])
            if is_alone:
                # With other slices, the total is unknown, since they may add more rows.
                self._loader.expect(len(other))
            try:
                self._loader.load_keys(other)
            except DuplicateKeyError:
                # A key that the target stores differently, such as CHAR without trailing spaces, is not found by its bytes.
                self._refuse_unkept(staged, {key for key in stable or () if key not in held})
                raise
            for key in other:
                held.pop(key, None)
            held |= staged.digests() if is_alone else staged.digests_by_key(other)
            moved = [key for key in other if held.get(key) != wanted.announced[key]]
            if not moved:
                return wanted
            self._check_query()
            if rounds_left:
                before = wanted.announced
                wanted = refresh_announced(self._client, self._compared, wanted, moved)
                staged.delete([key for key in moved if key not in wanted.announced])
                same = {key for key in moved if wanted.announced.get(key) == before[key]}
                stable = same if stable is None else stable & same
        self._refuse_unkept(staged, (stable or set()) & set(moved))
        self._unstable_keys += moved
        gone = {key for key in moved if key not in held}
        came = {key: held[key] for key in moved if key in held}
        return without_rows(msgspec.structs.replace(wanted, announced={**wanted.announced, **came}), gone)

    def _check_query(self) -> None:
        """Refuse a source that has other rows each time that it is asked; once, since it costs two scans."""
        if not self._is_query_checked:
            refuse_unstable_query(self._client, self._database, self._compared)
            self._is_query_checked = True

    def _refuse_unkept(self, staged: StagingSlice, keys: set[Key]) -> None:
        refuse_unkept_values(self._client, self._database, self._connection, self._compared, staged.table_slice, keys)

    def _complete(self, compared: ComparedSegments, staged: StagingSlice, held: SegmentDigests, *, whole_ranges: bool) -> None:
        """Fetch the rows that a partly filled staging table lacks.

        :param held: digests of the staged segments
        :param whole_ranges: fetch key ranges without any staged row as a whole, without comparing rows; in all other segments
            that differ, rows are compared
        """
        differing = differing_segments(compared.source_segments, held)
        is_by_range = whole_ranges and compared.partitioning.scheme == "key_range"
        ranges = batch_sizes.ranges_to_fetch(missing_segment_ranges(differing, held)) if is_by_range else ()
        for segment_range in ranges:
            self._loader.load_range(key_range_of(compared.partitioning, segment_range))
        others = tuple(number for number in differing if number in held or not ranges)
        partly = msgspec.structs.replace(
            compared, table_slice=staged.table_slice, target_segments=held, differing=others, mode=MIRROR
        )
        connection = None if self._staging.visible_to_others else self._connection
        for found in confirmed_slices(self._client, self._database, partly, connection):
            # A row that changed in the meantime may have come with its old values in another slice.
            # Deleted separately: a key that the target stores differently, such as CHAR without spaces, equals its old key.
            staged.delete(found.changes.deleted)
            staged.delete(list(found.announced))
            self._stage_rows(staged, found, {}, is_alone=False)

    def _without_kept(self, before: Differences, found: Differences) -> Differences:
        """Leave out rows to update that the source no longer has and that the mode keeps as they are."""
        kept = found.changes.deleted
        if not (kept and self._compared.mode.keeps_rows):
            return found
        table_slice = self._compared.table_slice.unwindowed
        with self._database.snapshot() as connection:
            digests = [row for rows in self._database.digests.digest_keys(connection, table_slice, kept) for row in rows]
        stays = digest_by_segment(self._compared.partitioning, digests)
        return msgspec.structs.replace(
            found,
            changes=changes_of_mode(found.changes, self._compared.mode.name),
            replaced=subtract_segments(before.replaced, stays),
        )

    def _matches_announcement(self, staged: StagingSlice, replaced: SegmentDigests) -> bool:
        """Tell whether the staged and the unchanged rows add up to the segment digests that the source announced.

        With partitioning by row hash this cannot be decided, because a changed row moves to another segment.
        """
        compared = self._compared
        if compared.partitioning.scheme == "row_hash":
            return True
        expected = add_segments(subtract_segments(compared.target_segments, replaced), staged.segments(compared.partitioning))
        return all(expected.get(number) == compared.source_segments.get(number) for number in compared.differing)

    def _open(self) -> tuple[StagingSlice, bool]:
        """Open the staging table; return it, and whether it may hold rows of a failed attempt."""
        table_slice = self._compared.table_slice
        is_resumed = self._staging.resume(self._connection, self._compared.staging_layout)
        rows = msgspec.structs.replace(table_slice, table=self._staging.table, window=None)
        return StagingSlice(self._database, self._connection, rows), is_resumed

    def _open_removed(self) -> StagingSlice:
        """Open the table for the keys of the rows to delete, and remove the keys of this slice from it."""
        table_slice = self._compared.table_slice
        is_resumed = self._removed.resume(self._connection, self._compared.staging_layout.keys)
        keys = msgspec.structs.replace(table_slice, table=self._removed.table, columns=table_slice.key, window=None)
        removed = StagingSlice(self._database, self._connection, keys)
        if is_resumed:
            removed.empty()
        return removed

    def _list_removed(self, removed: StagingSlice, keys: Sequence[Key]) -> None:
        if keys:
            table, columns = removed.table_slice.table, removed.table_slice.columns
            self._database.loader.load_text(self._connection, table, columns, [tsv.encode_keys(keys)])

    def _staged_table(self, staged: StagingSlice, rows: int, removed: Table | None) -> StagedTable:
        """Return the description of the staged rows.

        :param rows: the announced number of rows
        :raises ProtocolError: if a different number of rows is staged
        """
        table_slice, table = self._compared.table_slice, staged.table_slice.table
        if (count := staged.count()) != rows:
            raise ProtocolError(f"Table {self._target.name!r}: {count} rows are staged, and {rows} were announced.")
        for filled in filter(None, (table, removed)):
            self._database.loader.adopt_keys(self._connection, self._target.table, filled, table_slice.key)
        return self._target.staged(
            table,
            table_slice.column_names,
            key=table_slice.key_names,
            rows=rows,
            removed=removed,
            # With a window, limits on deleted rows count only rows inside of it.
            target_rows=self._compared.target_rows,
            protocol=2,
        )

    def _fetched(
        self,
        compared: ComparedSegments,
        staged: StagedTable,
        *,
        announced: Mapping[Key, int] | None = None,
        deleted: Sequence[Key] = (),
        deleted_rows: int = 0,
        replaced: SegmentDigests | None = None,
    ) -> FetchedRows:
        return FetchedRows(
            self._client,
            self._database,
            compared,
            staged,
            received=self._loader.received,
            announced=announced,
            deleted=deleted,
            deleted_rows=deleted_rows,
            replaced=replaced,
            unstable_keys=self._unstable_keys,
        )
