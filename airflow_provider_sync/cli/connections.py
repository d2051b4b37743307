"""Open what a configuration names, Airflow connections included; Airflow is imported only where one is named."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from sqlalchemy import Engine

from airflow_provider_sync.exceptions import ConfigurationError
from airflow_provider_sync.files import Storage, open_storage
from airflow_provider_sync.sync import Opener
from airflow_provider_sync.tables.connect import open_engine

AIRFLOW_SCHEME = "airflow://"


def open_database(url: str) -> Engine:
    """Open a database URL, or ``airflow://CONN_ID``."""
    if not url.startswith(AIRFLOW_SCHEME):
        return open_engine(url)
    from airflow_provider_sync.hooks.database import database_from_connection

    with _missing_connections():
        return database_from_connection(url.removeprefix(AIRFLOW_SCHEME)).engine


def open_directory(path: str) -> Storage:
    """Open a local path or a URL of object storage, ``s3://CONN_ID@bucket/prefix`` with an Airflow connection."""
    if "@" not in urlsplit(path).netloc:
        return open_storage(path)
    from airflow_provider_sync.hooks.storage import storage_from_path

    with _missing_connections():
        return storage_from_path(path)


@contextmanager
def _missing_connections() -> Iterator[None]:
    """Raise what Airflow raises for a connection that it does not have as an error of the configuration."""
    from airflow.providers.common.compat.sdk import AirflowNotFoundException

    try:
        yield
    except AirflowNotFoundException as error:
        raise ConfigurationError(f"Airflow says: {error}. Add the connection, or name another one.") from error


OPENER = Opener(engine=open_database, storage=open_directory)
