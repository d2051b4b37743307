"""Open the databases and directories that a configuration names; Airflow is imported only if one of its connections is named."""

from __future__ import annotations

from urllib.parse import urlsplit

from sqlalchemy import Engine

from airflow_provider_sync.cli.airflow_presence import require_airflow
from airflow_provider_sync.databases.connect import open_engine
from airflow_provider_sync.files import Storage, open_storage

AIRFLOW_SCHEME = "airflow://"


def open_database(url: str) -> Engine:
    """Open a database URL, or ``airflow://CONN_ID``."""
    if not url.startswith(AIRFLOW_SCHEME):
        return open_engine(url)
    conn_id = url.removeprefix(AIRFLOW_SCHEME)
    require_airflow(f"The connection {url}", instead="Write the URL of the database in its place.")
    from airflow_provider_sync.airflow_support.connection_lookup import publish_connection
    from airflow_provider_sync.airflow_support.database_connections import engine_from_connection

    publish_connection(conn_id)
    return engine_from_connection(conn_id)


def open_directory(path: str) -> Storage:
    """Open a local path or a URL of object storage, ``s3://CONN_ID@bucket/prefix`` with an Airflow connection."""
    conn_id, at, _ = urlsplit(path).netloc.rpartition("@")
    if not at:
        return open_storage(path)
    require_airflow(f"The connection {conn_id!r} of a directory", instead="Leave it out, and set the keys in the environment.")
    from airflow_provider_sync.airflow_support.connection_lookup import publish_connection
    from airflow_provider_sync.airflow_support.storage_connections import storage_from_path

    publish_connection(conn_id)
    return storage_from_path(path)
