"""Operators that are configured by a ``client.yaml``, like the command line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import BaseOperator, Context

from airflow_provider_sync.airflow_support.rendered_arguments import check_listed, names_in, read_argument, read_names
from airflow_provider_sync.airflow_support.task_failures import EndsWithItsTask, failing_tasks
from airflow_provider_sync.airflow_support.templates import ReportsUndefinedTemplates
from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import ClientConfig
from airflow_provider_sync.config.written_names import WrittenNames
from airflow_provider_sync.exceptions import ConfigurationError
from airflow_provider_sync.operators.sync_operator import SyncOperator
from airflow_provider_sync.printable import MAX_MESSAGE, printable
from airflow_provider_sync.report import Report, all_failed
from airflow_provider_sync.sync.pattern_resolution import matched_names
from airflow_provider_sync.sync.run import RunPlan, plan_run


class ConfiguredSyncOperator(SyncOperator):
    """Sync the tables and directories of a ``client.yaml``, or some of them, with the server and databases that it names.

    The worker reads the file when the task runs, so the DAG contains no secret. The result is a list of reports, one for each
    table and directory.

    .. seealso:: The how-to guide "Sync whole databases".

    :param config: path of the file
    :param tables: tables to sync: names in the file, or names that its patterns match; by default, if ``directories`` is not
        given either, everything in the file
    :param directories: names of the directories to sync
    :param skip_unchanged: skip this task, and with it the downstream tasks, when nothing changed
    :param dry_run: report what would change, and write nothing
    :param on_guard: when a guard (``max_deletes``, ``allow_empty_source``) stops the sync, ``fail`` the task, or ``ask`` a person
        for approval
    """

    template_fields: Sequence[str] = ("config", "tables", "directories", "skip_unchanged", "is_dry_run", "on_guard")

    def __init__(
        self,
        *,
        config: str | Path,
        tables: str | Sequence[str] | None = None,
        directories: str | Sequence[str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.config = str(config)
        self.tables = tables
        self.directories = directories

    def server(self) -> ClientConfig:
        """Read the file."""
        return ClientConfig.from_yaml(read_argument("config", self.config, str))

    def plan(self) -> RunPlan:
        """Plan the tables and directories to sync.

        :raises ConfigurationError: if a name is not in the file, or a directory has a relative path
        """
        plan = plan_run(self.server(), tables=_names("tables", self.tables), directories=_names("directories", self.directories))
        for directory in plan.directories:
            if "://" not in directory.path and not Path(directory.path).expanduser().is_absolute():
                raise ConfigurationError(
                    f"Directory {directory.name!r} has the relative path {directory.path!r}, and a task runs in a folder of"
                    " Airflow's. Give an absolute path."
                )
        return plan

    @property
    def names(self) -> list[str]:
        """The tables and directories that the arguments name; empty if the whole file is synced."""
        return [*names_in(self.tables), *names_in(self.directories)]

    def failed_reports(self, reason: str) -> list[Report]:
        """Report each table and directory that the arguments or else the file name as failed, or the task if there are none."""
        tables, directories = names_in(self.tables), names_in(self.directories)
        if not tables and not directories:
            written = WrittenNames.of(self.config)
            tables, directories = list(written.tables), list(written.directories)
        return all_failed(tables or ([] if directories else [self.task_id]), directories, reason)


class ConfiguredListOperator(EndsWithItsTask, ReportsUndefinedTemplates, BaseOperator):
    """List the tables that the patterns of a ``client.yaml`` match, for dynamic task mapping.

    :param config: path of the file
    """

    template_fields: Sequence[str] = ("config",)
    ui_color = "#d5e8f0"

    def __init__(self, *, config: str | Path, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.config = str(config)

    def execute(self, context: Context) -> list[str]:
        """Return the names of the matching tables, each once, without those that have an entry of their own in the file.

        :raises AirflowFailException: if a pattern matches no table, or matches a name that the operators would read differently
        """
        with failing_tasks():
            config = ClientConfig.from_yaml(read_argument("config", self.config, str))
            with SyncClient.from_config(config) as client:
                names = [name for name in matched_names(client, config.tables.values()) if name not in config.tables]
            check_listed(names)
        self.log.info("%d tables: %s", len(names), printable(", ".join(names), MAX_MESSAGE))
        return names


def _names(argument: str, value: Any) -> list[str]:
    return [] if value is None else read_names(argument, value)
