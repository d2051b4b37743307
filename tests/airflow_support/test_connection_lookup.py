"""Connections that only the metadata database has, in a process that is no task."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from airflow.models import Connection
from airflow.utils.session import create_session

from airflow_provider_sync.airflow_support.connection_lookup import publish_connection
from airflow_provider_sync.cli.connections import open_database
from airflow_provider_sync.exceptions import ConfigurationError
from tests.airflow_runs import migrate_metadata_database

CONN_ID = "only_in_metadata"
VARIABLE = "AIRFLOW_CONN_ONLY_IN_METADATA"


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give the SQLite file of a connection that the metadata database has."""
    migrate_metadata_database()
    # What is put into the environment meanwhile is gone after the test.
    monkeypatch.setenv(VARIABLE, "")
    monkeypatch.delenv(VARIABLE)
    file = tmp_path / "warehouse.db"
    with create_session() as session:
        session.add(Connection(conn_id=CONN_ID, conn_type="sqlite", host=str(file)))
    yield file
    with create_session() as session:
        session.query(Connection).filter(Connection.conn_id == CONN_ID).delete()


def test_metadata_database(stored: Path) -> None:
    """``airflow://CONN_ID`` is found if only the metadata database has it."""
    engine = open_database(f"airflow://{CONN_ID}")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (id INTEGER)")
    engine.dispose()
    assert stored.exists()


def test_the_environment_wins(stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection in the environment goes before the metadata database, as in Airflow."""
    other = tmp_path / "other.db"
    monkeypatch.setenv(VARIABLE, f'{{"conn_type": "sqlite", "host": "{other}"}}')
    engine = open_database(f"airflow://{CONN_ID}")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (id INTEGER)")
    engine.dispose()
    assert other.exists()
    assert not stored.exists()


def test_nowhere(stored: Path) -> None:
    """A missing connection is a one-line error that says where it was looked for."""
    with pytest.raises(ConfigurationError, match="no connection 'nowhere': not in the environment") as caught:
        open_database("airflow://nowhere")
    assert "\n" not in str(caught.value)


def test_without_a_metadata_database(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The environment is enough: no metadata database is opened for a connection that it has."""
    monkeypatch.setenv(VARIABLE, f'{{"conn_type": "sqlite", "host": "{tmp_path / "a.db"}"}}')
    publish_connection(CONN_ID)
    open_database(f"airflow://{CONN_ID}").dispose()
