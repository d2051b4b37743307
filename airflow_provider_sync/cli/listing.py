"""``list``: the tables and directories that the server offers, and their targets in the configuration."""

from __future__ import annotations

import json
import sys
from argparse import Namespace

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import ClientConfig
from airflow_provider_sync.config.table_patterns import entry_for
from airflow_provider_sync.printable import printable


def main(options: Namespace) -> int:
    """Print the names; a server of version 1 cannot list them, so the names in the configuration are printed."""
    config = ClientConfig.from_yaml(options.config)
    with SyncClient.from_config(config) as client:
        offered = client.capabilities()
    tables = list(offered.tables) if offered else list(config.tables)
    directories = list(offered.directories) if offered else list(config.directories)
    if not offered:
        note = "This server speaks version 1 of the protocol, if it is a sync server, and cannot list what it offers."
        print(f"{note} These are the names in the configuration.", file=sys.stderr)
    if options.json:
        json.dump({"tables": tables, "directories": directories}, sys.stdout, indent=2)
        print()
        return 0
    for name in tables:
        print(f"table      {printable(name)} -> {_target_of(name, config)}")
    for name in directories:
        kept = config.directories[name].path if name in config.directories else "not configured"
        print(f"directory  {printable(name)} -> {kept}")
    return 0


def _target_of(name: str, config: ClientConfig) -> str:
    entry = entry_for(name, config.tables)
    if entry is None:
        return "not configured"
    return printable(entry.named(name).table_name if entry.name != name else entry.table_name)
