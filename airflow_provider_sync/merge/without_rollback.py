"""Targets that cannot be rolled back: they are refused, or what is said of a sync that failed over them is true."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.schema import Table
from airflow_provider_sync.exceptions import NOTHING_CHANGED, SyncError, TableError, wrap_unexpected_errors


def refuse_without_rollback(table: Table) -> None:
    """Refuse a target that a sync which fails would leave half merged.

    :raises TableError: when it cannot be rolled back
    """
    if table.cannot_roll_back:
        raise TableError(
            f"Table {str(table)!r} is stored by {table.cannot_roll_back}, which cannot roll back: a sync that fails or is killed"
            " would leave it half merged.",
            NOTHING_CHANGED,
            "Convert it (ALTER TABLE ... ENGINE=InnoDB), or accept that by the option allow_non_transactional.",
        )


def warning_of(table: Table) -> str | None:
    """Return what the report of a merge says of a target that cannot be rolled back."""
    if not table.cannot_roll_back:
        return None
    return (
        f"Table {str(table)!r} is stored by {table.cannot_roll_back}, which cannot roll back: others see a merge while it is at"
        " work, and one that fails leaves it half done."
    )


class Remains:
    """What a merge that fails may leave behind.

    :param targets: of the merge; only those that cannot be rolled back count
    :ivar writing: whether the merge has begun to write
    """

    def __init__(self, targets: Iterable[Table]) -> None:
        self.tables = [table for table in targets if table.cannot_roll_back]
        self.writing = False

    @contextmanager
    def told(self, database: Database) -> Iterator[None]:
        """Say in errors from within what may have changed, once the merge is writing."""
        try:
            with wrap_unexpected_errors(), database.translate_errors():
                yield
        except SyncError as error:
            if not (self.writing and self.tables):
                raise
            raise _with_remains(error, self.tables) from error


def _with_remains(error: SyncError, tables: Sequence[Table]) -> SyncError:
    names = ", ".join(f"{str(table)!r} ({table.cannot_roll_back})" for table in tables)
    sentence = f"Rows of table {names} may have changed, and cannot be rolled back; the next sync that succeeds puts them right."
    return error.having_changed([str(table) for table in tables], sentence)
