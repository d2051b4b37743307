"""Base of the sensors: compares source and target, and skips or waits while they are equal.

Only :meth:`DifferenceSensor.poke` compares, in a task, since the triggerer may not reach the target. The triggerer watches only
the source, and resumes the task when the source changes.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from enum import StrEnum
from typing import Any, TypeVar

import msgspec
from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    BaseSensorOperator,
    Context,
    conf,
)

from airflow_provider_sync.airflow_support.rendered_arguments import read_argument, read_seconds
from airflow_provider_sync.airflow_support.task_failures import EndsWithItsTask, failing_tasks
from airflow_provider_sync.airflow_support.templates import ReportsUndefinedTemplates
from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import ClientConfig
from airflow_provider_sync.exceptions import ConfigurationError, SyncError
from airflow_provider_sync.hooks.sync_server import SyncServerHook
from airflow_provider_sync.sync import Watched, source_digest
from airflow_provider_sync.triggers.polls import MAX_SECONDS
from airflow_provider_sync.triggers.source_moved import SourceMovedTrigger

T = TypeVar("T")


class WhenUnchanged(StrEnum):
    """What a sensor does while source and target are equal."""

    SKIP = "skip"
    WAIT = "wait"


def only_one(argument: str, found: Sequence[T], *, plural: str) -> T:
    """Return the one table or directory that an argument names.

    :param plural: the noun for the error message: ``tables`` or ``directories``
    :raises ConfigurationError: if it names several, or none
    """
    if len(found) != 1:
        raise ConfigurationError(f"{argument!r} names {len(found)} {plural}. Use one sensor for each.")
    return found[0]


class DifferenceSensor(EndsWithItsTask, ReportsUndefinedTemplates, BaseSensorOperator):
    """Succeed when source and target differ; works in the modes ``poke`` and ``reschedule``, and deferrable.

    :param sync_conn_id: connection of the sync server
    :param when_unchanged: ``skip`` this task, and with it the downstream tasks, or ``wait`` until they differ
    :param deferrable: wait in the triggerer, which watches only the source: if another process changes the target, the sensor
        notices at the source's next change. The default is Airflow's ``[operators] default_deferrable``
    :param max_seconds: time limit, in seconds, for one comparison; by default, the connection's, and half an hour in the
        triggerer
    """

    template_fields: Sequence[str] = ("sync_conn_id", "when_unchanged", "max_seconds")
    ui_color = "#e4f0d5"

    # Set by execute and execute_complete for later calls of poke.
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
        """Tell whether source and target differ."""

    def server(self, hook: SyncServerHook) -> ClientConfig:
        """Read the connection of the server."""
        return hook.get_config()

    @abstractmethod
    def watched(self) -> Watched:
        """Return the table or directory of the source that the triggerer watches."""

    def execute(self, context: Context) -> Any:
        """Compare until source and target differ, or defer."""
        return self._compare(context, known=None, started=time.time())

    def execute_complete(self, context: Context, event: Mapping[str, Any], started: float | None = None) -> Any:
        """Compare again, because the source changed or the triggerer can no longer watch it.

        :param event: the event of :class:`~airflow_provider_sync.triggers.source_moved.SourceMovedTrigger`
        :param started: when the first comparison began, as Unix time
        """
        if event["error"] is not None:
            self.log.warning("Watching the source failed, so this task compares by itself: %s", event["error"])
        return self._compare(context, known=event["digest"], started=started)

    def _compare(self, context: Context, *, known: str | None, started: float | None) -> Any:
        self._known = known
        self._started = started
        return super().execute(context)

    def poke(self, context: Context) -> bool:
        """Compare once; defer when source and target are equal and the sensor is deferrable.

        :raises AirflowSkipException: when they are equal and ``when_unchanged`` is ``skip``
        """
        with self._telling_why(), failing_tasks():
            when_unchanged = read_argument("when_unchanged", self.when_unchanged, WhenUnchanged)
            hook = SyncServerHook(read_argument("sync_conn_id", self.sync_conn_id, str))
            with SyncClient.from_config(self.server(hook)) as client, client.within(self._comparison_seconds):
                if self._known is None and self.deferrable and when_unchanged is WhenUnchanged.WAIT:
                    # Before comparing, so that a change in between is not missed.
                    self._known = self._digest(client)
                differs = self.differs(client)
        if not differs and when_unchanged is WhenUnchanged.SKIP:
            raise AirflowSkipException("Source and target are equal.")
        self.log.info("Source and target %s.", "differ" if differs else "are equal")
        if not differs and self.deferrable:
            self._wait_in_triggerer(hook.sync_conn_id)
        return differs

    @contextmanager
    def _telling_why(self) -> Iterator[None]:
        """Log an error of the block if it makes Airflow skip the task, since Airflow then does not log the reason."""
        try:
            yield
        except AirflowException as error:
            if self.never_fail or (self.soft_fail and isinstance(error, AirflowFailException)):
                self.log.error("%s", error)
            raise

    @property
    def _comparison_seconds(self) -> float | None:
        return None if self.max_seconds is None else read_seconds("max_seconds", self.max_seconds)

    def _digest(self, client: SyncClient) -> str | None:
        """Return the source's digest, to which the triggerer compares later digests; ``None`` if it cannot be read."""
        try:
            return source_digest(client, self.watched())
        except SyncError:
            return None  # the comparison reports the error; without a known digest the first poll resumes the task

    def _wait_in_triggerer(self, sync_conn_id: str) -> None:
        started = self._started or time.time()
        remaining = started + self.timeout - time.time()
        if remaining <= 0:
            raise AirflowSensorTimeout(f"Source and target are equal after {self.timeout} seconds, the sensor's timeout.")
        trigger = SourceMovedTrigger(
            sync_conn_id=sync_conn_id,
            # Airflow stores the arguments of triggers as JSON.
            watched=msgspec.json.decode(msgspec.json.encode(self.watched())),
            known=self._known,
            poll_interval=self.poke_interval,
            max_seconds=self._comparison_seconds or MAX_SECONDS,
        )
        self.defer(
            trigger=trigger,
            method_name=self.execute_complete.__name__,
            kwargs={"started": started},
            timeout=timedelta(seconds=remaining),
        )
