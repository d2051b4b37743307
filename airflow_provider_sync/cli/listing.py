"""``list``: the tables and directories that the server offers, their targets in the configuration, sizes and keys."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterable, Iterator
from typing import Any

from airflow_provider_sync.cli.table_sizes import Found, Size, describe_tables
from airflow_provider_sync.cli.terminal.current_step import show_steps
from airflow_provider_sync.cli.terminal.output import Line, Output, Part
from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import ClientConfig
from airflow_provider_sync.config.table_patterns import entry_for
from airflow_provider_sync.printable import printable
from airflow_provider_sync.text_table import TextTable


def main(options: Namespace) -> int:
    """Print the names; a server of version 1 cannot list them, so the names in the configuration are printed."""
    config = ClientConfig.from_yaml(options.config)
    output = Output.of(options)
    wants_sizes = not output.takes_data if options.sizes is None else options.sizes
    with show_steps(quiet=options.quiet or options.output == "plain") as say, SyncClient.from_config(config) as client:
        offered = client.capabilities()
        found = describe_tables(client, offered.tables, say) if offered and wants_sizes else {}
    tables = list(offered.tables) if offered else list(config.tables)
    directories = list(offered.directories) if offered else list(config.directories)
    if not offered:
        note = "This server speaks version 1 of the protocol, if it is a sync server, and cannot list what it offers."
        print(f"{note} These are the names in the configuration.", file=sys.stderr)
    if output.takes_data:
        sizes = {"sizes": {name: _plain(answer) for name, answer in found.items()}} if wants_sizes else {}
        output.data({"tables": tables, "directories": directories, **sizes})
    else:
        output.show(_parts(tables, directories, config, found))
    return 0


def _parts(tables: Iterable[str], directories: Iterable[str], config: ClientConfig, found: Found) -> Iterator[Part]:
    for name in tables:
        yield Line(f"table      {printable(name)} -> {_target_of(name, config)}")
    for name in directories:
        kept = config.directories[name].path if name in config.directories else "not configured"
        yield Line(f"directory  {printable(name)} -> {kept}")
    if any(isinstance(answer, Size) for answer in found.values()):
        yield Line("")
        yield _table(found)


def _target_of(name: str, config: ClientConfig) -> str:
    entry = entry_for(name, config.tables)
    if entry is None:
        return "not configured"
    return printable(entry.named(name).table_name if entry.name != name else entry.table_name)


def _plain(answer: Size | str) -> dict[str, Any]:
    return {"error": answer} if isinstance(answer, str) else {**answer._asdict(), "key": list(answer.key)}


def _table(found: Found) -> TextTable:
    """Return descriptions as a table, with the reason in place of a missing one."""
    rows = []
    for name, answer in found.items():
        if isinstance(answer, str):
            about, key = "?", " ".join(answer.split())
        else:
            about, key = f"{answer.rows:,}", ", ".join(answer.key)
        rows.append((printable(name, 60), about, printable(key)))
    return TextTable(("name", "rows (about)", "key"), rows, frozenset({"rows (about)"}))
