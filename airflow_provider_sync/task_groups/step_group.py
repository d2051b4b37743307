"""What the task groups have in common: three steps, wired, and which arguments are the group's and which its tasks'."""

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
    """Wire three steps: compare, download in several mapped tasks, and finish.

    :param group_id: ``sync_`` and the one name without, where there is one name
    :param names: the tables or directories, as the operators take them
    :param pieces: greatest number of tasks that ``download`` is mapped over; with 1 it is not mapped
    :param max_active_downloads: greatest number of them that run at once, in one run
    :param outlets: of the last step, and of the first one, which has changed something if it has made a table
    :param step_arguments: arguments of single steps, by the names of the steps
    :param arguments: of all three operators, or of ``TaskGroup``
    :ivar compare: the first task
    :ivar download: the tasks between
    :ivar last: the last task
    """

    operators: ClassVar[Mapping[str, type[StepOperator]]]
    """The operators by the ids of their tasks, in their order."""

    names_argument: ClassVar[str]
    """The argument of all steps for the tables or directories."""

    piece_argument: ClassVar[str]
    """The argument of the download for one piece of work."""

    pieces_argument: ClassVar[str]
    """The argument of the first step for the number of pieces, and of the last one for all of them."""

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
    """Return the arguments of ``TaskGroup``, and the rest, which are those of its tasks."""
    of_group = {name: value for name, value in arguments.items() if name in _OF_GROUP}
    return of_group, {name: value for name, value in arguments.items() if name not in _OF_GROUP}


def arguments_by_step(
    steps: Sequence[str], arguments: Mapping[str, Any], step_arguments: Mapping[str, Mapping[str, Any]] | None
) -> list[dict[str, Any]]:
    """Return the arguments of each step: its own win over those of all steps.

    A ``trigger_rule`` of all steps says when the first one runs. Each further one needs everything that the step before it does.

    :raises ConfigurationError: when ``step_arguments`` names a step that does not exist
    """
    own = step_arguments or {}
    if unknown := sorted(own.keys() - set(steps)):
        raise ConfigurationError(f"step_arguments names {', '.join(unknown)}. The steps: {', '.join(steps)}.")
    # Also against a rule among the default arguments of the DAG.
    further = {**arguments, "trigger_rule": TriggerRule.ALL_SUCCESS}
    return [{**(further if number else arguments), **own.get(step, {})} for number, step in enumerate(steps)]


def default_id(names: object) -> str:
    """Name a group by the one table or directory that it syncs, or ``sync``."""
    return f"sync_{names}" if isinstance(names, str) and names.isidentifier() else "sync"
