"""The steps of a table's sync as a group of tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow.providers.common.compat.sdk import TaskGroup

from airflow_provider_sync.operators.table_steps import TableCompareOperator, TableDownloadOperator, TableMergeOperator
from airflow_provider_sync.task_groups.group_arguments import by_step, default_id, split_arguments


class TableSyncGroup(TaskGroup):
    """Make tables equal to those that a sync server offers, in three steps: ``compare``, ``download``, ``merge``.

    When all tables are up to date, ``compare`` is skipped, and so are the others. The result of ``merge`` is that of
    :class:`~airflow_provider_sync.operators.table_sync.TableSyncOperator`.

    .. seealso:: The how-to guide "Sync tables and directories with Airflow".

    :param group_id: ``sync_`` and the table's name without, where there is one table
    :param tables: as of ``TableSyncOperator``
    :param slices: most tasks that ``download`` is mapped over, of all tables together; with 1 it is not mapped. Small tables
        get fewer, and tables whose key is not a single integer one
    :param max_active_downloads: so many of them at once, in one run
    :param outlets: of ``merge``
    :param step_arguments: what one step has otherwise than the others, by its name: its queue, its pool, its retries
    :param arguments: of ``TableSyncOperator`` or of any operator, for all three; or of ``TaskGroup``
    :ivar compare: the first task
    :ivar download: the tasks between
    :ivar merge: the last task
    """

    def __init__(
        self,
        group_id: str | None = None,
        *,
        tables: str | Sequence[str] | Mapping[str, Mapping[str, Any] | None],
        slices: int = 16,
        max_active_downloads: int = 4,
        outlets: Sequence[Any] = (),
        step_arguments: Mapping[str, Mapping[str, Any]] | None = None,
        **arguments: Any,
    ) -> None:
        of_group, of_tasks = split_arguments(arguments)
        super().__init__(group_id=group_id or default_id(tables), **of_group)
        of_tasks["tables"] = tables
        compare, download, merge = by_step(("compare", "download", "merge"), of_tasks, step_arguments)
        with self:
            self.compare = TableCompareOperator(task_id="compare", slices=slices, **compare)
            self.download: Any = (
                TableDownloadOperator(task_id="download", table_slice=self.compare.output, **download)
                if slices == 1
                else TableDownloadOperator.partial(
                    task_id="download", max_active_tis_per_dagrun=max_active_downloads, **download
                ).expand(table_slice=self.compare.output)
            )
            self.merge = TableMergeOperator(task_id="merge", slices=self.download.output, outlets=list(outlets), **merge)
