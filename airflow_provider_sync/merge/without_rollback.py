"""Refuse targets that cannot roll back, or report that a failed sync may have changed them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import Connection

from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.schema import Table
from airflow_provider_sync.exceptions import NOTHING_CHANGED, SyncError, TableError, wrap_unexpected_errors

_OF_TRIGGERS = "what triggers wrote to tables that cannot be rolled back"

_REMAINS_OF_TRIGGERS = (
    "The synced tables were rolled back. A trigger has written to another table, whose engine cannot roll back: what it wrote"
    " there stays. Convert that table (ALTER TABLE ... ENGINE=InnoDB)."
)


def refuse_without_rollback(table: Table) -> None:
    """Refuse a target that a failed sync would leave half merged.

    :raises TableError: if the target cannot roll back, or if another server keeps its rows
    """
    if table.kept_elsewhere:
        raise TableError(
            f"Rows of table {str(table)!r} are kept by another server ({table.cannot_roll_back}): foreign keys and triggers there"
            " stay on, and may change rows that are not synced, and a sync that fails may leave the table half merged.",
            NOTHING_CHANGED,
            "Sync that server's table instead, or accept that by the option allow_non_transactional.",
        )
    if table.cannot_roll_back:
        raise TableError(
            f"Table {str(table)!r} is stored by {table.cannot_roll_back}, which cannot roll back: a sync that fails or is killed"
            " would leave it half merged.",
            NOTHING_CHANGED,
            "Convert it (ALTER TABLE ... ENGINE=InnoDB), or accept that by the option allow_non_transactional.",
        )


def warning_of(table: Table) -> str | None:
    """Return the report's warning about a target that :func:`refuse_without_rollback` refuses; ``None`` for any other."""
    if not table.cannot_roll_back:
        return None
    if table.kept_elsewhere:
        return (
            f"Rows of table {str(table)!r} are kept by another server ({table.cannot_roll_back}): foreign keys and triggers there"
            " may have changed rows that are not synced, and a merge that fails may leave the table half merged."
        )
    return (
        f"Table {str(table)!r} is stored by {table.cannot_roll_back}, which cannot roll back: other sessions see a merge while"
        " it runs, and a merge that fails leaves the table half merged."
    )


class Remains:
    """The targets in which a failed merge may leave changes.

    :param targets: targets of the merge; only those that cannot roll back count
    :ivar writing: whether the merge has begun to write
    """

    def __init__(self, targets: Iterable[Table]) -> None:
        self.tables = [table for table in targets if table.cannot_roll_back]
        self.writing = False

    @contextmanager
    def reported(self, database: Database, connection: Connection) -> Iterator[None]:
        """Add to errors raised inside, once the merge writes, the tables that may have changed."""
        try:
            with wrap_unexpected_errors(), database.translate_errors():
                yield
        except SyncError as error:
            if self.writing and self.tables:
                raise _with_remains(error, self.tables) from error
            if self.writing and database.rolled_back_in_part(connection):
                raise error.having_changed([_OF_TRIGGERS], _REMAINS_OF_TRIGGERS) from error
            raise


def _with_remains(error: SyncError, tables: Sequence[Table]) -> SyncError:
    names = ", ".join(f"{str(table)!r} ({table.cannot_roll_back})" for table in tables)
    sentence = f"Rows of table {names} may have changed, and cannot be rolled back; the next sync that succeeds puts them right."
    return error.having_changed([str(table) for table in tables], sentence)
