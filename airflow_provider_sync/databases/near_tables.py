"""Suggest the table that was probably meant by the name of a table that does not exist."""

from __future__ import annotations

from contextlib import suppress

from sqlalchemy import Connection

from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.exceptions import MissingTableError, SyncError
from airflow_provider_sync.near_names import near_name


def with_near_table(database: Database, connection: Connection, name: str, missing: MissingTableError) -> MissingTableError:
    """Add the name of a similar table to the error for a missing one, if there is one.

    Only for those who may see all tables of the database: the error of a server to its clients must not name others.

    :param name: the missing table's, as the configuration names it
    """
    schema, dot, bare = name.rpartition(".")
    near = None
    # Whatever keeps tables from being listed, the missing table is what matters.
    with suppress(SyncError), database.translate_errors():
        near = near_name(bare, database.catalog.list_tables(connection, schema or None))
    if near is None:
        return missing
    meant = f"{schema}{dot}{near}"
    return MissingTableError(f"{missing.args[0]} Did you mean {meant!r}? Name it with 'table'.", *missing.args[1:])
