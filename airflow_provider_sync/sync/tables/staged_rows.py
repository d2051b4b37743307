"""The staged rows of one table, in either protocol version, and the verification of the merged target."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Literal

from sqlalchemy import Connection

from airflow_provider_sync.databases.schema import Column
from airflow_provider_sync.exceptions import NOTHING_CHANGED, TableError, TargetChangedError
from airflow_provider_sync.merge.direct_load import DirectRows
from airflow_provider_sync.merge.staged_table import StagedTable
from airflow_provider_sync.report import Verified
from airflow_provider_sync.sync.tables.target import Target


class StagedRows(ABC):
    """The result of a download: rows to merge, or nothing to merge if the target equals the source.

    :param staged: the rows that the merge writes; ``None`` if the target equals the source
    :ivar protocol: version of the protocol in use
    :ivar target: the table to merge into
    :ivar rows_total: number of rows of the source
    :ivar rows_received: number of rows received over the wire
    :ivar warnings: warnings for the report, about the received rows
    :ivar verified: what the comparison has already proven without a merge
    """

    protocol: Literal[1, 2]
    verified: Verified | None = None

    def __init__(
        self,
        target: Target,
        staged: StagedTable | DirectRows | None,
        *,
        rows_total: int,
        rows_received: int,
        warnings: tuple[str, ...] = (),
    ) -> None:
        self.target = target
        self.rows_total = rows_total
        self.rows_received = rows_received
        self.warnings = warnings
        self._staged = staged

    @property
    def is_equal(self) -> bool:
        """Whether the target equals the source, so that there is nothing to merge."""
        return self._staged is None

    @property
    def staged(self) -> StagedTable | DirectRows:
        """The rows that the merge writes.

        :raises TableError: if there is nothing to merge
        """
        if self._staged is None:
            raise TableError(f"Table {self.target.name!r} has nothing to merge.")
        return self._staged

    @abstractmethod
    def verify(self, connection: Connection) -> Verified | None:
        """Compare the target, after the merge and before the commit, with the digests that the source announced.

        The merge itself has already compared the target with the staged rows.

        :return: what this proves in addition; ``None`` for nothing
        :raises TableBusyError: if the target's digests are not the announced ones
        """

    def carries(self, column: Column) -> bool:
        """Tell whether the protocol carries a column's values exactly, so that a different target value must be wrong."""
        return True

    def source_changed(self) -> bool:
        """Ask the source, after a failed merge, whether its rows changed since they were staged.

        Staged rows from two moments may violate a unique key that the source's rows satisfy at each moment.
        """
        return False

    def doubt(self, verified: Verified | None, *, changed: bool) -> str | None:
        """Return one sentence on why :meth:`verify` could not prove more; ``None`` if there is nothing to add.

        :param verified: the result of :meth:`verify`
        :param changed: whether the merge changed the target
        """
        return None


class EqualRows(StagedRows):
    """Nothing to merge: the target equals the source.

    :param rows: number of rows of the source
    """

    def __init__(
        self, target: Target, *, protocol: Literal[1, 2], rows: int, verified: Verified, warnings: tuple[str, ...] = ()
    ) -> None:
        super().__init__(target, None, rows_total=rows, rows_received=0, warnings=warnings)
        self.protocol = protocol
        self.verified = verified

    def verify(self, connection: Connection) -> Verified | None:
        """Return what the comparison has proven, since nothing was merged."""
        return self.verified


def computes_otherwise(name: str, columns: Iterable[str]) -> TableError:
    """Return the error for columns that target and source compute differently."""
    names = ", ".join(map(repr, sorted(columns)))
    return TableError(
        f"Table {name!r}: the target computes other values for column {names} than the source has, so that the two never"
        " become equal.",
        NOTHING_CHANGED,
        "Give the column the same expression on both sides, make it a plain one at the target, or leave it out with `columns`.",
    )


def not_as_staged(name: str) -> TargetChangedError:
    """Return the error for a target that differs from the staged rows after the merge."""
    return TargetChangedError(
        f"Table {name!r}: after the merge the target differs from what the source announced: another session wrote to the target"
        " during the sync.",
        NOTHING_CHANGED,
        "Try again when no other session writes to it.",
    )
