"""The task group for a table sync in steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from airflow_provider_sync.operators.table_steps import TableCompareOperator, TableDownloadOperator, TableMergeOperator
from airflow_provider_sync.task_groups.step_group import StepGroup


class TableSyncGroup(StepGroup):
    """Make tables equal to those that a sync server offers, in three steps: ``compare``, ``download``, ``merge``.

    If all tables are up to date, all three tasks are skipped. The result of ``merge`` has the form of
    :class:`~airflow_provider_sync.operators.table_sync.TableSyncOperator`'s.

    .. seealso:: The how-to guide "Sync tables and directories with Airflow".

    :param group_id: by default, ``sync_`` and the table's name if there is only one, else ``sync``
    :param tables: as ``TableSyncOperator`` takes them
    :param slices: maximum number of mapped ``download`` tasks, for all tables together; small tables, and tables whose key is
        not a single integer column, get fewer. With 1, the task is not mapped
    :param max_active_downloads: maximum number of ``download`` tasks that run in parallel, in one DAG run
    :param outlets: outlets of ``merge``, and of ``compare`` if that created a table or added columns, and no row differs
    :param step_arguments: arguments for single steps, by step name, such as a queue, a pool or retries; they override
        ``arguments``
    :param arguments: arguments of ``TableSyncOperator`` or of any operator, for all three steps; or arguments of ``TaskGroup``
    :ivar compare: the first task
    :ivar download: the download task, usually mapped
    :ivar merge: the last task
    """

    operators: ClassVar = {"compare": TableCompareOperator, "download": TableDownloadOperator, "merge": TableMergeOperator}
    names_argument = "tables"
    piece_argument = "table_slice"
    pieces_argument = "slices"

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
        super().__init__(
            group_id,
            names=tables,
            pieces=slices,
            max_active_downloads=max_active_downloads,
            outlets=outlets,
            step_arguments=step_arguments,
            arguments=arguments,
        )
        self.merge = self.last
