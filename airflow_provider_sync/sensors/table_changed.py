"""The sensor that detects whether a table of the source differs from its target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from airflow_provider_sync.airflow_support.opener import OPENER
from airflow_provider_sync.airflow_support.rendered_arguments import read_argument, read_tables, with_time_zone
from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import ClientConfig, TargetTable
from airflow_provider_sync.exceptions import ConfigurationError, ServerError
from airflow_provider_sync.hooks.sync_server import SyncServerHook
from airflow_provider_sync.sensors.difference import DifferenceSensor, only_one
from airflow_provider_sync.sync import WatchedTable, table_differs
from airflow_provider_sync.sync.tables.version2.column_mapping import configured_slice

CANNOT_HASH = 500
"""Status by which an existing server answers for a table that its database cannot hash."""


class TableChangedSensor(DifferenceSensor):
    """Succeed when a table of the source differs from its target; nothing is downloaded.

    The sensor compares a hash that the target database computes with the hash that the server returns. If a server of version 1
    fails to hash the table (status 500, as with MySQL 9.6 or newer), the table counts as changed, with a warning in the log: the
    sync that follows compares the rows.

    :param table: the name that the server offers, or a mapping of it to options, as ``TableSyncOperator`` takes them
    :param target_conn_id: connection of the target database
    :param sync_conn_id: connection of the sync server
    :param when_unchanged: ``skip`` this task, and with it the downstream tasks, or ``wait`` until they differ
    :param deferrable: wait in the triggerer, which watches only the source: if another process changes the target, the sensor
        notices at the source's next change. The default is Airflow's ``[operators] default_deferrable``
    :param max_seconds: time limit, in seconds, for one comparison; by default, the connection's, and half an hour in the
        triggerer
    :param primary: column or columns that identify a row; by default, the target's primary key
    :param columns: columns to compare, by their source names; all by default
    :param renames: mapping of source column to target column
    :param hasher: import path of a class that hashes the target table
    :param time_zone: time zone in which an existing server (version 1) hashes ``TIMESTAMP`` values, which is that of the source
        database; by default, the connection's
    """

    table_options: ClassVar[tuple[str, ...]] = ("primary", "columns", "renames", "hasher")
    template_fields: Sequence[str] = (*DifferenceSensor.template_fields, "table", "target_conn_id", "time_zone", *table_options)
    template_fields_renderers: ClassVar[dict[str, str]] = {"table": "json", "renames": "json"}

    def __init__(
        self,
        *,
        table: str | Mapping[str, Mapping[str, Any] | None],
        target_conn_id: str | None = None,
        primary: str | Sequence[str] | None = None,
        columns: str | Sequence[str] | None = None,
        renames: str | Mapping[str, str] | None = None,
        hasher: str | None = None,
        time_zone: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.table = table
        self.target_conn_id = target_conn_id
        self.primary = primary
        self.columns = columns
        self.renames = renames
        self.hasher = hasher
        self.time_zone = time_zone

    def server(self, hook: SyncServerHook) -> ClientConfig:
        """Read the connection of the server, and apply this sensor's ``time_zone``."""
        return with_time_zone(super().server(hook), self.time_zone)

    def differs(self, client: SyncClient) -> bool:
        """Tell whether the hashes of source and target differ."""
        table = self._target()
        conn_id = table.connection or self.target_conn_id
        with OPENER.existing_database(read_argument("target_conn_id", conn_id, str)) as database:
            try:
                return table_differs(client, table, database)
            except ServerError as error:
                # Any other answer, such as 503 of a server that restarts, says nothing about the table.
                if error.status != CANNOT_HASH or client.protocol_for() != 1:
                    raise
                self.log.warning("The server cannot hash table %r, which counts as changed: %s", table.name, error)
                return True

    def watched(self) -> WatchedTable:
        """Return the slice of the source table that is compared."""
        return WatchedTable(table_slice=configured_slice(self._target()))

    def _target(self) -> TargetTable:
        options = {name: getattr(self, name) for name in self.table_options}
        table = only_one("table", read_tables("table", self.table, options), plural="tables")
        if table.is_pattern:
            raise ConfigurationError(f"'table' is the pattern {table.name!r}. Name one table: a sensor compares one.")
        return table
