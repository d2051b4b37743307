"""The operator that keeps tables in step, in one task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from airflow_provider_sync.config import TargetTable
from airflow_provider_sync.exceptions import ConfigurationError
from airflow_provider_sync.hooks.rendered import converted, target_tables
from airflow_provider_sync.operators.sync_operator import SyncOperator
from airflow_provider_sync.sync.run import RunPlan


class TableSyncOperator(SyncOperator):
    """Make tables of a database equal to those that a sync server offers.

    The result is a list of reports, one for each table, which are also logged as a table. What no retry can mend fails
    the task at once. Everything here is a template field, and text that is a list or mapping, a number, ``true`` or
    ``false`` is read as such.

    .. seealso:: The how-to guide "Sync tables and directories with Airflow".

    :param tables: a name, a list of names, or a mapping of names to options; names are those that the server offers
    :param target_conn_id: connection of the target database, for tables without a ``connection`` of their own
    :param sync_conn_id: connection of the server
    :param single_transaction: commit all tables of a connection together, or none of them
    :param skip_unchanged: skip the task, and so what follows it, when every table was up to date
    :param dry_run: report what would change, and write nothing
    :param table: name of the target table where it is not the server's, ``schema.table`` outside the default schema
    :param primary: column or columns that identify a row, where that is not the target's primary key
    :param columns: columns to synchronise, as the source calls them; all without
    :param renames: column of the source to column of the target
    :param max_deletes: rows that one sync may delete: a number, or a share such as ``50%``
    :param allow_empty_source: whether an empty source may empty the target
    :param create_table: make a missing target (version 2 of the protocol)
    :param window: column, first value, value after the last (version 2 of the protocol)
    :param import_indexes: columns of the staging table to index for the join, beside the key
    :param staging: ``permanent``, ``temporary``, or the import path of a class
    :param hasher: import path of a class that hashes the target table
    :param verify: compare staged rows and target before the commit
    """

    table_options: ClassVar[tuple[str, ...]] = (
        "table",
        "primary",
        "columns",
        "renames",
        "max_deletes",
        "allow_empty_source",
        "create_table",
        "window",
        "import_indexes",
        "staging",
        "hasher",
        "verify",
    )
    template_fields: Sequence[str] = (
        *SyncOperator.template_fields,
        "tables",
        "target_conn_id",
        "single_transaction",
        *table_options,
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"tables": "json", "renames": "json"}

    def __init__(
        self,
        *,
        tables: str | Sequence[str] | Mapping[str, Mapping[str, Any] | None],
        target_conn_id: str | None = None,
        single_transaction: bool | str = True,
        table: str | None = None,
        primary: str | Sequence[str] | None = None,
        columns: str | Sequence[str] | None = None,
        renames: str | Mapping[str, str] | None = None,
        max_deletes: str | int | None = None,
        allow_empty_source: bool | str | None = None,
        create_table: bool | str | None = None,
        window: str | Sequence[str] | None = None,
        import_indexes: str | Sequence[str] | None = None,
        staging: str | None = None,
        hasher: str | None = None,
        verify: bool | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.tables = tables
        self.target_conn_id = target_conn_id
        self.single_transaction = single_transaction
        self.table = table
        self.primary = primary
        self.columns = columns
        self.renames = renames
        self.max_deletes = max_deletes
        self.allow_empty_source = allow_empty_source
        self.create_table = create_table
        self.window = window
        self.import_indexes = import_indexes
        self.staging = staging
        self.hasher = hasher
        self.verify = verify

    def plan(self) -> RunPlan:
        """Group the tables by the connection of their database."""
        defaults = {name: getattr(self, name) for name in self.table_options}
        by_connection: dict[str, list[TargetTable]] = {}
        for table in target_tables("tables", self.tables, defaults):
            by_connection.setdefault(self._connection_of(table), []).append(table)
        return RunPlan(tables={conn_id: tuple(group) for conn_id, group in by_connection.items()}, directories=())

    def _connection_of(self, table: TargetTable) -> str:
        if table.connection:
            return table.connection
        if self.target_conn_id is None:
            raise ConfigurationError(
                f"Table {table.name!r} has no connection. Give target_conn_id, or a connection to this entry."
            )
        return converted("target_conn_id", self.target_conn_id, str)
