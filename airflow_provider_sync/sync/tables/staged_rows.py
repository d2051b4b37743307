"""What was staged of one table, by either version of the protocol: what the merge writes, and how it is verified."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal

from sqlalchemy import Connection

from airflow_provider_sync.exceptions import NOTHING_CHANGED, TableError, TargetChangedError
from airflow_provider_sync.merge.transaction import DirectRows, StagedTable
from airflow_provider_sync.report import Verified
from airflow_provider_sync.sync.tables.target import Target


class StagedRows(ABC):
    """What a download ended in: rows that wait for their merge, or nothing to merge, since the target equals the source.

    :param staged: what the merge writes; ``None`` for nothing
    :ivar protocol: version of the protocol that was spoken
    :ivar target: the table to merge into
    :ivar rows_total: rows of the source
    :ivar rows_received: rows that came over the wire
    :ivar warnings: what the user should know of what came
    :ivar verified: what is proven without a merge
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
        """What the merge writes.

        :raises TableError: when there is nothing to merge
        """
        if self._staged is None:
            raise TableError(f"Table {self.target.name!r} has nothing to merge.")
        return self._staged

    @abstractmethod
    def verify(self, connection: Connection) -> Verified | None:
        """Compare the target, after the merge and before the commit, with what the source announced.

        The merge has compared it with the staged rows before.

        :return: what is proven beyond that; ``None`` when nothing is
        :raises TableBusyError: when the target is not what the source announced
        """

    def whole_target_matches(self, connection: Connection) -> bool:
        """Whether the rows that the merge did not touch are what they were, where :meth:`verify` leaves them out."""
        return True

    def source_changed(self) -> bool:
        """Ask the source, after a merge that failed, whether its rows are other ones by now than those that were staged.

        Rows of two moments may break a unique key that each moment keeps.
        """
        return False

    def doubt(self, verified: Verified | None) -> str | None:
        """Say in one sentence why :meth:`verify` proved no more than it did; ``None`` when there is nothing to say.

        :param verified: what it returned
        """
        return None


class EqualRows(StagedRows):
    """Nothing to merge: the target equals the source.

    :param rows: of the source
    """

    def __init__(
        self, target: Target, *, protocol: Literal[1, 2], rows: int, verified: Verified, warnings: tuple[str, ...] = ()
    ) -> None:
        super().__init__(target, None, rows_total=rows, rows_received=0, warnings=warnings)
        self.protocol = protocol
        self.verified = verified

    def verify(self, connection: Connection) -> Verified | None:
        """Return what the comparison has proven; nothing was merged."""
        return self.verified


def not_as_staged(name: str) -> TargetChangedError:
    """Return the error for a target that is not what the staged rows make of it."""
    return TargetChangedError(
        f"Table {name!r}: after the merge the target is not what the source announced: somebody else wrote to the target during"
        " the sync.",
        NOTHING_CHANGED,
        "Try again when nobody does.",
    )
