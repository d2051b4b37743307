"""Open databases and directories for operators and sensors, by Airflow's connections."""

from __future__ import annotations

from airflow_provider_sync.airflow_support.database_connections import engine_from_connection
from airflow_provider_sync.airflow_support.storage_connections import storage_from_path
from airflow_provider_sync.sync import Opener

OPENER = Opener(engine=engine_from_connection, storage=storage_from_path)
"""Opens databases by connection id or URL, and storages by path."""
