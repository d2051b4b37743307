"""The steps of writing one table in a transaction: the contract of a merge and of a direct load.

:mod:`.transaction` runs each step for all tables before the next one, parents or children first, as foreign keys require.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.listed_changes import ListedChanges
from airflow_provider_sync.databases.schema import Table
from airflow_provider_sync.exceptions import NOTHING_CHANGED, TableError
from airflow_provider_sync.merge.merge_result import MergeCounts, MergeResult

_DOUBLED = "Rows that the source tells apart are one to a unique key of the target, or a row that is not synced has their value."
_APART = "Compare the key's columns and collations of both, or drop it at the target."


@contextmanager
def explaining_duplicates(
    database: Database, reason: str = _DOUBLED, advice: str = _APART, *, triggers: Sequence[str] = ()
) -> Iterator[None]:
    """Make errors about duplicate values of a unique key say why they may occur, and what to do.

    :param triggers: triggers and functions that may have written the duplicate row, in words
    """
    if triggers:
        reason = f"{reason} Or {' or '.join(triggers)} has written such a row."
        advice = f"{advice} If so, change that, or leave one of the tables out."
    try:
        with database.translate_errors():
            yield
    except TableError as error:
        if error.__cause__ is None or not database.is_duplicate(error.__cause__) or NOTHING_CHANGED in error.args:
            raise
        explained = TableError(f"{str(error).removesuffix('.')}. {reason}", NOTHING_CHANGED, advice)
        raise (explained.without_subject() if error.lacks_subject else explained) from error.__cause__


class TableWrite(ABC):
    """The steps for one table, in the order in which they run; a subclass overrides the steps that it needs.

    :param target: the table that is written
    :ivar counts: rows to insert, update and delete; set by :meth:`list_changes`
    :ivar triggers: triggers and functions that the transaction may fire, in words; set by :mod:`.trigger_watch`
    :ivar computed_otherwise: generated columns whose values differ between source and target; set by :meth:`verify`
    :ivar warnings: warnings for the report
    """

    counts: MergeCounts
    triggers: Sequence[str] = ()
    computed_otherwise: Sequence[str] = ()

    def __init__(self, target: Table) -> None:
        self.target = target
        self.warnings: list[str] = []

    @abstractmethod
    def list_changes(self) -> None:
        """Find the rows to change, and set :attr:`counts`; nothing is written to the target."""

    @property
    def listed(self) -> ListedChanges | None:
        """The rows to change, or ``None`` if they are not listed one by one."""
        return None

    @property
    @abstractmethod
    def writes(self) -> bool:
        """Whether there is anything to write."""

    @property
    def computes(self) -> bool:
        """Whether the target computes columns whose values the source sent."""
        return False

    def ending_rows(self) -> Table | None:
        """Return the rows that end in this merge, without the columns that mark the end; see :meth:`unwritten_rows`."""
        return None

    def unwritten_rows(self) -> Table | None:
        """Return the target rows that no step writes, as a query to run before the first write and after the last one.

        :return: ``None`` if there are no such rows, or if the merge is not verified
        """
        return None

    def postpone(self, columns: frozenset[str]) -> None:  # noqa: B027  # most tables have no such columns
        """Leave columns to :meth:`write_last`, because they refer to rows of tables that are written later."""

    def prepare(self) -> None:  # noqa: B027  # see the class
        """Prepare the table before any row is written."""

    def release(self) -> None:  # noqa: B027  # see the class
        """Set foreign keys of rows that will be deleted to NULL where their parents are deleted first."""

    def delete(self) -> None:  # noqa: B027  # see the class
        """Delete rows, children first."""

    @abstractmethod
    def write(self) -> None:
        """Write rows, parents first."""

    def write_last(self) -> None:  # noqa: B027  # see the class
        """Write the columns that were postponed."""

    def delete_last(self) -> None:  # noqa: B027  # see the class
        """Delete the rows to which other rows referred until :meth:`write`."""

    def finish(self) -> None:  # noqa: B027  # see the class
        """Undo what :meth:`prepare` did."""

    def verify(self) -> None:  # noqa: B027  # see the class
        """Compare the target with the staged rows."""

    def move_sequences(self) -> None:  # noqa: B027  # see the class
        """Move sequences past the new keys, after everything that may fail: a rollback does not take them back."""

    @abstractmethod
    def result(self) -> MergeResult:
        """Return what was done; in a dry run, what would have been done."""
