"""Merge a table whose staging tables are gone: an earlier attempt of the merging task may have merged their rows.

A task that Airflow considers dead may still be running: it merges, drops the staging tables, and nobody reads its report. Tables
may also have been merged before another one failed. The next attempt cannot tell these cases from staging tables that another
session dropped, so it syncs the table as one task would: it compares target and source again, and stages what differs:
nothing, if the rows were merged.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import msgspec
from sqlalchemy import Connection

from airflow_provider_sync.merge.staging import TemporaryStaging, staging_for
from airflow_provider_sync.report import TableReport
from airflow_provider_sync.sync.progress import row_progress, silent
from airflow_provider_sync.sync.tables.clean_up import CleanUp
from airflow_provider_sync.sync.tables.slice_values import StagedSlice
from airflow_provider_sync.sync.tables.staged_rows import StagedRows
from airflow_provider_sync.sync.tables.table_source import StagingArea, TableSource
from airflow_provider_sync.sync.tables.target import Target


@contextmanager
def staged_again(source: TableSource, target: Target, connection: Connection, clean_up: CleanUp) -> Iterator[StagedRows]:
    """Compare the whole table, stage the rows that differ, and drop the staging table after the block.

    :param connection: the connection that merges; it may load rows
    """
    staging = staging_for(source.database)
    area = StagingArea(
        target=target,
        connection=connection,
        rows=staging,
        removed=TemporaryStaging(source.database, purpose="removed"),
        on_rows=row_progress(silent, target.name),
    )
    asking = partial(source.client.within, target.options.max_seconds)
    try:
        with asking():
            staged = source.stage(area, resume=False, direct=False, asking=asking)
        yield staged
    finally:
        if staging.created:
            clean_up.drop(target.name, staging.drop)


def with_merged_before(report: TableReport, slices: Sequence[StagedSlice], *, dry_run: bool) -> TableReport:
    """Add to a report what is known of the rows that the tasks had staged.

    The table counts as changed, since the comparison found that it differed, and those who wait for it were not told yet.

    :param report: the report of the sync of this attempt
    :param slices: the slices that were staged
    """
    is_equal = report.status == "unchanged" and not dry_run
    if dry_run:
        found = "this dry run compared source and target again."
    elif is_equal:
        found = "source and target are equal now. How many rows were inserted, updated and deleted is not known."
    else:
        found = "source and target were compared again, and what still differed was synced."
    return msgspec.structs.replace(
        report,
        status="changed" if is_equal else report.status,
        rows_received=report.rows_received + sum(entry.received for entry in slices),
        warnings=(
            *report.warnings,
            f"The staging table of {report.name!r} was gone, because an earlier attempt merged it and was ended before it could"
            f" report, or because another session dropped it: {found}",
        ),
    )
