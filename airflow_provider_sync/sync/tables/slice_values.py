"""The JSON values that one step of a table sync passes to the next; they never contain rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from airflow_provider_sync.protocol.v2.messages import SHA256, KeyRange
from airflow_provider_sync.report import TableReport
from airflow_provider_sync.sync.step_value import StepValue
from airflow_provider_sync.sync.tables.new_target.details import MadeTable, with_details
from airflow_provider_sync.sync.tables.target import SyncedColumns, Target


class _SliceValue(StepValue, frozen=True, kw_only=True):
    """The result of a step for one slice of a table.

    :ivar table: the name under which the server offers the table
    :ivar run_id: unique id of the run, from which the names of the staging tables are derived
    :ivar protocol: version of the protocol in use
    :ivar key_range: lowest and highest key of the slice; ``None`` for all keys
    :ivar source_rows: number of rows of the whole table or window at the source, during the comparison
    :ivar target_rows: number of rows of the whole table or window at the target, during the comparison
    :ivar synced: the columns that the comparison chose to sync
    :ivar schema_changes: changes that the comparison made to the target's table, or would make in a run; only in the first slice
    :ivar made_warnings: warnings about details that a new target did not get; only in the first slice
    :ivar equal: tables that the comparison found equal; only in the first slice of a run
    """

    table: str
    run_id: str = msgspec.field(name="run")
    protocol: Literal[1, 2]
    key_range: KeyRange | None = None
    source_rows: int = 0
    target_rows: int = 0
    synced: SyncedColumns = SyncedColumns()
    schema_changes: tuple[str, ...] = ()
    made_warnings: tuple[str, ...] = ()
    equal: tuple[str, ...] = ()

    def applied_to(self, target: Target) -> Target:
        """Return the target narrowed to what the comparison chose to sync."""
        return msgspec.structs.replace(target, synced=self.synced, schema_changes=self.schema_changes)


class PlannedSlice(_SliceValue, frozen=True, kw_only=True):
    """A slice to be staged. The first slice of a table carries the costs of the comparison.

    :ivar rows: estimated number of rows to compare or fetch, on both sides together
    :ivar whole: whether to stage all rows instead of those that differ; ``None`` to decide after rows were compared
    :ivar source_hash: version 1: the hash of the table, if the source announced it
    """

    rows: int = 0
    whole: bool | None = None
    source_hash: str | None = None

    @property
    def summary(self) -> str:
        """A sentence about the keys of the slice."""
        return f"Table {self.table!r}, keys {self.key_range or 'all'}: about {self.rows:,} rows to look at."


class StagedSlice(_SliceValue, frozen=True, kw_only=True):
    """A staged slice. Its costs are those of the planned slice and of staging it.

    :ivar whole: whether all rows are staged, so that the merge deletes any other; if not, the keys of rows to delete are listed
    :ivar staged: number of rows in the staging table
    :ivar removed: number of listed keys of rows to delete
    :ivar forgets: whether the merge sets columns that the source no longer has to NULL
    :ivar received: number of rows received over the wire in the successful attempt
    :ivar rows: number of rows of the target in this slice after the merge
    :ivar digest: sum of the digests of these rows, modulo 2**64
    :ivar source_digest: sum of the digests of the source's rows, modulo 2**64, during the comparison
    :ivar by_key: whether only the staged rows can be verified, since the digest is not known
    :ivar proven: whether each staged row has the announced digest; false if rows changed each time they were fetched
    :ivar algorithm: name of a digest that both databases support
    :ivar source_hash: version 1: the hash of the table, if the source announced it
    :ivar unproven: version 1: see :class:`~.version1.whole_table.WholeTable`
    :ivar hashed: version 1: the columns that the source hashes
    :ivar time_zone: version 1: the time zone in which the source hashes TIMESTAMP
    """

    whole: bool
    staged: int
    removed: int = 0
    forgets: bool = False
    received: int = 0
    rows: int = 0
    digest: int = 0
    source_digest: int = 0
    algorithm: str = SHA256
    by_key: bool = False
    proven: bool = True
    source_hash: str | None = None
    unproven: str | None = None
    hashed: tuple[str, ...] | None = None
    time_zone: str = "UTC"
    warnings: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """A sentence about the staged rows, and how many of them this attempt received."""
        return (
            f"Table {self.table!r}: {self.staged:,} rows staged, of which {self.received:,} came now,"
            f" and {self.removed:,} to delete."
        )

    @property
    def changes(self) -> bool:
        """Whether the merge has anything to change."""
        return self.whole or self.forgets or bool(self.staged or self.removed)


def with_first(slices: Sequence[PlannedSlice], **facts: Any) -> tuple[PlannedSlice, ...]:
    """Return the slices, with facts about the whole table or run added to the first."""
    return (*(msgspec.structs.replace(first, **facts) for first in slices[:1]), *slices[1:])


class ComparedTable(msgspec.Struct, frozen=True, kw_only=True):
    """The result of comparing a table.

    :ivar report: the report, ``unchanged``, or ``planned`` if source and target differ
    :ivar slices: the slices to stage; empty if source and target are equal
    :ivar made: the target, if it was just created, or has foreign keys left to add
    """

    report: TableReport
    slices: tuple[PlannedSlice, ...] = ()
    made: MadeTable | None = None

    def costing(self, costs: Mapping[str, Any]) -> ComparedTable:
        """Add the costs of the comparison, as fields of a report; the first slice carries them to the next step."""
        return ComparedTable(
            report=msgspec.structs.replace(self.report, **costs),
            slices=with_first(self.slices, **costs),
        )

    def with_made(self, made: MadeTable, *, dry_run: bool = False) -> ComparedTable:
        """Add the details that a new target got, or would get; the first slice carries them to the report."""
        (report,) = with_details([self.report], [made], dry_run=dry_run)
        before = self.slices[0].schema_changes if self.slices else ()
        slices = with_first(self.slices, schema_changes=(*before, *made.schema_changes), made_warnings=made.warnings)
        return ComparedTable(report=report, slices=slices)
