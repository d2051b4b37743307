"""``list``: what the configuration names."""

from __future__ import annotations

import json
import sys
from argparse import Namespace

from airflow_provider_sync.config import ClientConfig


def main(options: Namespace) -> int:
    """Print the names; version 1 has no way to ask the server what it offers."""
    config = ClientConfig.from_yaml(options.config)
    if options.json:
        json.dump({"tables": list(config.tables), "directories": list(config.directories)}, sys.stdout, indent=2)
        print()
        return 0
    for table in config.tables.values():
        print(f"table      {table.name} -> {table.table_name}")
    for directory in config.directories.values():
        print(f"directory  {directory.name} -> {directory.path}")
    return 0
