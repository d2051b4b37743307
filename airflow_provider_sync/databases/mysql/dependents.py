"""Find what breaks when a table of MySQL or MariaDB is dropped: the servers do not check for views and triggers."""

from __future__ import annotations

from sqlalchemy import Connection, text

from airflow_provider_sync.databases.dependents import Dependent
from airflow_provider_sync.databases.schema import Table

# A view's definition names each table with its database, both in backticks. It may be hidden if another user owns the view.
_DEPENDENTS = text(
    "SELECT 'table', CONSTRAINT_SCHEMA, TABLE_NAME, DATABASE() FROM information_schema.REFERENTIAL_CONSTRAINTS"
    " WHERE UNIQUE_CONSTRAINT_SCHEMA = COALESCE(:schema, DATABASE()) AND REFERENCED_TABLE_NAME = :name"
    " AND NOT (CONSTRAINT_SCHEMA = UNIQUE_CONSTRAINT_SCHEMA AND TABLE_NAME = REFERENCED_TABLE_NAME)"
    " UNION SELECT 'view', TABLE_SCHEMA, TABLE_NAME, DATABASE() FROM information_schema.VIEWS"
    " WHERE TABLE_SCHEMA NOT IN ('sys', 'mysql', 'information_schema', 'performance_schema') AND (VIEW_DEFINITION = ''"
    " OR LOCATE(CONCAT('`', REPLACE(COALESCE(:schema, DATABASE()), '`', '``'), '`.`', REPLACE(:name, '`', '``'), '`'),"
    " VIEW_DEFINITION) > 0)"
    " UNION SELECT 'trigger', TRIGGER_SCHEMA, TRIGGER_NAME, DATABASE() FROM information_schema.TRIGGERS"
    " WHERE NOT (EVENT_OBJECT_SCHEMA = COALESCE(:schema, DATABASE()) AND EVENT_OBJECT_TABLE = :name)"
    " AND LOCATE(:name, ACTION_STATEMENT) > 0"
)


def find_dependents(connection: Connection, table: Table) -> tuple[Dependent, ...]:
    """Find foreign keys and views by information_schema, and triggers of other tables by the table's name in their text.

    Includes views whose definition this user may not read, since they may depend on the table.
    """
    rows = connection.execute(_DEPENDENTS, {"schema": table.schema, "name": table.name})
    found = {Dependent.of(table, kind, schema, name, own_schema=table.schema or current) for kind, schema, name, current in rows}
    return tuple(sorted(found))
