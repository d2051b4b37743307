"""What goes from one step of a table's sync to the next: small values that JSON has, never rows."""

from __future__ import annotations

from typing import Literal

from airflow_provider_sync.protocol.v2.messages import SHA256, KeyRange
from airflow_provider_sync.sync.step_value import StepValue


class _Passed(StepValue, frozen=True, kw_only=True):
    """A value that goes from step to step.

    :ivar table: the name under which the server offers it
    :ivar run: what the names of the staging tables are made of
    :ivar protocol: version that was spoken
    :ivar key_range: keys of this part; ``None`` for all
    :ivar source_rows: of the whole table or window, when it was compared
    :ivar target_rows: the same of the target
    """

    table: str
    run: str
    protocol: Literal[1, 2]
    key_range: KeyRange | None = None
    source_rows: int = 0
    target_rows: int = 0


class PlannedSlice(_Passed, frozen=True, kw_only=True):
    """What one download has to do. The costs are those of the comparison, told by the first part.

    :ivar rows: to look at, about, on both sides together
    :ivar whole: stage all rows rather than those that differ; ``None`` to decide when rows were compared
    :ivar source_hash: version 1: of the table, where the source told it
    """

    rows: int = 0
    whole: bool | None = None
    source_hash: str | None = None

    @property
    def summary(self) -> str:
        """Which keys to look at."""
        return f"Table {self.table!r}, keys {self.key_range or 'all'}: about {self.rows:,} rows to look at."


class StagedSlice(_Passed, frozen=True, kw_only=True):
    """What one download left in the staging table. The costs are those of the download and of what its part told.

    :ivar whole: all rows are staged, so that what is not goes; otherwise what goes is listed
    :ivar staged: rows
    :ivar removed: keys listed
    :ivar received: rows that came over the wire in the try that succeeded
    :ivar rows: of the target, in this part, after the merge
    :ivar digest: sum of the digests of these rows, modulo 2**64
    :ivar by_key: no more can be told of this part than that the staged rows arrive
    :ivar proven: whether each staged row is what the source announced of it; not where rows never stood still
    :ivar algorithm: the name of the digest, which both databases have
    :ivar source_hash: version 1: of the table, where the source told it
    :ivar hashed: version 1: the columns that the source hashes
    :ivar time_zone: version 1: in which the source hashes TIMESTAMP
    """

    whole: bool
    staged: int
    removed: int = 0
    received: int = 0
    rows: int = 0
    digest: int = 0
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
        return self.whole or bool(self.staged or self.removed)
