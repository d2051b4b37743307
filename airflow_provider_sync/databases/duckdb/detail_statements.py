"""Write the SQL for indexes, defaults and comments of new tables on DuckDB."""

from __future__ import annotations

from airflow_provider_sync.databases.contract.detail_statements import DetailStatements


class DuckDBDetailStatements(DetailStatements):
    """Writes common SQL, without foreign keys: DuckDB cannot add one to an existing table, and tables are loaded in any order."""

    has_foreign_keys = False
