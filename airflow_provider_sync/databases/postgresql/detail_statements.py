"""Indexes, foreign keys, defaults and comments of new tables of PostgreSQL."""

from __future__ import annotations

from airflow_provider_sync.databases.contract.detail_statements import DetailStatements


class PostgreSQLDetailStatements(DetailStatements):
    """Comments are statements of their own."""

    has_comments = True
    sets_comments = True
