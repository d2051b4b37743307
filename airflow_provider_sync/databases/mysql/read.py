"""Stream the rows of a table from MySQL or MariaDB, as values or as canonical texts."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from sqlalchemy import Connection

from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.contract.read import BATCH_ROWS, Reader
from airflow_provider_sync.databases.mysql import lookup, row_text
from airflow_provider_sync.databases.mysql.cancel import kill_query
from airflow_provider_sync.databases.mysql.errors import DATABASE_ERRORS, DRIVER_ERRORS, error_number
from airflow_provider_sync.databases.mysql.server_facts import MySQLComponent, packet_bytes
from airflow_provider_sync.databases.mysql.text import NO_TEXT, may_have_gaps
from airflow_provider_sync.databases.schema import Column, Kind, Row, Table
from airflow_provider_sync.databases.table_slice import CanonicalColumn, Keys, TableSlice
from airflow_provider_sync.exceptions import TableError
from airflow_provider_sync.protocol.v2.tsv import encode_rows

_AS_TEXT = frozenset({Kind.DECIMAL, Kind.DATE, Kind.TIME, Kind.DATETIME, Kind.TIMESTAMP, Kind.YEAR, Kind.UUID, Kind.OTHER})
"""Kinds to select as text, which is fast and exact: the drivers' objects cost more than the network, and have no zero date."""

_SURROGATE = r"\\xED[\\xA0-\\xBF]"
"""Bytes pattern of lone surrogates, which MariaDB accepts as UTF-8."""

_BLOCK_BYTES = 512 * 1024
"""Approximate bytes of one batch of texts."""

_KILLED = frozenset({1317, 1927})
"""Errors when the rest of a killed query's result is read."""


def selected(column: Column, name: str) -> str:
    """Return the expression that selects a column's value in the form of :meth:`.Reader.read`.

    :param name: the quoted column
    """
    if column.kind in _AS_TEXT or (column.kind is Kind.INTEGER and column.zerofill):
        return f"CAST({name} AS CHAR)"
    if column.kind is Kind.BIT:
        return f"{name} + 0"
    if column.kind is Kind.GEOMETRY:
        return f"CAST({name} AS BINARY)"
    return name


def not_utf8(value: str, *, mariadb: bool) -> str:
    """Return the condition that a binary value is not valid UTF-8.

    :param value: the expression of the value
    """
    # MySQL converts invalid UTF-8 to NULL, MariaDB to question marks.
    condition = f"NOT (CONVERT(CONVERT({value} USING utf8mb4) USING binary) <=> {value})"
    if mariadb:
        condition = f"({condition} OR {value} REGEXP '{_SURROGATE}')"
    return f"{value} IS NOT NULL AND {condition}"


def stream(connection: Connection, table: Table, columns: Sequence[Column], statement: str) -> Iterator[list[Row]]:
    """Run a query without buffering its result, and yield its rows in batches.

    Stopping early is cheap: the query is killed, since closing the cursor alone would read all remaining rows.

    :param columns: the selected columns, for messages
    :raises TableError: for text whose bytes are not UTF-8, which MariaDB can store
    """
    # Both drivers have their unbuffered cursor in this module; the default cursor of an Airflow connection may be any other.
    cursors = import_module(f"{connection.dialect.loaded_dbapi.__name__}.cursors")
    cursor = cursors.SSCursor(connection.connection.driver_connection)
    finished = False
    try:
        # With parameters, even an empty tuple, the driver undoes the doubling of percent signs by `Database.quote`.
        cursor.execute(statement, ())
        while batch := cursor.fetchmany(BATCH_ROWS):
            yield list(batch)
        finished = True
    except UnicodeDecodeError as error:
        names = ", ".join(repr(column.name) for column in columns if column.charset)
        raise TableError(
            f"Table {table.label!r} has text with the bytes {error.object[error.start : error.end].hex()}, which are not UTF-8."
            f" Correct the row: the value is in one of the columns {names}."
        ) from error
    except DRIVER_ERRORS:
        finished = True
        raise
    finally:
        _close(connection, cursor, finished=finished)


