"""A server and what a client keeps in step with it, as two users would set them up: two files of YAML."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import yaml

CREATE = "CREATE TABLE {name} (id INTEGER PRIMARY KEY, name TEXT NOT NULL)"


class Site:
    """Two tables and a directory on either side, in one folder.

    :ivar config: path of the client's configuration
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.source, self.target = folder / "source.db", folder / "target.db"
        self.config = folder / "client.yaml"
        for name in ("orders", "customers"):
            execute(self.source, CREATE.format(name=name), f"INSERT INTO {name} VALUES (1, 'one'), (2, 'zwei'), (3, '三')")
            execute(self.target, CREATE.format(name=name))
        (folder / "images").mkdir()
        (folder / "images" / "a.png").write_text("image")
        self.server_config = folder / "server.yaml"
        self.server_config.write_text(yaml.safe_dump(self.server_settings, sort_keys=False), encoding="utf-8")

    @property
    def server_settings(self) -> dict[str, Any]:
        """What the server offers."""
        return {
            "connections": {"source": f"sqlite:///{self.source}"},
            "tables": {"orders": {}, "customers": {}},
            "directories": {"images": {"path": str(self.folder / "images")}},
        }

    def configure(self, url: str, **settings: Any) -> None:
        """Write the client's configuration.

        :param settings: instead of those that keep everything in step
        """
        default: dict[str, Any] = {
            "url": url,
            "retries": 0,
            "single_transaction": False,
            "connections": {"local": f"sqlite:///{self.target}"},
            "tables": {"orders": {}, "customers": {}},
            "directories": {"images": {"path": str(self.folder / "copies")}},
        }
        self.config.write_text(yaml.safe_dump({**default, **settings}, sort_keys=False), encoding="utf-8")

    def rows(self, name: str) -> list[tuple[object, ...]]:
        """Read a table of the target."""
        with closing(sqlite3.connect(self.target)) as connection:
            return connection.execute(f"SELECT * FROM {name} ORDER BY id").fetchall()

    def files(self) -> list[str]:
        """Name the files of the target."""
        copies = self.folder / "copies"
        return sorted(str(path.relative_to(copies)) for path in copies.rglob("*") if path.is_file())


def execute(database: Path, *statements: str) -> None:
    """Change a database."""
    with closing(sqlite3.connect(database)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def reports(output: str) -> dict[str, dict[str, Any]]:
    """Read the reports that a command printed, by name; there must be nothing else."""
    return {report["name"]: report for report in json.loads(output)}
