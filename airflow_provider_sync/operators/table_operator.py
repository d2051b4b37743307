"""The arguments that all table operators share, and the plan made from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from airflow_provider_sync.airflow_support.rendered_arguments import connection_of, read_argument, read_tables, with_time_zone
from airflow_provider_sync.config import ClientConfig, TargetTable
from airflow_provider_sync.operators.sync_operator import SyncOperator
from airflow_provider_sync.report import TableReport
from airflow_provider_sync.sync.run import RunPlan


class TableOperator(SyncOperator):
    """Base of the operators that sync tables; :class:`~.table_sync.TableSyncOperator` documents the arguments."""

    report_kind = TableReport
    names_argument = "tables"

    table_options: ClassVar[tuple[str, ...]] = tuple(
        name for name in TargetTable.model_fields if name not in ("name", "connection")
    )
    """The arguments that are defaults for the entries of ``tables``."""

    template_fields: Sequence[str] = (
        *SyncOperator.template_fields,
        "tables",
        "target_conn_id",
        "single_transaction",
        "consistent",
        "time_zone",
        *table_options,
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"tables": "json", "renames": "json"}

    def __init__(
        self,
        *,
        tables: str | Sequence[str] | Mapping[str, Mapping[str, Any] | None],
        target_conn_id: str | None = None,
        single_transaction: bool | str = True,
        consistent: bool | str = False,
        time_zone: str | None = None,
        table: str | None = None,
        exclude: str | Sequence[str] | None = None,
        drop_missing: str | Sequence[str] | None = None,
        max_drops: int | str | None = None,
        primary: str | Sequence[str] | None = None,
        columns: str | Sequence[str] | None = None,
        renames: str | Mapping[str, str] | None = None,
        max_deletes: str | int | None = None,
        allow_empty_source: bool | str | None = None,
        allow_row_security: bool | str | None = None,
        allow_non_transactional: bool | str | None = None,
        create_table: bool | str | None = None,
        create_indexes: bool | str | None = None,
        on_schema_change: str | None = None,
        gone_columns: str | None = None,
        window: str | Sequence[str] | None = None,
        mode: str | None = None,
        deleted_at: str | None = None,
        valid_from: str | None = None,
        valid_to: str | None = None,
        is_current: str | None = None,
        import_indexes: str | Sequence[str] | None = None,
        staging: str | None = None,
        hasher: str | None = None,
        verify: bool | str | None = None,
        max_seconds: float | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.tables = tables
        self.target_conn_id = target_conn_id
        self.single_transaction = single_transaction
        self.consistent = consistent
        self.time_zone = time_zone
        arguments = locals()
        for option in self.table_options:
            setattr(self, option, arguments[option])

    def server(self) -> ClientConfig:
        """Read the connection of the server, and apply this operator's ``time_zone``, ``single_transaction``, ``consistent``."""
        single_transaction = read_argument("single_transaction", self.single_transaction, bool)
        config = with_time_zone(super().server(), self.time_zone)
        consistent = read_argument("consistent", self.consistent, bool)
        return config.model_copy(update={"single_transaction": single_transaction, "consistent": consistent})

    def plan(self) -> RunPlan:
        """Plan the sync of each table, grouped by connection of the target database."""
        defaults = {name: getattr(self, name) for name in self.table_options}
        return RunPlan.of(
            (connection_of(table, self.target_conn_id), table) for table in read_tables("tables", self.tables, defaults)
        )
