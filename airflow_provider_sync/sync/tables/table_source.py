"""The interface of a table's source, which each protocol version implements.

::

    in one task   stage ──────────────────────────────────────────── merge
    in tasks      compare ──┬── stage_slice ──┬── find what is staged ── merge
                            └── stage_slice ──┘

The work before and after, which is the same for both versions, is in :mod:`.pipeline` and :mod:`.steps`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal

import msgspec
from sqlalchemy import Connection

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import TargetTable
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.exceptions import MissingTableError
from airflow_provider_sync.merge.staged_table import StagedTable
from airflow_provider_sync.merge.staging import Staging
from airflow_provider_sync.protocol.v2.messages import Described
from airflow_provider_sync.report import Status, TableReport, Verified
from airflow_provider_sync.sync.progress import RowProgress
from airflow_provider_sync.sync.tables.slice_values import ComparedTable, PlannedSlice, StagedSlice, with_first
from airflow_provider_sync.sync.tables.staged_rows import EqualRows, StagedRows
from airflow_provider_sync.sync.tables.target import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class StagingArea:
    """The staging tables that hold the received rows of one table until the merge.

    :ivar connection: the connection that creates and fills the staging tables
    :ivar rows: the staging table for rows
    :ivar removed: the staging table for the keys of rows to delete
    :ivar on_rows: called when rows arrive
    :ivar described: the source's description of the whole table, if already known (version 2)
    """

    target: Target
    connection: Connection
    rows: Staging
    removed: Staging
    on_rows: RowProgress
    described: Described | None = None


class TableSource(ABC):
    """The source's side of a table sync in one protocol version.

    :param database: the target's database
    :cvar protocol: the version
    :cvar proof: what its comparison proves if the target is equal
    """

    protocol: Literal[1, 2]
    proof: Verified

    def __init__(self, client: SyncClient, database: Database) -> None:
        self.client = client
        self.database = database

    @abstractmethod
    def missing_target(self, options: TargetTable, missing: MissingTableError) -> MissingTableError:
        """Return the error for a missing target, with the CREATE TABLE to run.

        :param missing: the error of the target's database
        """

    @abstractmethod
    def check(self, target: Target) -> None:
        """Check with a cheap request whether the table can be synced.

        :raises SyncError: if it cannot
        """

    @abstractmethod
    def differs(self, target: Target) -> bool:
        """Tell whether source and target differ; no row is downloaded."""

    @abstractmethod
    def stage(
        self, area: StagingArea, *, resume: bool, direct: bool, asking: Callable[[], AbstractContextManager[None]]
    ) -> StagedRows:
        """Compare the whole table, and stage the rows that the merge needs.

        :param resume: stage rows even if they could be loaded directly, so that the next attempt can resume
        :param direct: if the target is empty and allows it, let the merge load the rows directly
        :param asking: opens the block in which the merge requests such rows
        """

    @abstractmethod
    def compare(self, target: Target, run_id: str, slices: int) -> ComparedTable:
        """Compare the table, and divide the rows to stage into slices for separate tasks.

        :param run_id: unique id of the run, from which the names of the staging tables are derived
        :param slices: maximum number of slices
        """

    @abstractmethod
    def stage_slice(self, area: StagingArea, planned: PlannedSlice) -> StagedSlice:
        """Compare one slice, and stage those of its rows that the merge needs; the area's target is limited to the slice."""

    @abstractmethod
    def staged_rows(self, target: Target, staged: StagedTable, slices: Sequence[StagedSlice]) -> StagedRows:
        """Return the rows that other tasks have staged, for the merge."""

    def equal_rows(self, target: Target, rows: int, warnings: tuple[str, ...] = ()) -> EqualRows:
        """Return a result without rows to merge.

        :param rows: number of rows of the source
        """
        return EqualRows(target, protocol=self.protocol, rows=rows, verified=self.proof, warnings=warnings)

    def compared(
        self, target: Target, slices: Sequence[PlannedSlice], *, rows: int, warnings: tuple[str, ...] = ()
    ) -> ComparedTable:
        """Return the result of a comparison.

        :param rows: number of rows of the source
        """
        report = TableReport(
            name=target.name,
            status=_status(target, is_equal=not slices),
            protocol=self.protocol,
            rows_total=rows,
            verified=None if slices else self.proof,
            schema_changes=target.schema_changes,
            warnings=warnings,
        )
        chosen = [msgspec.structs.replace(entry, synced=target.synced) for entry in slices]
        return ComparedTable(report=report, slices=with_first(chosen, schema_changes=target.schema_changes))


def _status(target: Target, *, is_equal: bool) -> Status:
    if is_equal and not target.schema_changes:
        return "unchanged"
    # A target limited to some of its columns was not altered.
    return "changed" if is_equal and target.synced.source is None else "planned"
