"""The last of the steps: merge what downloads have staged, part by part, as :mod:`.pipeline` merges what it staged itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import msgspec
from sqlalchemy import Connection

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import TargetTable
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.table_slice import SegmentDigest, TableSlice
from airflow_provider_sync.exceptions import NOTHING_CHANGED, SyncError, TableError, TargetChangedError
from airflow_provider_sync.merge.transaction import StagedTable
from airflow_provider_sync.protocol.v2.messages import ONE_SEGMENT, DescribeTable
from airflow_provider_sync.report import TableReport, Verified
from airflow_provider_sync.sync.outcomes import Outcomes
from airflow_provider_sync.sync.tables.clean_up import CleanUp
from airflow_provider_sync.sync.tables.column_mapping import land, requested_slice_for
from airflow_provider_sync.sync.tables.computed_columns import refuse_other_values
from airflow_provider_sync.sync.tables.download import Download, Unchanged
from airflow_provider_sync.sync.tables.failures import reasons, try_each
from airflow_provider_sync.sync.tables.merge_step import Entry, merge_entries, report_of
from airflow_provider_sync.sync.tables.pipeline import LOCK_TIMEOUT, present_target
from airflow_provider_sync.sync.tables.slice_values import StagedSlice
from airflow_provider_sync.sync.tables.steps import removed_of, staging_of
from airflow_provider_sync.sync.tables.target import Target, seen_by
from airflow_provider_sync.sync.tables.transaction_groups import in_order, transaction_groups
from airflow_provider_sync.sync.tables.version1.whole_table import WholeTable
from airflow_provider_sync.sync.traffic import Measure
from airflow_provider_sync.time_zones import time_zone_named


def merge_slices(
    client: SyncClient,
    tables: Mapping[str, tuple[TargetTable, Sequence[StagedSlice]]],
    database: Database,
    *,
    single_transaction: bool = True,
    dry_run: bool = False,
    lock_timeout: float = LOCK_TIMEOUT,
) -> list[TableReport]:
    """Merge what was staged for tables of one database, and drop the staging tables.

    A merge that fails leaves them, so that it can be tried again.

    :param tables: by name, each with all of its parts
    :param single_transaction: merge all tables in one transaction; otherwise each in its own, or with those to which
        foreign keys bind it that cannot be switched off, the rest even when one fails
    :param dry_run: report what would change, and write nothing
    :return: one report for each table, with the costs of all steps
    :raises SyncFailed: when any failed, with the reports of all
    """
    groups = transaction_groups(
        database, list(tables.values()), lambda table: table[0].table_name, single_transaction=single_transaction
    )
    outcomes = Outcomes[TableReport]()
    for group in groups:
        measures = {
            options.name: Measure(client, earlier=[table_slice.traffic() for table_slice in slices]) for options, slices in group
        }
        with outcomes.going_on(partial(_failed, group, measures)):
            outcomes.add(_merge(client, group, measures, database, dry_run, lock_timeout))
    reports = in_order(outcomes.found, list(tables))
    outcomes.check(reports)
    return reports


def _failed(
    tables: Sequence[tuple[TargetTable, Sequence[StagedSlice]]], measures: Mapping[str, Measure], error: SyncError
) -> list[TableReport]:
    """Report on tables of one transaction, which failed."""
    why = reasons(error, [options.name for options, _ in tables])
    return [
        TableReport(
            name=options.name,
            status="failed",
            protocol=slices[0].protocol,
            error=why[options.name],
            **measures[options.name].so_far(),
        )
        for options, slices in tables
    ]


class StagedSlices(Download):
    """Rows of the source that several downloads have staged.

    :param table_slice: the whole of what they are part of
    """

    protocol = 2

    def __init__(
        self,
        client: SyncClient,
        database: Database,
        target: Target,
        table_slice: TableSlice,
        staged: StagedTable,
        slices: Sequence[StagedSlice],
    ) -> None:
        super().__init__(
            target,
            staged,
            rows_total=slices[0].source_rows,
            rows_received=sum(entry.received for entry in slices),
            warnings=tuple(warning for entry in slices for warning in entry.warnings),
        )
        self.staging = staged.staging
        self.client = client
        self.database = database
        self.table_slice = table_slice
        self.slices = slices
        self._rest_holds = True

    def source_moved(self) -> bool:
        """Have the source digest the ranges of keys once more."""
        requested_slice = requested_slice_for(self.target)
        for entry in self.slices:
            request = DescribeTable(
                table_slice=msgspec.structs.replace(requested_slice, key_range=entry.key_range), partitioning=ONE_SEGMENT
            )
            with self.client.describe_table(request) as answer:
                rows = total = 0
                for segments in answer:
                    rows, total = rows + sum(segments.counts), total + sum(segments.sums)
                if answer.described.digest == entry.algorithm and (rows, total % 2**64) != (entry.rows, entry.digest):
                    return True
        return False

    def verify(self, connection: Connection) -> Verified | None:
        """Digest the ranges of keys that were looked at, and compare them with what the downloads made of each.

        :return: ``None`` where rows never stood still
        :raises TargetChangedError: when they differ
        :raises TableError: when they differ because the target computes a column otherwise
        """
        for entry in self.slices:
            table_slice = msgspec.structs.replace(self.table_slice, key_range=entry.key_range, digest=entry.algorithm)
            found = self.database.digests.digest_segments(connection, table_slice, ONE_SEGMENT).get(0, SegmentDigest(0, 0))
            if found != SegmentDigest(entry.rows, entry.digest):
                refuse_other_values(self.database, connection, table_slice, self.staging, name=self.target.name)
                if entry.by_key:
                    self._rest_holds = False
                    continue
                raise TargetChangedError(
                    f"Table {self.target.name!r}: after the merge the target is not what the source announced; the target changed"
                    " since it was compared.",
                    NOTHING_CHANGED,
                    "Run the steps again from the first.",
                )
        return "digest" if all(entry.proven for entry in self.slices) else None

    def rest_holds(self, connection: Connection) -> bool:
        """Whether :meth:`verify` found all that it digested as it was announced, parts whose rows were compared by key, too."""
        return self._rest_holds


def _merge(
    client: SyncClient,
    tables: Sequence[tuple[TargetTable, Sequence[StagedSlice]]],
    measures: Mapping[str, Measure],
    database: Database,
    dry_run: bool,
    lock_timeout: float,
) -> list[TableReport]:
    database = seen_by(database, [options for options, _ in tables])
    names = [options.table_name for options, _ in tables]
    with database.exclusive(names, timeout=lock_timeout) as lock, database.connect() as connection:
        targets: dict[str, Target] = {}
        entries = []

        def adopt(options: TargetTable, slices: Sequence[StagedSlice]) -> None:
            target = targets[options.name] = present_target(client, database, options)
            target.check_rollback()
            outcome = _adopt(client, database, connection, target, slices)
            measures[options.name].pause()
            entries.append(Entry(target, measures[options.name], outcome))

        if failure := try_each([(options.name, partial(adopt, options, slices)) for options, slices in tables]):
            raise failure
        merge_entries(database, connection, entries, lock=lock, dry_run=dry_run)
        reports = [report_of(entry, dry_run) for entry in entries]
        after = CleanUp()
        for options, slices in tables:
            for staging in (staging_of(database, slices[0].run), removed_of(database, slices[0].run)):
                with after.of(options.name):
                    staging.clear(connection, targets[options.name].table)
    return after.told(reports)


def _adopt(
    client: SyncClient, database: Database, connection: Connection, target: Target, slices: Sequence[StagedSlice]
) -> Download | Unchanged:
    """Take over what the downloads staged.

    :raises TableError: when it is not all there
    """
    first = slices[0]
    if not any(table_slice.changes for table_slice in slices):
        verified: Verified = "digest" if first.protocol == 2 else "hash"
        return Unchanged(protocol=first.protocol, rows=first.source_rows, verified=verified, warnings=first.warnings)
    whole = all(table_slice.whole for table_slice in slices)
    staging, removed = staging_of(database, first.run), removed_of(database, first.run)
    table = staging.adopt(connection, target.table)
    listed = None if whole else removed.adopt(connection, target.table)
    expected = sum(table_slice.staged for table_slice in slices), sum(table_slice.removed for table_slice in slices)
    found = database.reader.count(connection, table), database.reader.count(connection, listed) if listed else 0
    if found != expected:
        raise TableError(
            f"Table {target.name!r}: {found[0]} rows and {found[1]} keys to delete are staged, and the downloads told of"
            f" {expected[0]} and {expected[1]}. Did the database crash meanwhile? Run the steps again from the first."
        )
    staged = StagedTable(
        target=target.table,
        staging=table,
        key=table.primary_key,
        columns=tuple(column.name for column in table.columns),
        rows=expected[0],
        verify=target.options.verify,
        removed=listed,
        target_rows=first.target_rows,
    )
    if first.protocol == 1:
        hashed = None if first.hashed is None else [target.table.column(name) for name in first.hashed]
        return WholeTable(
            database,
            target,
            staged,
            hashed=hashed,
            source_hash=first.source_hash,
            warnings=first.warnings,
            zone=time_zone_named(first.time_zone),
            received=first.received,
        )
    request = DescribeTable(table_slice=requested_slice_for(target), digests=False)
    with client.describe_table(request) as answer:
        table_slice = land(database, target, answer.described)
    return StagedSlices(client, database, target, table_slice, staged, slices)
