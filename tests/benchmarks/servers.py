"""Database servers to measure on: never those that the tests use, and with buffers that hold what is measured."""

from __future__ import annotations

from tests.database_servers import DatabaseServers, MariaDBServer, PostgreSQLServer


class _MariaDB(MariaDBServer):
    def command(self) -> list[str]:
        return [*super().command(), "--innodb-buffer-pool-size=1G"]


class _PostgreSQL(PostgreSQLServer):
    def command(self) -> list[str]:
        return [*super().command(), "-c", "shared_buffers=1GB"]


class _MariaDBOnDisk(_MariaDB):
    @staticmethod
    def parent() -> str | None:
        return None


class BenchmarkServers(DatabaseServers):
    """Servers whose settings are known: those that the environment names are left alone.

    Both sides of a comparison run on the same ones, so that durability, caches and indexes are the same for both.
    """

    _kinds = (_MariaDB, _PostgreSQL)

    def _find(self, engine: str) -> str:
        return self._start(engine)


class ServersOnDisk(BenchmarkServers):
    """Servers for more rows than a folder in memory may hold."""

    _kinds = (_MariaDBOnDisk,)
