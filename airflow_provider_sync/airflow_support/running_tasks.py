"""Show a task among what runs now, while it syncs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from airflow.providers.common.compat.sdk import Context

from airflow_provider_sync.airflow_support.task_history import open_airflow_history, origin_of
from airflow_provider_sync.sync.noted_progress import noted_while_running
from airflow_provider_sync.sync.progress import Progress, silent


@contextmanager
def shown_while_running(context: Context, names: Sequence[str], *, group: str | None = None) -> Iterator[Progress]:
    """Note a task in the history of syncs during the block, and give what notes its progress there.

    :param names: of the tables and directories
    :param group: id of the task group whose tasks are the steps of one sync
    """
    origin = origin_of(context, group=group)
    if origin is None:
        yield silent
        return
    with noted_while_running(open_airflow_history, origin, names) as noted:
        yield noted
