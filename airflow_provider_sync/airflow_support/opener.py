"""How operators and sensors open databases and directories: by what Airflow's connections say."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from airflow.providers.common.compat.sdk import AirflowNotFoundException

from airflow_provider_sync.airflow_support.database_connections import engine_from_connection
from airflow_provider_sync.airflow_support.storage_connections import storage_from_path
from airflow_provider_sync.airflow_support.task_failures import reason_of
from airflow_provider_sync.exceptions import ConfigurationError
from airflow_provider_sync.sync import Opener

Opened = TypeVar("Opened")


def _with_connections(opens: Callable[[str], Opened]) -> Callable[[str], Opened]:
    """Turn a missing connection into an error of the table or directory that needs it, so that the rest of a run goes on."""

    def opened(place: str) -> Opened:
        try:
            return opens(place)
        except AirflowNotFoundException as error:
            raise ConfigurationError(reason_of(error)) from error

    return opened


OPENER = Opener(engine=_with_connections(engine_from_connection), storage=_with_connections(storage_from_path))
"""Opens what ids of connections, URLs and paths name."""
