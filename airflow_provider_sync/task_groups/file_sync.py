"""The steps of a directory's sync as a group of tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow.providers.common.compat.sdk import TaskGroup

from airflow_provider_sync.operators.file_steps import FileCompareOperator, FileDeleteOperator, FileDownloadOperator
from airflow_provider_sync.task_groups.group_arguments import by_step, default_id, split_arguments


class FileSyncGroup(TaskGroup):
    """Make directories equal to those that a sync server offers, in three steps: ``compare``, ``download``, ``delete``.

    When everything is up to date, ``compare`` is skipped, and so are the others. The result of ``delete`` is that of
    :class:`~airflow_provider_sync.operators.file_sync.FileSyncOperator`.

    .. seealso:: The how-to guide "Sync tables and directories with Airflow".

    :param group_id: ``sync_`` and the directory's name without, where there is one directory
    :param directories: as of ``FileSyncOperator``
    :param batches: most tasks that ``download`` is mapped over, of all directories together; with 1 it is not mapped. Where few
        files differ there are fewer
    :param max_active_downloads: so many of them at once, in one run
    :param outlets: of ``delete``
    :param step_arguments: what one step has otherwise than the others, by its name: its queue, its pool, its retries
    :param arguments: of ``FileSyncOperator`` or of any operator, for all three; or of ``TaskGroup``
    :ivar compare: the first task
    :ivar download: the tasks between
    :ivar delete: the last task
    """

    def __init__(
        self,
        group_id: str | None = None,
        *,
        directories: str | Sequence[str] | Mapping[str, Mapping[str, Any] | None],
        batches: int = 16,
        max_active_downloads: int = 4,
        outlets: Sequence[Any] = (),
        step_arguments: Mapping[str, Mapping[str, Any]] | None = None,
        **arguments: Any,
    ) -> None:
        of_group, of_tasks = split_arguments(arguments)
        super().__init__(group_id=group_id or default_id(directories), **of_group)
        of_tasks["directories"] = directories
        compare, download, delete = by_step(("compare", "download", "delete"), of_tasks, step_arguments)
        with self:
            self.compare = FileCompareOperator(task_id="compare", batches=batches, **compare)
            self.download: Any = (
                FileDownloadOperator(task_id="download", batch=self.compare.output, **download)
                if batches == 1
                else FileDownloadOperator.partial(
                    task_id="download", max_active_tis_per_dagrun=max_active_downloads, **download
                ).expand(batch=self.compare.output)
            )
            self.delete = FileDeleteOperator(task_id="delete", batches=self.download.output, outlets=list(outlets), **delete)
