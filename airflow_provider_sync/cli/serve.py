"""``serve``: the server half."""

from __future__ import annotations

from argparse import Namespace

from airflow_provider_sync.cli.connections import open_database, open_directory
from airflow_provider_sync.config import ServerConfig
from airflow_provider_sync.server.serve import serve


def main(options: Namespace) -> int:
    """Serve until the process is told to stop."""
    config = ServerConfig.from_yaml(options.config)
    serve(config, host=options.host, port=options.port, open_engine=open_database, open_storage=open_directory)
    return 0
