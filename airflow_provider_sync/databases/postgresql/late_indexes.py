"""Indexes of a new table of PostgreSQL, which are made after its rows."""

from __future__ import annotations

from sqlalchemy import Connection

from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.postgresql.session import doubled, run, undoubled
from airflow_provider_sync.exceptions import TableError

_INDEXES = """
SELECT format('%%I.%%I', n.nspname, c.relname), pg_get_indexdef(i.indexrelid), quote_ident(k.conname), pg_get_constraintdef(k.oid)
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.conrelid = i.indrelid AND k.contype IN ('p', 'u', 'x')
WHERE i.indrelid = to_regclass(%s) ORDER BY i.indisprimary DESC, c.relname
"""


def set_aside(database: Database, connection: Connection, qualified: str) -> list[str]:
    """Drop the indexes of a table inside a transaction; none if somebody uses the table, or the user may not.

    Others wait for the table until the transaction ends.

    :param qualified: the table's quoted name, percent signs doubled
    :return: the statements that make them again, percent signs doubled
    """
    later: list[str] = []
    try:
        with database.translate_errors(), database.savepoint(connection):
            connection.exec_driver_sql(f"LOCK TABLE {qualified} IN ACCESS EXCLUSIVE MODE NOWAIT")
            for index, definition, name, constraint in connection.exec_driver_sql(_INDEXES, (undoubled(qualified),)).all():
                if name is None:
                    run(connection, f"DROP INDEX {index}")
                    later.append(doubled(definition))
                else:
                    run(connection, f"ALTER TABLE {undoubled(qualified)} DROP CONSTRAINT {name}")
                    later.append(f"ALTER TABLE {qualified} ADD CONSTRAINT {doubled(name)} {doubled(constraint)}")
    except TableError:
        # What is in the way of this is in the way of no load: a reader, a foreign key, another owner.
        return []
    return later
