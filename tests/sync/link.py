"""Two databases, the server half before one of them, the client half before the other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import ServerConfig, table_from_options
from airflow_provider_sync.databases.schema import Row
from airflow_provider_sync.report import TableReport
from airflow_provider_sync.server.process.uvicorn_server import RunningServer
from airflow_provider_sync.sync import sync_tables
from tests.scenario import Scenario, opened


class Link:
    """A source and a target.

    :ivar protocol: version that the client takes
    :ivar offered: options of the tables that the server offers; every table asked for is offered
    """

    def __init__(self, source: Scenario, target: Scenario, source_url: str) -> None:
        self.source = source
        self.target = target
        self.source_url = source_url
        self.protocol = "1"
        self.offered: dict[str, dict[str, Any]] = {}

    def create(self, *statements: str) -> None:
        """Run statements on both sides."""
        self.source.execute(*statements)
        self.target.execute(*statements)

    @contextmanager
    def client(self, *names: str) -> Iterator[SyncClient]:
        """Serve the tables and give a client for them."""
        tables = {name: self.offered.get(name, {}) for name in names} | self.offered
        config = ServerConfig.from_dict({"connections": {"source": self.source_url}, "tables": tables})
        with RunningServer(config) as server, SyncClient(server.url, retries=0, protocol=self.protocol) as client:
            yield client

    def sync(self, *names: str, options: dict[str, dict[str, Any]] | None = None, **arguments: Any) -> list[TableReport]:
        """Sync tables.

        :param options: of tables, by name
        :param arguments: of :func:`sync_tables`
        """
        tables = [table_from_options(name, (options or {}).get(name)) for name in names]
        with self.client(*names) as client:
            return sync_tables(client, tables, self.target.database, **arguments)

    def sync_one(self, name: str, options: dict[str, Any] | None = None, **arguments: Any) -> TableReport:
        """Sync one table and return its report."""
        return self.sync(name, options={name: options or {}}, **arguments)[0]

    def assert_equal(self, name: str, target_name: str | None = None) -> None:
        """Check that both sides hold the same rows, and that nothing else is left in the target."""
        arrived, expected = self.target.rows(target_name or name), self.source.rows(name)
        if arrived != expected:
            assert numbers(arrived) == numbers(expected)
        self.assert_clean()

    def assert_clean(self) -> None:
        """Check that no staging table is left."""
        assert not [name for name in self.target.names() if name.startswith("_sync")]


@contextmanager
def linked(source_url: str, target_url: str) -> Iterator[Link]:
    """Open both databases."""
    with opened(source_url) as source, opened(target_url) as target:
        yield Link(source, target, source_url)


def numbers(rows: list[Row]) -> list[Row | tuple[object, ...]]:
    """Replace decimals by numbers, since SQLite keeps none: ``'1.10'`` and ``1.1`` are equal."""
    return sorted((tuple(map(_number, row)) for row in rows), key=repr)


def _number(value: object) -> object:
    if isinstance(value, float) or (isinstance(value, str) and re.fullmatch(r"-?\d+\.\d+", value)):
        return Decimal(str(value)).normalize()
    return Decimal(value) if isinstance(value, int) else value
