"""The steps of a directory's sync as a group of tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from airflow_provider_sync.operators.file_steps import FileCompareOperator, FileDeleteOperator, FileDownloadOperator
from airflow_provider_sync.task_groups.step_group import StepGroup


class FileSyncGroup(StepGroup):
    """Make directories equal to those that a sync server offers, in three steps: ``compare``, ``download``, ``delete``.

    When everything is up to date, ``compare`` is skipped, and so are the others. The result of ``delete`` is that of
    :class:`~airflow_provider_sync.operators.file_sync.FileSyncOperator`.

    .. seealso:: The how-to guide "Sync tables and directories with Airflow".

    :param group_id: without it, ``sync_`` and the directory's name, where there is one directory
    :param directories: as of ``FileSyncOperator``
    :param batches: greatest number of tasks that ``download`` is mapped to, for all directories together; 1 for no mapping.
        Where few files differ there are fewer
    :param max_active_downloads: greatest number of downloads that run at once, in one run
    :param outlets: of ``delete``
    :param step_arguments: arguments of single steps, by their names, which win over those of all: a queue, a pool, retries
    :param arguments: of ``FileSyncOperator`` or of any operator, for all three; or of ``TaskGroup``
    :ivar compare: the first task
    :ivar download: the tasks between
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
