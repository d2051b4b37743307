"""A staging class as a user would write one."""

from __future__ import annotations

from sqlalchemy import Connection

from airflow_provider_sync.databases.contract.ddl import StagingLayout
from airflow_provider_sync.databases.registry import database_for
from airflow_provider_sync.databases.schema import Table


class NamedStaging:
    """Stage under a name of one's own."""

    def create(self, connection: Connection, target: Table) -> Table:
        """Make the table."""
        database = database_for(connection.engine)
        layout = StagingLayout(target=target, columns=target.columns, primary_key=target.primary_key)
        return database.ddl.create_staging(connection, layout, name=f"my_{target.name}")

    def drop(self, connection: Connection) -> None:
        """Drop it."""
        connection.exec_driver_sql("DROP TABLE IF EXISTS my_t")
