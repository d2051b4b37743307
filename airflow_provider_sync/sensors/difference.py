"""What the sensors share: ask whether source and target differ, and skip or wait while they do not."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from airflow.providers.common.compat.sdk import AirflowSkipException, BaseSensorOperator, Context

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.hooks.rendered import converted
from airflow_provider_sync.hooks.sync_server import SyncServerHook
from airflow_provider_sync.hooks.task_failures import failing_tasks


class WhenUnchanged(StrEnum):
    """What a sensor does while source and target are equal."""

    SKIP = "skip"
    WAIT = "wait"


class DifferenceSensor(BaseSensorOperator):
    """Succeed when source and target differ; modes ``poke`` and ``reschedule``.

    :param sync_conn_id: connection of the server
    :param when_unchanged: ``skip`` the task, and so what follows it, or ``wait`` until they differ
    """

    template_fields: Sequence[str] = ("sync_conn_id", "when_unchanged")
    ui_color = "#e4f0d5"

    def __init__(
        self,
        *,
        sync_conn_id: str = SyncServerHook.default_conn_name,
        when_unchanged: str = WhenUnchanged.SKIP.value,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.sync_conn_id = sync_conn_id
        self.when_unchanged = when_unchanged

    @abstractmethod
    def differs(self, client: SyncClient) -> bool:
        """Whether a sync would find something to do."""

    def poke(self, context: Context) -> bool:
        """Ask once.

        :raises AirflowSkipException: when they are equal and ``when_unchanged`` is ``skip``
        """
        with failing_tasks():
            when_unchanged = converted("when_unchanged", self.when_unchanged, WhenUnchanged)
            hook = SyncServerHook(converted("sync_conn_id", self.sync_conn_id, str))
            with hook.get_client() as client:
                differs = self.differs(client)
        if not differs and when_unchanged is WhenUnchanged.SKIP:
            raise AirflowSkipException("Source and target are equal.")
        return differs
