"""Make connections of Airflow's metadata database available to processes that are not tasks, such as commands."""

from __future__ import annotations

import os


def publish_connection(conn_id: str) -> None:
    """Let every hook of this process find a connection.

    A hook asks the environment and the secrets backend. Only a task and, in newer versions, Airflow's own servers also get at
    the metadata database, so that what is found there is put into the environment, as the connection tests of Airflow do.

    :raises AirflowNotFoundException: when neither environment, secrets backend nor metadata database has it
    """
    # The only lookup in all versions that also asks the metadata database.
    from airflow.models import Connection  # noqa: TID251  # see above

    variable = f"AIRFLOW_CONN_{conn_id.upper()}"
    if variable not in os.environ:
        os.environ[variable] = Connection.get_connection_from_secrets(conn_id).as_json()
