"""The two staging tables that the tasks of one run share: one for rows, and one for the keys of rows to delete."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.exceptions import TableError
from airflow_provider_sync.merge.staged_table import StagedTable
from airflow_provider_sync.merge.staging import SharedStaging
from airflow_provider_sync.sync.tables.slice_values import StagedSlice
from airflow_provider_sync.sync.tables.target import Target


class TaskStaging:
    """The staging tables of one table in one run.

    :param run_id: unique id of this run; the same for each attempt
    :param name: the source's name of the table, since several entries of a run may have the same target
    """

    def __init__(self, database: Database, run_id: str, name: str) -> None:
        self.database = database
        self.rows = SharedStaging(database, f"{run_id}\0{name}")
        self.removed = SharedStaging(database, f"{run_id}\0{name}\0removed")

    @property
    def both(self) -> tuple[SharedStaging, SharedStaging]:
        """Both staging tables, for clearing them."""
        return self.rows, self.removed

    def is_there(self, connection: Connection, target: Target, slices: Sequence[StagedSlice]) -> bool:
        """Tell whether the staging tables that a merge of the slices needs exist."""
        needed = (self.rows,) if _is_whole(slices) else self.both
        return all(staging.has_left_behind(connection, target.table) for staging in needed)

    def adopt(self, connection: Connection, target: Target, slices: Sequence[StagedSlice]) -> StagedTable:
        """Return the rows that the tasks have staged.

        :raises TableError: if some of them are missing, or the target has lost one of their columns
        """
        staging = self.rows.adopt(connection, target.table)
        known = {column.name for column in target.table.columns}
        if lost := [column.name for column in staging.columns if column.name not in known]:
            raise TableError(
                f"Table {target.name!r}: the target's columns changed since they were compared ({lost[0]!r} is gone)."
                " Begin again with the comparison."
            )
        removed = None if _is_whole(slices) else self.removed.adopt(connection, target.table)
        expected = sum(table_slice.staged for table_slice in slices), sum(table_slice.removed for table_slice in slices)
        found = self.database.reader.count(connection, staging), self.database.reader.count(connection, removed) if removed else 0
        if found != expected:
            raise TableError(
                f"Table {target.name!r}: {found[0]} rows and {found[1]} keys to delete are staged, and the downloads reported"
                f" {expected[0]} and {expected[1]}. Did the database crash meanwhile? Run the steps again from the first."
            )
        return target.staged(
            staging,
            [column.name for column in staging.columns],
            key=staging.primary_key,
            rows=expected[0],
            removed=removed,
            target_rows=slices[0].target_rows,
            protocol=slices[0].protocol,
        )


def _is_whole(slices: Sequence[StagedSlice]) -> bool:
    """Tell whether all rows are staged, so that no keys of rows to delete are listed."""
    return all(table_slice.whole for table_slice in slices)
