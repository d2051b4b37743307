"""What opens the databases and directories of syncs for commands. ``serve`` syncs nothing, and starts without importing this."""

from __future__ import annotations

from airflow_provider_sync.cli.connections import open_database, open_directory
from airflow_provider_sync.sync import Opener

OPENER = Opener(engine=open_database, storage=open_directory)
