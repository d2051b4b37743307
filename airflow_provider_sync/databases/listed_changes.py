"""The rows that a merge is about to write, in the form that the engines' statements need."""

from __future__ import annotations

import msgspec

from airflow_provider_sync.databases.schema import Column, Table


class ListedRows(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of a target that a work table lists, each with an :class:`.Op`.

    :ivar work: the work table
    :ivar key: columns that identify a row in target, staging table and work table
    """

    target: Table
    work: Table
    key: tuple[Column, ...]

    @property
    def key_names(self) -> list[str]:
        """Names of the columns that identify a row."""
        return [column.name for column in self.key]


class ListedChanges(ListedRows, frozen=True, kw_only=True):
    """The changes that one merge is about to make, row by row.

    :ivar staging: the staging table, with the values of the rows to insert and to update
    :ivar staged: names of the staged columns
    :ivar written: names of the staged columns that the merge writes
    :ivar inserted: number of rows to insert
    :ivar deleted: number of rows to delete
    :ivar updated: number of rows to update, including ``renamed``
    :ivar renamed: number of rows whose key gets other bytes that the database calls equal
    :ivar forgotten: names of columns that are set to NULL in all rows
    """

    staging: Table
    staged: tuple[str, ...]
    written: tuple[str, ...]
    inserted: int
    deleted: int
    updated: int
    renamed: int
    forgotten: tuple[str, ...] = ()
