"""The answers about tables: their hash, and their rows from one snapshot."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from sqlalchemy import Connection
from starlette.responses import JSONResponse, Response

from airflow_provider_sync.config import ServerConfig, SourceTable
from airflow_provider_sync.exceptions import TableError
from airflow_provider_sync.protocol.v1.compression import compress
from airflow_provider_sync.protocol.v1.requests import InvalidRequest, table_hash_request, table_request
from airflow_provider_sync.protocol.v1.rows import RowEncoder
from airflow_provider_sync.server.auth import Grant
from airflow_provider_sync.server.sources import Sources
from airflow_provider_sync.server.streaming import StreamResponse, attachment
from airflow_provider_sync.tables.engines.base import Database
from airflow_provider_sync.tables.schema import Column, Row, Table
from airflow_provider_sync.tables.table_hash import hash_table, load_hasher


class TableAnswers:
    """Answers ``/getTableHash`` and ``/getTable``.

    :param stream_headers: headers that every streamed answer carries
    """

    def __init__(self, config: ServerConfig, sources: Sources, *, stream_headers: Mapping[str, str]) -> None:
        self._config = config
        self._sources = sources
        self._stream_headers = stream_headers

    def hash(self, fields: Mapping[str, Any], grant: Grant) -> Response:
        """Answer the hash of a table."""
        source = self._config.tables[table_hash_request(fields, grant.tables)]
        database = self._sources.database(source)
        with database.snapshot() as connection:
            table = database.describe(connection, source.table_name)
            return JSONResponse({"hash": _hash(database, connection, source, table)})

    def rows(self, fields: Mapping[str, Any], grant: Grant) -> Response:
        """Answer the rows of a table, or 304 where the client's hash is the table's.

        The hash costs a scan, so it is computed, and sent as ``ETag``, only for a client that sends its own.
        """
        name, known = table_request(fields, grant.tables)
        source = self._config.tables[name]
        database = self._sources.database(source)
        with ExitStack() as stack:
            connection = stack.enter_context(database.snapshot())
            table = database.describe(connection, source.table_name)
            columns = _sent_columns(source, table)
            key = _key(source, table, columns)
            headers = {**self._stream_headers, "Content-Disposition": attachment(f"{name}.txt")}
            if known is not None and _has_hash(database, source, table):
                current = _hash(database, connection, source, table)
                if known == current:
                    return Response(status_code=304, headers={"ETag": f'"{current}"'})
                headers["ETag"] = f'"{current}"'
            _refuse_unsendable(database, connection, source, table, columns)
            batches = database.read(connection, table, columns, order_by=key)
            return StreamResponse(
                compress(_lines(columns, batches)),
                what=f"Table {name!r}",
                close=stack.pop_all().close,
                headers=headers,
            )


def _lines(columns: Sequence[Column], batches: Iterable[Sequence[Row]]) -> Iterator[bytes]:
    encoder = RowEncoder([column.name for column in columns])
    for batch in batches:
        yield encoder.encode(batch)


def _has_hash(database: Database, source: SourceTable, table: Table) -> bool:
    # Without a primary key of its own a table has no hash, but it can be sent by the key that is configured.
    if source.hasher:
        return True
    try:
        database.hash_order(table)
    except TableError:
        return False
    return True


def _hash(database: Database, connection: Connection, source: SourceTable, table: Table) -> str:
    if source.hasher:
        return load_hasher(source.hasher).hash(database.engine, source)
    return hash_table(database, connection, table, _named_columns(source, table) if source.columns else None)


def _sent_columns(source: SourceTable, table: Table) -> Sequence[Column]:
    return _named_columns(source, table) if source.columns else table.visible


def _named_columns(source: SourceTable, table: Table) -> Sequence[Column]:
    _check_names("columns", source.columns, source, table)
    return [column for column in table.columns if column.name in source.columns]


def _key(source: SourceTable, table: Table, columns: Sequence[Column]) -> Sequence[str]:
    key = source.primary_key or table.primary_key
    if not key:
        raise TableError(
            f"Table {source.name!r} has no primary key. Name the columns that identify a row with `primary` in the server's"
            f" configuration."
        )
    _check_names("primary", key, source, table)
    sent = {column.name for column in columns}
    if missing := [name for name in key if name not in sent]:
        raise TableError(
            f"Table {source.name!r} is to be sent without the column {missing[0]!r} of its key. Add it to `columns` in the"
            f" server's configuration."
        )
    return key


def _check_names(option: str, names: Sequence[str], source: SourceTable, table: Table) -> None:
    known = {column.name for column in table.columns}
    for name in names:
        if name not in known:
            raise TableError(
                f"Table {source.name!r} has no column {name!r}, which `{option}` names in the server's configuration."
                f" Its columns are {', '.join(sorted(known))}."
            )


def _refuse_unsendable(
    database: Database, connection: Connection, source: SourceTable, table: Table, columns: Sequence[Column]
) -> None:
    column = database.find_unsendable(connection, table, columns)
    if column is not None:
        message = (
            f"Table {source.name!r} has values in column {column.name!r} that version 1 of the protocol cannot carry."
            f" Synchronise it with version 2, or leave the column out with `columns` in the server's configuration."
        )
        raise InvalidRequest({"config_name": [message]})
