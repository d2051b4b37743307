"""What goes from one step of a table's sync to the next: small values that JSON has, never rows."""

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
    """What a step says of one slice of a table.

    :ivar table: the name under which the server offers it
    :ivar run_id: what the names of the staging tables are made of
    :ivar protocol: version of the protocol that was spoken
    :ivar key_range: lowest and highest key of the slice; ``None`` for all keys
    :ivar source_rows: rows of the whole table or window at the source, when it was compared
    :ivar target_rows: the same of the target
    :ivar synced: the columns that take part, as the comparison has chosen them
    :ivar schema_changes: what the comparison changed in the target's table, or would have in a run; the first slice has it
    :ivar made_warnings: what the target did not get when it was made; the first slice has it
    :ivar equal: tables that the comparison found equal; the first slice of a run has them
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
    """A slice that is to be staged. The costs are those of the comparison; the first slice has them.

    :ivar rows: estimated number of rows of both sides to compare or fetch
    :ivar whole: stage all rows rather than those that differ; ``None`` to decide once rows were compared
    :ivar source_hash: version 1: the hash of the table, if the source announced it
    """

    rows: int = 0
    whole: bool | None = None
    source_hash: str | None = None

    @property
    def summary(self) -> str:
        """Which keys to look at."""
        return f"Table {self.table!r}, keys {self.key_range or 'all'}: about {self.rows:,} rows to look at."


class StagedSlice(_SliceValue, frozen=True, kw_only=True):
    """What was staged of one slice. The costs are those of staging it and of what was planned.

    :ivar whole: all rows are staged, so that any other is deleted; otherwise the keys of rows to delete are listed
    :ivar staged: rows in the staging table
    :ivar removed: keys of rows to delete
    :ivar forgets: whether values of columns that are gone at the source are to be forgotten
    :ivar received: rows that came over the wire in the attempt that succeeded
    :ivar rows: rows of the target in this slice, after the merge
    :ivar digest: sum of the digests of these rows, modulo 2**64
    :ivar source_digest: the same sum of the source's rows, when they were compared
    :ivar by_key: the digest is not known: only the staged rows can be verified
    :ivar proven: whether each staged row has the announced digest; false if rows changed each time they were fetched
    :ivar algorithm: the name of the digest, which both databases have
    :ivar source_hash: version 1: the hash of the table, if the source announced it
    :ivar hashed: version 1: the columns that the source hashes
    :ivar time_zone: version 1: the one in which the source hashes TIMESTAMP
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
    hashed: tuple[str, ...] | None = None
    time_zone: str = "UTC"
    warnings: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """What was staged, and how much of it now."""
        return (
            f"Table {self.table!r}: {self.staged:,} rows staged, of which {self.received:,} came now,"
            f" and {self.removed:,} to delete."
        )

    @property
    def changes(self) -> bool:
        """Whether there is anything to merge."""
        return self.whole or self.forgets or bool(self.staged or self.removed)


def with_first(slices: Sequence[PlannedSlice], **facts: Any) -> tuple[PlannedSlice, ...]:
    """Return the slices, the first of which carries facts of the whole table or run to the steps after."""
    return (*(msgspec.structs.replace(first, **facts) for first in slices[:1]), *slices[1:])


class ComparedTable(msgspec.Struct, frozen=True, kw_only=True):
    """What the comparison of a table found.

    :ivar report: ``unchanged``, or ``planned`` where source and target differ
    :ivar slices: what is to be staged; nothing where they are equal
    :ivar made: the target, if it was made, or is to be finished
    """

    report: TableReport
    slices: tuple[PlannedSlice, ...] = ()
    made: MadeTable | None = None

    def costing(self, costs: Mapping[str, Any]) -> ComparedTable:
        """Add what the comparison cost, by the names of a report; its first slice carries that on to the next step."""
        return ComparedTable(
            report=msgspec.structs.replace(self.report, **costs),
            slices=with_first(self.slices, **costs),
        )

    def with_made(self, made: MadeTable, *, dry_run: bool = False) -> ComparedTable:
        """Add what the target got when it was made, or would get; the first slice carries that on to the report."""
        (report,) = with_details([self.report], [made], dry_run=dry_run)
        before = self.slices[0].schema_changes if self.slices else ()
        slices = with_first(self.slices, schema_changes=(*before, *made.schema_changes), made_warnings=made.warnings)
        return ComparedTable(report=report, slices=slices)
