"""What the sync of one table asks of its source, in either version of the protocol.

::

    in one go     stage ──────────────────────────────────────────── merge
    in tasks      compare ──┬── stage_slice ──┬── find what is staged ── merge
                            └── stage_slice ──┘

What comes before and after, and is the same for both versions, is in :mod:`.pipeline` and :mod:`.steps`.
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
    """Where what comes of one table is put until the merge.

    :ivar connection: over which the staging tables are made and filled
    :ivar rows: the staging table of rows
    :ivar removed: the staging table of the keys of rows that are to be deleted
    :ivar on_rows: told of the rows that arrive
    :ivar described: what the source says of the whole table, where it was asked already (version 2)
    """

    target: Target
    connection: Connection
    rows: Staging
    removed: Staging
    on_rows: RowProgress
    described: Described | None = None


class TableSource(ABC):
    """The source's side of a table's sync, by one version of the protocol.

    :param database: the target's
    :cvar protocol: the version
    :cvar proof: what its comparison proves of a target that is equal
    """

    protocol: Literal[1, 2]
    proof: Verified

    def __init__(self, client: SyncClient, database: Database) -> None:
        self.client = client
        self.database = database

    @abstractmethod
    def missing_target(self, options: TargetTable, missing: MissingTableError) -> MissingTableError:
        """Return the error for a missing target, with the CREATE TABLE to run.

        :param missing: what the target's database says
        """

    @abstractmethod
    def check(self, target: Target) -> None:
        """Ask for as little of the table as shows whether it can be synced.

        :raises SyncError: when it cannot
        """

    @abstractmethod
    def differs(self, target: Target) -> bool:
        """Whether source and target differ; no row is downloaded."""

    @abstractmethod
    def stage(
        self, area: StagingArea, *, resume: bool, direct: bool, asking: Callable[[], AbstractContextManager[None]]
    ) -> StagedRows:
        """Compare the whole table, and stage what the merge needs.

        :param resume: stage rows even where they could be loaded directly, so that the next attempt can go on with them
        :param direct: leave the rows of an empty target to the merge, where that is possible
        :param asking: opens the block within which the merge asks for such rows
        """

    @abstractmethod
    def compare(self, target: Target, run_id: str, slices: int) -> ComparedTable:
        """Compare the table, and cut what has to be staged into slices for tasks of their own.

        :param run_id: what tells the staging tables of this run from all others
        :param slices: most slices
        """

    @abstractmethod
    def stage_slice(self, area: StagingArea, planned: PlannedSlice) -> StagedSlice:
        """Compare one slice, to which the target is narrowed, and stage what the merge needs of it."""

    @abstractmethod
    def staged_rows(self, target: Target, staged: StagedTable, slices: Sequence[StagedSlice]) -> StagedRows:
        """Return what other tasks have staged, to be merged."""

    def equal_rows(self, target: Target, rows: int, warnings: tuple[str, ...] = ()) -> EqualRows:
        """Return that there is nothing to merge.

        :param rows: of the source
        """
        return EqualRows(target, protocol=self.protocol, rows=rows, verified=self.proof, warnings=warnings)

    def compared(
        self, target: Target, slices: Sequence[PlannedSlice], *, rows: int, warnings: tuple[str, ...] = ()
    ) -> ComparedTable:
        """Return what a comparison found.

        :param rows: of the source
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
    # A target that takes part with some of its columns was not altered.
    return "changed" if is_equal and target.synced.source is None else "planned"
