"""Undo what PostgreSQL's event triggers do to staging and work tables.

An event trigger may add row triggers, rules, columns or policies to each new table. Those of a staging table would act while rows
are loaded, before the merge and outside its transaction.
"""

from __future__ import annotations

from sqlalchemy import Connection

from airflow_provider_sync.databases.postgresql.called_functions import CALLED_FUNCTIONS
from airflow_provider_sync.databases.postgresql.session import doubled
from airflow_provider_sync.databases.schema import STAGING_PREFIX
from airflow_provider_sync.exceptions import NOTHING_CHANGED, TableError

_FOUND = f"""
WITH RECURSIVE made AS (SELECT * FROM pg_class WHERE oid = %s::regclass),
involved AS (SELECT oid AS described, oid FROM made), {CALLED_FUNCTIONS}
SELECT ARRAY(SELECT 'DISABLE TRIGGER ' || quote_ident(tgname) FROM made JOIN pg_trigger ON tgrelid = made.oid
             WHERE tgenabled <> 'D'
             UNION ALL
             SELECT 'DISABLE RULE ' || quote_ident(rulename) FROM made JOIN pg_rewrite ON ev_class = made.oid
             WHERE ev_enabled <> 'D'
             UNION ALL
             SELECT 'DROP COLUMN ' || quote_ident(attname) FROM made JOIN pg_attribute ON attrelid = made.oid
             WHERE attnum > 0 AND NOT attisdropped AND attname <> ALL(%s)
             UNION ALL
             SELECT 'DISABLE ROW LEVEL SECURITY' FROM made WHERE relrowsecurity
             UNION ALL
             SELECT 'OWNER TO ' || quote_ident(current_user) FROM made WHERE NOT pg_has_role(relowner, 'USAGE')),
       (SELECT pg_has_role(relowner, 'USAGE') FROM made),
       ARRAY(SELECT DISTINCT name FROM called)
"""


def undo_event_triggers(connection: Connection, qualified: str, columns: tuple[str, ...]) -> tuple[str, ...]:
    """Undo what event triggers did to a table that this session has created.

    :param qualified: quoted name of the table
    :param columns: names of the columns that the table should have
    :return: names of the user-defined functions that the table's types call; see :mod:`.called_functions`
    :raises TableError: if the event triggers repeat their changes, or made another role the owner, of which this one is no member
    """
    name = qualified.replace("%%", "%")
    for _ in range(2):
        actions, is_ours, functions = connection.exec_driver_sql(_FOUND, (name, list(columns))).one()
        if not actions:
            return tuple(functions)
        done = ", ".join(actions)
        if not is_ours:
            break
        connection.exec_driver_sql(f"ALTER TABLE {qualified} {doubled(done)}")
    raise TableError(
        f"event triggers of the database change every new table, and the sync could not undo this: {done}.",
        NOTHING_CHANGED,
        f"Change them to skip tables whose names begin with {STAGING_PREFIX!r}.",
    ).without_subject()
