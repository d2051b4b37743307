"""The rows that a merge is about to write, as the statements of engines need them."""

from __future__ import annotations

import msgspec

from airflow_provider_sync.databases.schema import Column, Table


class ListedChanges(msgspec.Struct, frozen=True, kw_only=True):
    """What one merge is about to do, row by row.

    :ivar work: the work table that lists the rows
    :ivar key: columns that identify a row
    :ivar staged: names of the staged columns
    :ivar written: names of those that are written
    :ivar inserted: rows to insert
    :ivar deleted: rows to delete
    :ivar updated: rows to update, including those whose key only gets another form
    :ivar renamed: rows whose key only gets another form
    :ivar forgotten: names of columns that get NULL in all rows
    """

    target: Table
    staging: Table
    work: Table
    key: tuple[Column, ...]
    staged: tuple[str, ...]
    written: tuple[str, ...]
    inserted: int
    deleted: int
    updated: int
    renamed: int
    forgotten: tuple[str, ...] = ()
