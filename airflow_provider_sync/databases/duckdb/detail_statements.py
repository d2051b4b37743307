"""Indexes, defaults and comments of new tables of DuckDB."""

from __future__ import annotations

from airflow_provider_sync.databases.contract.detail_statements import DetailStatements


class DuckDBDetailStatements(DetailStatements):
    """Writes common SQL. DuckDB adds no foreign key to a table that is there, and its tables are loaded in any order."""

    has_foreign_keys = False
