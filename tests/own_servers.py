"""Database servers of one test module, which it may stop or kill without harm to others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from secrets import token_hex
from typing import Self

import pytest
from sqlalchemy import make_url

from tests.database_server import Server, ServerMissing, administer
from tests.database_servers import DatabaseServers


class OwnServers:
    """Servers by engine, started when first asked for, stopped at the end of the block."""

    def __init__(self) -> None:
        self._servers: dict[str, Server] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def server(self, engine: str) -> Server:
        """Give the server of an engine, or skip the test."""
        if engine not in self._servers:
            server = DatabaseServers.new_server(engine)
            self._stack.callback(server.stop)
            try:
                server.start()
            except ServerMissing as missing:
                pytest.skip(str(missing))
            self._servers[engine] = server
        return self._servers[engine]

    @contextmanager
    def database(self, engine: str, driver: str | None = None) -> Iterator[str]:
        """Give the URL of a new database, which ends with its server.

        :param driver: as SQLAlchemy calls it; the best one by default
        """
        server, name = self.server(engine), f"own_{token_hex(6)}"
        with administer(server.url) as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        url = make_url(server.url).set(database=name)
        if driver is not None:
            url = url.set(drivername=f"{url.get_backend_name()}+{driver}")
        yield url.render_as_string(hide_password=False)
