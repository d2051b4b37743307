"""The steps of a table's sync as a group of tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from airflow_provider_sync.operators.table_steps import TableCompareOperator, TableDownloadOperator, TableMergeOperator
from airflow_provider_sync.task_groups.step_group import StepGroup


class TableSyncGroup(StepGroup):
    """Make tables equal to those that a sync server offers, in three steps: ``compare``, ``download``, ``merge``.

    When all tables are up to date, ``compare`` is skipped, and so are the others. The result of ``merge`` is that of
    :class:`~airflow_provider_sync.operators.table_sync.TableSyncOperator`.

    .. seealso:: The how-to guide "Sync tables and directories with Airflow".

    :param group_id: without it, ``sync_`` and the table's name, where there is one table
    :param tables: as of ``TableSyncOperator``
    :param slices: greatest number of tasks that ``download`` is mapped to, for all tables together; 1 for no mapping. Small
        tables get fewer, and tables whose key is not a single integer column
    :param max_active_downloads: greatest number of downloads that run at once, in one run
    :param outlets: of ``merge``, and of ``compare`` if that has made a table, or added columns, and no row differs
    :param step_arguments: arguments of single steps, by their names, which win over those of all: a queue, a pool, retries
    :param arguments: of ``TableSyncOperator`` or of any operator, for all three; or of ``TaskGroup``
    :ivar compare: the first task
    :ivar download: the tasks between
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
