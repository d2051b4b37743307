"""Ask PostgreSQL for privileges of the current role on a table, its sequences, its schema and its database."""

from __future__ import annotations

from collections.abc import Sequence

from airflow_provider_sync.databases.contract.privileges import Privileges
from airflow_provider_sync.databases.postgresql.errors import translated
from airflow_provider_sync.databases.postgresql.identities import SEQUENCES
from airflow_provider_sync.databases.postgresql.session import undoubled
from airflow_provider_sync.databases.schema import Table

_ON_TABLE = """
SELECT format('%%s ON %%s', string_agg(asked.privilege, ', ' ORDER BY asked.position), c.oid::regclass)
FROM pg_class c, unnest(%s::text[]) WITH ORDINALITY AS asked(privilege, position)
WHERE c.oid = to_regclass(%s)
  AND NOT CASE asked.privilege WHEN 'DELETE' THEN has_table_privilege(c.oid, 'DELETE')
               ELSE has_any_column_privilege(c.oid, asked.privilege) END
GROUP BY c.oid
"""

_ON_SEQUENCES = f"""
SELECT format('%%s ON SEQUENCE %%s', string_agg(asked.privilege, ', '), found.sequence::regclass)
FROM (SELECT DISTINCT sequence FROM ({SEQUENCES}) AS moved) AS found, (VALUES ('SELECT'), ('UPDATE')) AS asked(privilege)
WHERE NOT has_sequence_privilege(found.sequence, asked.privilege)
GROUP BY found.sequence ORDER BY found.sequence
"""

_ON_PLACES = """
SELECT format('CREATE ON SCHEMA %%I', n.nspname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = to_regclass(%s) AND %s AND NOT has_schema_privilege(n.oid, 'CREATE')
UNION ALL
SELECT format('TEMPORARY ON DATABASE %%I', current_database()) WHERE NOT has_database_privilege(current_database(), 'TEMPORARY')
"""


class PostgreSQLPrivileges(Privileges):
    """Asks by ``has_table_privilege`` and its relatives, which also know roles and ownership."""

    def missing_grants(self, target: Table, needed: Sequence[str], *, stages: bool) -> list[str]:
        """See :meth:`.Privileges.missing_grants`."""
        name = undoubled(self.qualified(target))
        with translated(), self.database.connect() as connection:
            role = connection.exec_driver_sql("SELECT quote_ident(current_user)").scalar_one()
            lacking = [
                *connection.exec_driver_sql(_ON_TABLE, (list(needed), name)).scalars(),
                *connection.exec_driver_sql(_ON_SEQUENCES, (name,)).scalars(),
                *connection.exec_driver_sql(_ON_PLACES, (name, stages)).scalars(),
            ]
        return [f"GRANT {privileges} TO {role}" for privileges in lacking]
