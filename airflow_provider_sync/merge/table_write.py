"""What happens to one table in a transaction, step by step: the contract of a merge and of a direct load.

:mod:`.transaction` takes each step for all tables before the next, parents or children first, as foreign keys need it.
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
    """Add to an error about a value of a unique key why it may be there twice, and what to do.

    :param triggers: those that may have written such a row, in words
    """
    if triggers:
        reason = f"{reason} Or {' or '.join(triggers)} has written such a row."
        advice = f"{advice} If it was that, change that, or leave one of the tables out."
    try:
        with database.translate_errors():
            yield
    except TableError as error:
        if error.__cause__ is None or not database.is_duplicate(error.__cause__) or NOTHING_CHANGED in error.args:
            raise
        explained = TableError(f"{str(error).removesuffix('.')}. {reason}", NOTHING_CHANGED, advice)
        raise (explained.without_subject() if error.lacks_subject else explained) from error.__cause__


class TableWrite(ABC):
    """The steps of one table, in the order in which they run; a subclass overrides the steps that it needs.

    :param target: the table that is written
    :ivar counts: rows to insert, update and delete; set by :meth:`list_changes`
    :ivar triggers: what the transaction may fire, in words: triggers, and functions; set by :mod:`.trigger_watch`
    :ivar computed_otherwise: columns that the target computes otherwise than the source; set by :meth:`verify`
    :ivar warnings: what the report should say
    """

    counts: MergeCounts
    triggers: Sequence[str] = ()
    computed_otherwise: Sequence[str] = ()

    def __init__(self, target: Table) -> None:
        self.target = target
        self.warnings: list[str] = []

    @abstractmethod
    def list_changes(self) -> None:
        """Find out which rows change, and set :attr:`counts`; nothing is written to the target."""

    @property
    def listed(self) -> ListedChanges | None:
        """The rows that change, where they are listed one by one."""
        return None

    @property
    @abstractmethod
    def writes(self) -> bool:
        """Whether there is anything to write."""

    @property
    def computes(self) -> bool:
        """Whether the target computes columns whose values came."""
        return False

    def ending_rows(self) -> Table | None:
        """Return the rows that end in this merge, without the columns that say so, as :meth:`unwritten_rows` returns others."""
        return None

    def unwritten_rows(self) -> Table | None:
        """Return the rows that no step writes, as a table to be read before the first of them and after the last.

        :return: ``None`` where there are none, or where nothing is verified
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
        """Compare what was written with what was to be written."""

    def move_sequences(self) -> None:  # noqa: B027  # see the class
        """Move sequences past the new keys, after everything that may fail: a rollback does not take them back."""

    @abstractmethod
    def result(self) -> MergeResult:
        """Return what was done; in a dry run, what would have been done."""
