"""Guess the CREATE TABLE for a missing target from rows of a version 1 source."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import TargetTable
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.schema import Row, Value
from airflow_provider_sync.exceptions import IncompleteStreamError, MissingTableError, ServerError, TableError
from airflow_provider_sync.near_names import did_you_mean
from airflow_provider_sync.sync.tables.mode_columns import described_columns, target_key


def describe_missing(
    client: SyncClient, database: Database, options: TargetTable, missing: MissingTableError
) -> MissingTableError:
    """Return the error for a missing target, with a CREATE TABLE guessed from the first rows of the source.

    Version 1 sends names and values but no types, so the types are guesses that a person has to check.

    :raises SyncError: if the source refuses the request for the table, because the token, the name or the URL is wrong
    """
    message = f"{missing.args[0]} Create it first."
    try:
        columns, rows = _first_rows(client, options.name)
    except (TableError, IncompleteStreamError):
        return MissingTableError(message)  # unreadable rows give no hint; they are reported once the table exists
    except ServerError as error:
        if error.status != 500:
            raise
        return MissingTableError(f"{message} Nor does the source send it: {error}")
    sent = [options.renames.get(name, name) for name in columns]
    if unknown := [name for name in options.primary_key if columns and name not in sent]:
        return MissingTableError(
            f"{message} The source sends no column {unknown[0]!r}, which 'primary' names.{did_you_mean(unknown[0], sent)}"
            f" It sends: {', '.join(sent)}."
        )
    if columns:
        statement = create_statement(database, options, columns, rows)
        message += f" Judging by the source's first rows (look at the types before you run it):\n{statement}"
    return MissingTableError(message)


def _first_rows(client: SyncClient, name: str) -> tuple[Sequence[str], Sequence[Row]]:
    answer = client.get_table(name)
    if answer is None:
        return (), ()
    with answer:
        rows: Sequence[Row] = next(iter(answer), ())
        return answer.columns, rows


def create_statement(database: Database, options: TargetTable, source_columns: Sequence[str], rows: Sequence[Row]) -> str:
    """Write a CREATE TABLE whose types hold the given rows.

    :param source_columns: names as the source sends them; renames are applied
    """
    names = {name: options.renames.get(name, name) for name in source_columns}
    key = options.primary_key or (names[source_columns[0]],)
    wanted = [name for name in source_columns if not options.columns or name in options.columns or names[name] in key]
    values = {name: [row[position] for row in rows] for position, name in enumerate(source_columns)}
    lines = []
    for source_name in wanted:
        name = names[source_name]
        kind = _guess(values[source_name], key=name in key)
        lines.append(f"  {database.quote(name)} {kind}{' NOT NULL' if name in key else ''}")
    for column in described_columns(options):
        sql_type = database.ddl.sql_type(column.type, key=False)
        lines.append(f"  {database.quote(column.name)} {database.ddl.definition(sql_type, required=not column.nullable)}")
    lines.append(f"  PRIMARY KEY ({database.columns(target_key(options, key))})")
    name = ".".join(database.quote(part) for part in options.table_name.split("."))
    return f"CREATE TABLE {name} (\n" + ",\n".join(lines) + "\n)"


def _guess(values: Iterable[Value], *, key: bool) -> str:
    kinds = {type(value) for value in values if value is not None}
    if kinds == {int}:
        return "BIGINT"
    if kinds and kinds <= {int, float}:
        return "DOUBLE PRECISION"
    return "VARCHAR(255)" if key else "TEXT"
