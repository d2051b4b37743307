"""Base of the task groups: wires three steps, and divides the arguments between the group and its tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from airflow.providers.common.compat.sdk import TaskGroup, TriggerRule

from airflow_provider_sync.exceptions import ConfigurationError
from airflow_provider_sync.operators.step_operator import StepOperator

_OF_GROUP = frozenset(
    {
        "add_suffix_on_collision",
        "dag",
        "default_args",
        "group_display_name",
        "parent_group",
        "prefix_group_id",
        "tooltip",
        "ui_color",
        "ui_fgcolor",
    }
)


class StepGroup(TaskGroup):
    """Wire three steps: compare, download in mapped tasks, and finish.

    :param group_id: by default, ``sync_`` and the name of the table or directory if there is only one, else ``sync``
    :param names: the tables or directories, as the operators take them
    :param pieces: maximum number of mapped ``download`` tasks; with 1, the task is not mapped
    :param max_active_downloads: maximum number of ``download`` tasks that run in parallel, in one DAG run
    :param outlets: outlets of the last step, and of the first, which may create a table
    :param step_arguments: arguments for single steps, by step name
    :param arguments: arguments of all three operators, or of ``TaskGroup``
    :ivar compare: the first task
    :ivar download: the download task, usually mapped
    :ivar last: the last task
    """

    operators: ClassVar[Mapping[str, type[StepOperator]]]
    """The operator of each step by its task id, in the order of the steps."""

    names_argument: ClassVar[str]
    """The name of the argument, of every step, for the tables or directories."""

    piece_argument: ClassVar[str]
    """The name of the download's argument for one piece of work."""

    pieces_argument: ClassVar[str]
    """The name of the first step's argument for the number of pieces, and of the last step's for the pieces themselves."""

    def __init__(
        self,
        group_id: str | None,
        *,
        names: str | Sequence[str] | Mapping[str, Mapping[str, Any] | None],
        pieces: int,
        max_active_downloads: int,
        outlets: Sequence[Any],
        step_arguments: Mapping[str, Mapping[str, Any]] | None,
        arguments: Mapping[str, Any],
    ) -> None:
        of_group, of_tasks = split_arguments(arguments)
        super().__init__(group_id=group_id or default_id(names), **of_group)
        of_tasks[self.names_argument] = names
        (compare_id, compare), (download_id, download), (last_id, last) = self.operators.items()
        of_compare, of_download, of_last = arguments_by_step(list(self.operators), of_tasks, step_arguments)
        of_compare[self.pieces_argument] = pieces
        with self:
            self.compare: Any = compare(task_id=compare_id, outlets=list(outlets), **of_compare)
            found = {self.piece_argument: self.compare.output}
            if pieces == 1:
                self.download: Any = download(task_id=download_id, **{**of_download, **found})
            else:
                of_download["max_active_tis_per_dagrun"] = max_active_downloads
                self.download = download.partial(task_id=download_id, **of_download).expand(**found)
            of_last[self.pieces_argument] = self.download.output
            self.last: Any = last(task_id=last_id, outlets=list(outlets), **of_last)


def split_arguments(arguments: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Divide arguments into those of ``TaskGroup`` and those of its tasks."""
    of_group = {name: value for name, value in arguments.items() if name in _OF_GROUP}
    return of_group, {name: value for name, value in arguments.items() if name not in _OF_GROUP}


def arguments_by_step(
    steps: Sequence[str], arguments: Mapping[str, Any], step_arguments: Mapping[str, Mapping[str, Any]] | None
) -> list[dict[str, Any]]:
    """Return the arguments of each step; its ``step_arguments`` override the shared ones.

    A shared ``trigger_rule`` applies to the first step only. The other steps need the results of all tasks of the step before.

    :raises ConfigurationError: if ``step_arguments`` names a step that does not exist
    """
    own = step_arguments or {}
    if unknown := sorted(own.keys() - set(steps)):
        raise ConfigurationError(f"step_arguments names {', '.join(unknown)}. The steps: {', '.join(steps)}.")
    # Given explicitly, so that it also overrides a trigger_rule in the DAG's default_args.
    further = {**arguments, "trigger_rule": TriggerRule.ALL_SUCCESS}
    return [{**(further if number else arguments), **own.get(step, {})} for number, step in enumerate(steps)]


def default_id(names: object) -> str:
    """Return a group id: ``sync_`` and the name of the only table or directory, or ``sync`` if there are several."""
    return f"sync_{names}" if isinstance(names, str) and names.isidentifier() else "sync"