def stream_texts(connection: Connection, statement: str) -> Iterator[Sequence[tuple[bytes | None, ...]]]:
    """Run a query without buffering its result, and yield its rows in batches: each value as the server sent it, in UTF-8.

    Batches have some hundred KB, however large the rows are.
    """
    cursors = import_module(f"{connection.dialect.loaded_dbapi.__name__}.cursors")
    driver = connection.connection.driver_connection
    cursor = cursors.SSCursor(driver)
    finished = False
    size = 100
    try:
        with _unconverted(driver):
            cursor.execute(statement, ())
        while batch := cursor.fetchmany(size):
            yield batch
            held = sum(map(len, filter(None, batch[0]))) + sum(map(len, filter(None, batch[-1]))) + 1
            size = max(1, min(BATCH_ROWS, 2 * size, 2 * _BLOCK_BYTES // held))
        finished = True
    except DRIVER_ERRORS:
        finished = True
        raise
    finally:
        _close(connection, cursor, finished=finished)


@contextmanager
def _unconverted(driver: Any) -> Iterator[None]:
    """Make a driver return the values of the next result as bytes; both drivers read these attributes when a result begins."""
    names = ("converter",) if hasattr(driver, "converter") else ("decoders", "use_unicode")
    before = {name: getattr(driver, name) for name in names}
    for name, value in before.items():
        setattr(driver, name, type(value)())
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(driver, name, value)


def _close(connection: Connection, cursor: Any, *, finished: bool) -> None:
    try:
        if finished or kill_query(connection.engine, int(cursor.connection.thread_id())):
            cursor.close()
        else:
            connection.invalidate()
    except DATABASE_ERRORS as error:
        if error_number(error) not in _KILLED:
            # Close the connection: the rest of the result could not be distinguished from the answer to the next statement.
            connection.invalidate()


def read_rows(
    database: Database,
    connection: Connection,
    table: Table,
    columns: Sequence[Column],
    order_by: Sequence[str],
    partition: str = "",
    descending: Collection[str] = (),
) -> Iterator[list[Row]]:
    """Stream the rows of a table, or of one of its partitions.

    :param partition: a PARTITION clause, or nothing for the whole table
    :param descending: those of ``order_by`` that sort in descending order
    """
    expressions = ", ".join(selected(column, f"t.{database.quote(column.name)}") for column in columns)
    statement = f"SELECT {expressions} FROM {database.relation(table)}{partition} AS t"
    condition = database.current(table, "t")
    where = f" WHERE {condition}" if condition else ""
    if order_by:
        order = ", ".join(f"t.{database.quote(name)}{' DESC' if name in descending else ''}" for name in order_by)
        statement += f"{where} ORDER BY {order}"
    elif table.primary_key and table.query is None:
        # Otherwise the server may scan another index that covers all columns, in its order.
        statement += f" USE INDEX (PRIMARY){where}"
    else:
        statement += where
    return stream(connection, table, columns, statement)


class MySQLReader(MySQLComponent, Reader):
    """Streams rows through unbuffered cursors."""

    def renew_snapshot(self, connection: Connection, names: Collection[str] = (), queries: Collection[str] = ()) -> None:
        """Take the metadata locks of all tables before the first read, which determines the state that the snapshot sees.

        Otherwise RENAME or EXCHANGE PARTITION could replace a table between the two, and the snapshot would show the new table
        in an older state, perhaps empty. On MySQL, a query of ``information_schema`` is a first read; one with LIMIT 0 is not.
        """
        with self.database.translate_errors():
            for statement in ("ROLLBACK", "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "START TRANSACTION READ ONLY"):
                connection.exec_driver_sql(statement)
        for name in names:
            schema, _, rest = name.partition(".")
            if not self._lock(connection, self.quote(name)) and rest:
                self._lock(connection, f"{self.quote(schema)}.{self.quote(rest)}")
        for query in queries:
            self._lock(connection, f"({self.database.doubled(query)}\n)")

    def _lock(self, connection: Connection, relation: str) -> bool:
        """Take the metadata lock of a table, or of all tables that a view or a query reads, until the transaction ends.

        :return: whether the relation could be read; if not, the caller that reads it later gets the error
        """
        try:
            with self.database.translate_errors():
                connection.exec_driver_sql(f"SELECT 1 FROM {relation} AS t LIMIT 0")
        except TableError as error:
            if error.retryable:
                raise
            return False
        return True

    def read(
        self, connection: Connection, table: Table, columns: Sequence[Column], *, order_by: Sequence[str] = ()
    ) -> Iterator[list[Row]]:
        """Stream the rows in batches through an unbuffered cursor."""
        return read_rows(self.database, connection, table, columns, order_by)

    def count(self, connection: Connection, table: Table) -> int:
        """Count the rows."""
        return int(connection.exec_driver_sql(f"SELECT COUNT(*) FROM {self.database.current_rows(table)}").scalar_one())

    def read_text(self, connection: Connection, table_slice: TableSlice, keys: Keys | None = None) -> Iterator[tuple[int, bytes]]:
        """Stream rows as TSV, by the primary key's index unless a window or keys are given."""
        window = lookup.in_window(table_slice, self.quote)
        texts = row_text.texts(table_slice.columns, self.quote)
        lost = row_text.lost_texts(table_slice.columns, self.quote, packet_bytes(connection))
        table = table_slice.table
        source = f"{self.relation(table)} AS t"
        if keys is None:
            if table.primary_key and table.query is None and table_slice.window is None and table_slice.key_range is None:
                # Otherwise the server may scan another index that covers all columns, in its order.
                source += " USE INDEX (PRIMARY)"
            for batch in _stream_whole(connection, table, texts, lost, f"{source} WHERE {window}"):
                _check_texts(table_slice, batch)
                yield len(batch), encode_rows(batch)
            return
        places = [table_slice.column_names.index(name) for name in table_slice.key_names]
        for condition, some in lookup.by_keys(
            table_slice.key, self.quote, keys, room=self.server.characters_for_keys(connection)
        ):
            wanted = {tuple([key.encode(errors="surrogatepass") for key in one]) for one in some}
            for batch in _stream_whole(connection, table, texts, lost, f"{source} WHERE {condition} AND {window}"):
                if found := [row for row in batch if tuple([row[place] for place in places]) in wanted]:
                    _check_texts(table_slice, found)
                    yield len(found), encode_rows(found)


def no_text(table: Table, columns: Sequence[CanonicalColumn], error: UnicodeDecodeError) -> TableError:
    """Return the error for bytes that are not a character, which the other side could not store.

    :param columns: columns that may have the value
    """
    names = ", ".join(f"{column.column.name!r} ({column.column.charset})" for column in columns if may_have_gaps(column.column))
    return TableError(
        f"Table {table.label!r} has a value with the bytes {error.object.removeprefix(NO_TEXT)[:20].hex()} in {names}, which are"
        " no text in that character set, and would arrive as other characters. Correct the value, or make the column one of"
        " bytes (VARBINARY, BLOB)."
    )


def _stream_whole(
    connection: Connection, table: Table, texts: str, lost: str | None, source: str
) -> Iterator[Sequence[tuple[bytes | None, ...]]]:
    """Stream texts, none of which is NULL because of its size.

    :param lost: condition of a row that has such a text; ``None`` if there is none
    :param source: the statement from FROM on
    :raises TableError: for a row that has such a text
    """
    if lost is None:
        yield from stream_texts(connection, f"SELECT {texts} FROM {source}")
        return
    for batch in stream_texts(connection, f"SELECT {texts}, {lost} FROM {source}"):
        if any(row[-1] == b"1" for row in batch):
            raise too_large(table, "read")
        yield [row[:-1] for row in batch]


def too_large(table: Table, verb: str) -> TableError:
    """Return the error for a row that the server's text functions cannot hold.

    :param verb: what it cannot be, as a participle
    """
    return TableError(
        f"Table {table.label!r} has a row that is larger than the server's max_allowed_packet, so that it cannot be {verb}"
        " there. Raise max_allowed_packet, or leave out the largest column with `columns`."
    )


def _check_texts(table_slice: TableSlice, batch: Sequence[tuple[bytes | None, ...]]) -> None:
    for place, column in enumerate(table_slice.columns):
        if may_have_gaps(column.column):
            for row in batch:
                try:
                    (row[place] or b"").decode()
                except UnicodeDecodeError as error:
                    raise no_text(table_slice.table, [column], error) from error
