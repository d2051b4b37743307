"""What the download of a table ends in, whatever the version of the protocol: nothing to do, or rows beside the target."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal

import msgspec
from sqlalchemy import Connection

from airflow_provider_sync.exceptions import NOTHING_CHANGED, TargetChangedError
from airflow_provider_sync.merge.transaction import DirectRows, StagedTable
from airflow_provider_sync.report import Verified
from airflow_provider_sync.sync.tables.target import Target


class Unchanged(msgspec.Struct, frozen=True, kw_only=True):
    """The target equals the source.

    :ivar rows: of the source
    :ivar warnings: what the user should know of the comparison
    """

    protocol: Literal[1, 2]
    rows: int
    verified: Verified
    warnings: tuple[str, ...] = ()


class Download(ABC):
    """Rows that wait for their merge.

    :ivar protocol: version by which they came
    :ivar target: where they shall go
    :ivar staged: what the merge is given
    :ivar rows_total: rows of the source
    :ivar rows_received: rows that came over the wire
    :ivar warnings: what the user should know of what came
    """

    protocol: Literal[1, 2]

    def __init__(
        self,
        target: Target,
        staged: StagedTable | DirectRows,
        *,
        rows_total: int,
        rows_received: int,
        warnings: tuple[str, ...] = (),
    ) -> None:
        self.target = target
        self.staged = staged
        self.rows_total = rows_total
        self.rows_received = rows_received
        self.warnings = warnings

    @abstractmethod
    def verify(self, connection: Connection) -> Verified | None:
        """Compare the target, as it is after the merge and before the commit, with what the source announced.

        Rows were compared with staging before.

        :return: what was proven beyond that; ``None`` when nothing was
        :raises TableBusyError: when the target is not what the source announced
        """

    def rest_holds(self, connection: Connection) -> bool:
        """Whether the rows that the merge did not touch are what they were, where :meth:`verify` leaves them out."""
        return True

    def source_moved(self) -> bool:
        """Ask the source whether it is any more what these rows were announced by, after they could not be merged.

        Rows of two moments may break a unique key that each moment keeps.
        """
        return False

    def doubt(self) -> str | None:
        """Say why :meth:`verify` proved no more than it did; ``None`` when there is nothing to say, as of digests."""
        return None


def not_as_staged(name: str) -> TargetChangedError:
    """Return the error for a target that is not what the staged rows make of it."""
    return TargetChangedError(
        f"Table {name!r}: after the merge the target is not what the source announced: somebody else wrote to the target during"
        " the sync.",
        NOTHING_CHANGED,
        "Try again when nobody does.",
    )
