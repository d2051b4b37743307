"""A DAG made from a ``client.yaml``, so that a config tried on the command line can be scheduled unchanged."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

from airflow.providers.common.compat.sdk import DAG, TaskGroup

from airflow_provider_sync.config.table_patterns import is_pattern
from airflow_provider_sync.config.tables import table_entries
from airflow_provider_sync.config.yaml_file import load_yaml, read_text
from airflow_provider_sync.exceptions import ConfigurationError
from airflow_provider_sync.operators.configured_sync import ConfiguredListOperator, ConfiguredSyncOperator


class SyncDag(DAG):
    """A DAG made from a ``client.yaml``; see :meth:`from_yaml`."""

    @classmethod
    def from_yaml(
        cls,
        path: str | Path,
        *,
        dag_id: str,
        schedule: Any = None,
        per_table: bool = False,
        task_arguments: Mapping[str, Any] | None = None,
        **arguments: Any,
    ) -> Self:
        """Make a DAG that does the same as ``airflow-sync run --config FILE``.

        This method reads only the names of tables and directories. The workers read the rest of the file and the environment
        variables, so the DAG contains no secret.

        :param path: path of the file; a relative path starts at the folder of the calling DAG file
        :param schedule: schedule of the DAG
        :param per_table: make one task for each table and each directory; patterns become a mapped task. By default one task
            syncs everything, and tables of one connection may share a transaction
        :param task_arguments: arguments of every sync task, such as ``retries``, ``pool`` or ``skip_unchanged``
        :param arguments: arguments of ``DAG``; the defaults are ``catchup=False`` and ``max_active_runs=1``
        :raises ConfigurationError: if the file cannot be read, names nothing, or combines ``consistent`` or ``drop_missing``
            with ``per_table``
        """
        caller = sys._getframe(1).f_code.co_filename
        file = Path(caller).parent / path
        settings = load_yaml(read_text(file), file)
        tables, directories = _names_in(settings, file)
        if per_table and settings.get("consistent") is True:
            raise ConfigurationError(
                f"{file}: consistent needs one task for all tables, since tasks of their own ask the server at other times."
                " Leave out per_table, or consistent."
            )
        options_of = settings.get("tables")
        if per_table and isinstance(options_of, Mapping) and any("drop_missing" in (own or {}) for own in options_of.values()):
            raise ConfigurationError(
                f"{file}: drop_missing needs one task for all tables, since tables are dropped when all others have arrived."
                " Leave out per_table, or drop_missing."
            )
        dag = cls(dag_id=dag_id, schedule=schedule, **{"catchup": False, "max_active_runs": 1, **arguments})
        dag.fileloc = caller
        of_tasks = {"config": str(file), **(task_arguments or {})}
        with dag:
            if per_table:
                _tasks_of_tables(tables, of_tasks)
                _tasks_of_directories(directories, of_tasks)
            else:
                ConfiguredSyncOperator(task_id="sync", **of_tasks)
        return dag


def _tasks_of_tables(tables: Iterable[str], of_tasks: Mapping[str, Any]) -> None:
    names = [name for name in tables if not is_pattern(name)]
    patterns = [name for name in tables if is_pattern(name)]
    if not names and not patterns:
        return
    with TaskGroup("tables"):
        taken = {"list", "each"} if patterns else set()
        for name in names:
            ConfiguredSyncOperator(task_id=_task_id(name, taken), tables=[name], **of_tasks)
        if patterns:
            listed = ConfiguredListOperator(task_id="list", config=of_tasks["config"])
            each = ConfiguredSyncOperator.partial(task_id="each", map_index_template="{{ task.tables }}", **of_tasks)
            each.expand(tables=listed.output)


def _tasks_of_directories(directories: Iterable[str], of_tasks: Mapping[str, Any]) -> None:
    if not directories:
        return
    with TaskGroup("directories"):
        taken: set[str] = set()
        for name in directories:
            ConfiguredSyncOperator(task_id=_task_id(name, taken), directories=[name], **of_tasks)


def _names_in(settings: Mapping[Any, Any], file: Path) -> tuple[list[str], list[str]]:
    """Return the names under ``tables`` and ``directories``, without resolving environment variables in them."""
    tables = settings.get("tables") or {}
    groups = (tables if isinstance(tables, Mapping) else table_entries(tables)), settings.get("directories") or {}
    for group, entries in zip(("tables", "directories"), groups, strict=True):
        if not isinstance(entries, Mapping):
            raise ConfigurationError(f"{file}: {group} must be a mapping of names to options.")
    if not any(groups):
        raise ConfigurationError(f"{file} names no table and no directory.")
    of_tables, of_directories = groups
    return list(map(str, of_tables)), list(map(str, of_directories))


def _task_id(name: str, taken: set[str]) -> str:
    """Return a task id for a table or directory: its name, with invalid characters replaced.

    :param taken: ids in use; the new one is added
    """
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", name)
    number, task_id = 1, plain
    while task_id in taken:
        number += 1
        task_id = f"{plain}_{number}"
    taken.add(task_id)
    return task_id
