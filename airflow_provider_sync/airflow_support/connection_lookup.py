"""Find Airflow's connections, also those of its metadata database in processes that are not tasks, such as commands."""

from __future__ import annotations

import os

from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook, Connection

from airflow_provider_sync.airflow_support.task_failures import reason_of
from airflow_provider_sync.exceptions import ConfigurationError


def find_connection(conn_id: str) -> Connection:
    """Return a connection, as a hook finds it.

    :raises ConfigurationError: when there is none
    """
    try:
        return BaseHook.get_connection(conn_id)
    except AirflowNotFoundException as error:
        # Without its traceback, which OpenLineage sends as it is: a URL with a password may have been taken for the id.
        raise ConfigurationError(reason_of(error)) from None


def publish_connection(conn_id: str) -> None:
    """Let every hook of this process find a connection.

    A hook asks the environment and the secrets backend. Only a task and, in newer versions, Airflow's own servers also get at
    the metadata database, so that what is found there is put into the environment, as the connection tests of Airflow do.

    :raises ConfigurationError: when neither environment, secrets backend nor metadata database has it
    """
    # The only lookup in all versions that also asks the metadata database.
    from airflow.models import Connection as StoredConnection  # noqa: TID251  # see above

    variable = f"AIRFLOW_CONN_{conn_id.upper()}"
    if variable in os.environ:
        return
    try:
        os.environ[variable] = StoredConnection.get_connection_from_secrets(conn_id).as_json()
    except AirflowNotFoundException as error:
        raise ConfigurationError(
            f"Airflow has no connection {conn_id!r}: not in the environment, in a secrets backend or in its metadata database."
            " Add the connection, or name another one."
        ) from error
