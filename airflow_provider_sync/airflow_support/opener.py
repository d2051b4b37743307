"""How operators and sensors open databases and directories: by what Airflow's connections say."""

from __future__ import annotations

from airflow_provider_sync.airflow_support.database_connections import engine_from_connection
from airflow_provider_sync.airflow_support.storage_connections import storage_from_path
from airflow_provider_sync.sync import Opener

OPENER = Opener(engine=engine_from_connection, storage=storage_from_path)
"""Opens what ids of connections, URLs and paths name."""
