"""The operator that lists tables, for dynamic task mapping."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.providers.common.compat.sdk import BaseOperator, Context

from airflow_provider_sync.airflow_support.rendered_arguments import read_argument, read_names
from airflow_provider_sync.airflow_support.task_failures import EndsWithItsTask, failing_tasks
from airflow_provider_sync.airflow_support.templates import ReportsUndefinedTemplates
from airflow_provider_sync.hooks.sync_server import SyncServerHook
from airflow_provider_sync.printable import MAX_MESSAGE, printable


class SyncListOperator(EndsWithItsTask, ReportsUndefinedTemplates, BaseOperator):
    """List the tables of a sync server that match patterns (version 2 of the protocol).

    The result is a list of names, for ``TableSyncOperator.partial(…).expand(tables=….output)``.

    .. seealso:: The how-to guide "Sync whole databases".

    :param tables: a pattern, a name, or a list of both; a plain name is listed even if the server does not offer it
    :param exclude: names, or patterns of names, to leave out of the matches
    :param sync_conn_id: connection of the sync server
    """

    template_fields: Sequence[str] = ("tables", "exclude", "sync_conn_id")
    ui_color = "#d5e8f0"

    def __init__(
        self,
        *,
        tables: str | Sequence[str] = "*",
        exclude: str | Sequence[str] | None = None,
        sync_conn_id: str = SyncServerHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.tables = tables
        self.exclude = exclude
        self.sync_conn_id = sync_conn_id

    def execute(self, context: Context) -> list[str]:
        """Return the names of the tables, each once.

        :raises AirflowFailException: if a pattern matches no table, or matches a name that the operators would read differently
        """
        with failing_tasks():
            tables = read_names("tables", self.tables)
            exclude = () if self.exclude is None else read_names("exclude", self.exclude)
            hook = SyncServerHook(read_argument("sync_conn_id", self.sync_conn_id, str))
            names = hook.list_tables(tables, exclude=exclude)
        self.log.info("%d tables: %s", len(names), printable(", ".join(names), MAX_MESSAGE))
        return names
