"""The rows that a merge is about to write, as the statements of engines need them."""

from __future__ import annotations

import msgspec

from airflow_provider_sync.databases.schema import Column, Table


class ListedRows(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of a target that a work table lists, each under an :class:`.Op`.

    :ivar work: the work table
    :ivar key: columns that identify a row, in all tables
    """

    target: Table
    work: Table
    key: tuple[Column, ...]

    @property
    def key_names(self) -> list[str]:
        """Names of the columns that identify a row."""
        return [column.name for column in self.key]


class ListedChanges(ListedRows, frozen=True, kw_only=True):
    """What one merge is about to do, row by row.

    :ivar staging: the staging table, with the values of the rows to insert and to update
    :ivar staged: names of the staged columns
    :ivar written: names of those that are written
    :ivar inserted: rows to insert
    :ivar deleted: rows to delete
    :ivar updated: rows to update, including those whose key only gets another form
    :ivar renamed: rows whose key only gets another form
    :ivar forgotten: names of columns that get NULL in all rows
    """

    staging: Table
    staged: tuple[str, ...]
    written: tuple[str, ...]
    inserted: int
    deleted: int
    updated: int
    renamed: int
    forgotten: tuple[str, ...] = ()
