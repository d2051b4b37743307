"""What the sensors share: ask whether source and target differ, and skip or wait while they do not.

Only :meth:`DifferenceSensor.poke` decides. A sensor that waits in the triggerer is woken when the source is no longer what it
was, and looks again then, here in the task: the target may be out of the triggerer's reach.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Any

import msgspec
from airflow.providers.common.compat.sdk import AirflowSensorTimeout, AirflowSkipException, BaseSensorOperator, Context, conf

from airflow_provider_sync.airflow_support.rendered_arguments import TemplatesReadLater, converted
from airflow_provider_sync.airflow_support.task_failures import EndsWithItsTask, failing_tasks
from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import ClientConfig
from airflow_provider_sync.exceptions import ConfigurationError, SyncError
from airflow_provider_sync.hooks.sync_server import SyncServerHook
from airflow_provider_sync.sync import Watched, source_digest
from airflow_provider_sync.triggers.polls import MAX_SECONDS
from airflow_provider_sync.triggers.source_moved import SourceMovedTrigger


class WhenUnchanged(StrEnum):
    """What a sensor does while source and target are equal."""

    SKIP = "skip"
    WAIT = "wait"


class DifferenceSensor(EndsWithItsTask, TemplatesReadLater, BaseSensorOperator):
    """Succeed when source and target differ; in the modes ``poke`` and ``reschedule``, or deferrable.

    :param sync_conn_id: connection of the server
    :param when_unchanged: ``skip`` the task, and so what follows it, or ``wait`` until they differ
    :param deferrable: wait in the triggerer, where only the source is watched; a target that somebody else changes is seen at the
        source's next change
    :param max_seconds: seconds that one look may take; without it what the connection says, and half an hour in the triggerer
    """

    template_fields: Sequence[str] = ("sync_conn_id", "when_unchanged", "max_seconds")
    ui_color = "#e4f0d5"

    # Of the run that execute or execute_complete began.
    _known: str | None = None
    _started: float | None = None

    def __init__(
        self,
        *,
        sync_conn_id: str = SyncServerHook.default_conn_name,
        when_unchanged: str = WhenUnchanged.SKIP.value,
        max_seconds: float | str | None = None,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.sync_conn_id = sync_conn_id
        self.when_unchanged = when_unchanged
        self.max_seconds = max_seconds
        self.deferrable = deferrable

    @abstractmethod
    def differs(self, client: SyncClient) -> bool:
        """Whether a sync would find something to do."""

    def server(self, hook: SyncServerHook) -> ClientConfig:
        """Read the connection of the server."""
        return hook.get_config()

    @abstractmethod
    def watched(self) -> Watched:
        """Return what to watch at the source."""

    def execute(self, context: Context) -> Any:
        """Look until source and target differ, or defer."""
        return self._look(context, known=None, started=time.time())

    def execute_complete(self, context: Context, event: Mapping[str, Any], started: float | None = None) -> Any:
        """Look again, after the triggerer has seen the source move, or could not see it any more.

        :param event: of :class:`~airflow_provider_sync.triggers.source_moved.SourceMovedTrigger`
        :param started: when the first look was, as Unix time
        """
        if event["error"] is not None:
            self.log.warning("Watching the source failed, so this task looks for itself: %s", event["error"])
        return self._look(context, known=event["digest"], started=started)

    def _look(self, context: Context, *, known: str | None, started: float | None) -> Any:
        self._known = known
        self._started = started
        return super().execute(context)

    def poke(self, context: Context) -> bool:
        """Ask once, and defer if they are equal and this is how to wait.

        :raises AirflowSkipException: when they are equal and ``when_unchanged`` is ``skip``
        """
        with failing_tasks():
            when_unchanged = converted("when_unchanged", self.when_unchanged, WhenUnchanged)
            hook = SyncServerHook(converted("sync_conn_id", self.sync_conn_id, str))
            with SyncClient.from_config(self.server(hook)) as client, client.within(self._look_seconds):
                if self._known is None and self.deferrable and when_unchanged is WhenUnchanged.WAIT:
                    self._known = self._digest(client)
                differs = self.differs(client)
        if not differs and when_unchanged is WhenUnchanged.SKIP:
            raise AirflowSkipException("Source and target are equal.")
        self.log.info("Source and target %s.", "differ" if differs else "are equal")
        if not differs and self.deferrable:
            self._wait_in_triggerer(hook.sync_conn_id)
        return differs

    @property
    def _look_seconds(self) -> float | None:
        if self.max_seconds is None:
            return None
        seconds = converted("max_seconds", self.max_seconds, float)
        if not seconds > 0:
            raise ConfigurationError(f"'max_seconds' is {seconds!r}. Give a number of seconds above 0.")
        return seconds

    def _digest(self, client: SyncClient) -> str | None:
        """Ask for what is no news to the triggerer: before the comparison, so that no change falls in between."""
        try:
            return source_digest(client, self.watched())
        except SyncError:
            return None  # what is the matter shows when the same source is compared; without it, any digest is news

    def _wait_in_triggerer(self, sync_conn_id: str) -> None:
        started = self._started or time.time()
        remaining = started + self.timeout - time.time()
        if remaining <= 0:
            raise AirflowSensorTimeout(f"Source and target are equal after {self.timeout} seconds, the sensor's timeout.")
        trigger = SourceMovedTrigger(
            sync_conn_id=sync_conn_id,
            # The way through JSON leaves nothing but plain data.
            watched=msgspec.json.decode(msgspec.json.encode(self.watched())),
            known=self._known,
            poll_interval=self.poke_interval,
            max_seconds=self._look_seconds or MAX_SECONDS,
        )
        self.defer(
            trigger=trigger,
            method_name=self.execute_complete.__name__,
            kwargs={"started": started},
            timeout=timedelta(seconds=remaining),
        )
