"""The task group for a directory sync in steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from airflow_provider_sync.operators.file_steps import FileCompareOperator, FileDeleteOperator, FileDownloadOperator
from airflow_provider_sync.task_groups.step_group import StepGroup


class FileSyncGroup(StepGroup):
    """Make directories equal to those that a sync server offers, in three steps: ``compare``, ``download``, ``delete``.

    If everything is up to date, all three tasks are skipped. The result of ``delete`` has the form of
    :class:`~airflow_provider_sync.operators.file_sync.FileSyncOperator`'s.

    .. seealso:: The how-to guide "Sync tables and directories with Airflow".

    :param group_id: by default, ``sync_`` and the directory's name if there is only one, else ``sync``
    :param directories: as ``FileSyncOperator`` takes them
    :param batches: maximum number of mapped ``download`` tasks, for all directories together; fewer if few files differ. With 1,
        the task is not mapped
    :param max_active_downloads: maximum number of ``download`` tasks that run in parallel, in one DAG run
    :param outlets: outlets of ``delete``
    :param step_arguments: arguments for single steps, by step name, such as a queue, a pool or retries; they override
        ``arguments``
    :param arguments: arguments of ``FileSyncOperator`` or of any operator, for all three steps; or arguments of ``TaskGroup``
    :ivar compare: the first task
    :ivar download: the download task, usually mapped
    :ivar delete: the last task
    """

    operators: ClassVar = {"compare": FileCompareOperator, "download": FileDownloadOperator, "delete": FileDeleteOperator}
    names_argument = "directories"
    piece_argument = "batch"
    pieces_argument = "batches"

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
        super().__init__(
            group_id,
            names=directories,
            pieces=batches,
            max_active_downloads=max_active_downloads,
            outlets=outlets,
            step_arguments=step_arguments,
            arguments=arguments,
        )
        self.delete = self.last
