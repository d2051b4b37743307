"""Database servers for the tests: found or started once per session, on demand, and always stopped.

Every engine hands out fresh databases with random names. `SYNC_TEST_MARIADB_URL`, `SYNC_TEST_MYSQL_URL` and
`SYNC_TEST_POSTGRESQL_URL` name running servers (an account that may create databases) to use instead of starting one.
How a real MySQL comes to a machine whose distribution has none is in `releases/mysql.py`, and how tests run on other releases
in `releases/run.py`.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import sqlalchemy

from tests.database_server import Server, ServerMissing, administrator
from tests.releases import mysql
from tests.releases.cache import CannotFetchError
from tests.releases.programs import postgresql_program, program

SQLITE, MARIADB, MYSQL, POSTGRESQL, DUCKDB = "sqlite", "mariadb", "mysql", "postgresql", "duckdb"
ENGINES = (SQLITE, MARIADB, MYSQL, POSTGRESQL, DUCKDB)


PASSWORD = "password-of-the-tests"
"""Long enough that :mod:`tests.no_secrets` finds it in what a test lets out."""

# MariaDB and MySQL see a client on 127.0.0.1 as localhost or not depending on their name resolution, so both exist.
_MYSQL_ACCOUNTS = "".join(
    f"CREATE USER IF NOT EXISTS 'sync'@'{host}' IDENTIFIED BY '{PASSWORD}';\n"
    f"GRANT ALL ON *.* TO 'sync'@'{host}' WITH GRANT OPTION;\n"
    for host in ("localhost", "%")
)


class MariaDBServer(Server):
    """The distribution's MariaDB, with LOAD DATA LOCAL allowed as it ships."""

    engine = MARIADB
    first_statements = _MYSQL_ACCOUNTS

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"mysql+{_mysql_driver()}://sync:{PASSWORD}@127.0.0.1:{self.port}/"

    def initialising(self) -> list[str]:
        """Return the command that makes the system tables."""
        install, server = program(MARIADB, "mariadb-install-db"), program(MARIADB, "mariadbd")
        if install is None or server is None:
            raise ServerMissing("mariadb is not installed (Debian: mariadb-server)")
        # Servers that share a folder for temporary tables delete each other's when they start.
        folders = [f"--datadir={self.data}", f"--tmpdir={self.directory}"]
        return [install, "--no-defaults", *folders, "--skip-test-db", "--auth-root-authentication-method=normal"]

    def command(self) -> list[str]:
        """Return settings as shipped, except that a power cut may cost data."""
        server = program(MARIADB, "mariadbd")
        if server is None:
            raise ServerMissing("mariadbd is not installed")
        return [
            server,
            "--no-defaults",
            f"--datadir={self.data}",
            f"--port={self.port}",
            "--bind-address=127.0.0.1",
            f"--socket={self.directory / 's.sock'}",
            f"--pid-file={self.directory / 's.pid'}",
            f"--init-file={self.init_file}",
            f"--tmpdir={self.directory}",
            "--character-set-server=utf8mb4",
            "--local-infile=1",
            "--innodb-flush-log-at-trx-commit=2",
        ]


class MySQLServer(Server):
    """A real MySQL as shipped: no SHA1, no LOAD DATA LOCAL, caching_sha2_password, binary log on."""

    engine = MYSQL
    first_statements = _MYSQL_ACCOUNTS
    unique = ("auto.cnf",)
    # Its data is thrown away, and to stop in order takes it seconds.
    stop_signal = signal.SIGKILL

    def __init__(self) -> None:
        super().__init__()
        self._installation: mysql.Installation | None = None

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"mysql+{_mysql_driver()}://sync:{PASSWORD}@127.0.0.1:{self.port}/"

    def initialising(self) -> list[str]:
        """Fetch MySQL if it is not there yet, and return the command that makes the system tables."""
        try:
            self._installation = mysql.install()
        except CannotFetchError as exc:
            raise ServerMissing(f"mysql: {exc}") from exc
        folders = [f"--datadir={self.data}", f"--tmpdir={self.directory}"]
        return [*self._installation.server_command(), *folders, "--initialize-insecure"]

    def command(self) -> list[str]:
        """Return settings as shipped, except that a power cut may cost data."""
        if self._installation is None:
            raise ServerMissing("mysql is not initialised")
        return [
            *self._installation.server_command(),
            f"--datadir={self.data}",
            f"--port={self.port}",
            "--bind-address=127.0.0.1",
            f"--socket={self.directory / 's.sock'}",
            f"--pid-file={self.directory / 's.pid'}",
            f"--init-file={self.init_file}",
            f"--tmpdir={self.directory}",
            "--mysqlx=OFF",
            # Debian's build expects a folder that only its installation makes.
            "--secure-file-priv=NULL",
            "--innodb-flush-log-at-trx-commit=2",
            "--sync-binlog=0",
        ]


class PostgreSQLServer(Server):
    """The distribution's PostgreSQL, newest version first."""

    engine = POSTGRESQL
    users = ("postgres", "nobody")
    # SIGTERM would wait for clients to leave.
    stop_signal = signal.SIGINT

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"postgresql://postgres:{PASSWORD}@127.0.0.1:{self.port}/postgres"

    def initialising(self) -> list[str]:
        """Return the command that makes a cluster, which trusts everyone on the loopback address."""
        options = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]
        return [self._program("initdb"), "-D", str(self.data), *options]

    def command(self) -> list[str]:
        """Return settings as shipped, except that a power cut may cost data."""
        listen = ["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]
        return [self._program("postgres"), "-D", str(self.data), "-p", str(self.port), "-k", str(self.directory), *listen]

    @staticmethod
    def _program(name: str) -> str:
        found = postgresql_program(name)
        if found is None:
            raise ServerMissing("postgresql is not installed (Debian: postgresql)")
        return found


class DatabaseServers:
    """All engines of one test session: started when first asked for, stopped by `stop`."""

    _kinds: tuple[type[Server], ...] = (MariaDBServer, MySQLServer, PostgreSQLServer)

    def __init__(self) -> None:
        self._urls: dict[str, str] = {}
        self._missing: dict[str, str] = {}
        self._started: list[Server] = []
        # By URL. They stay open: a new connection takes longer than to make and drop a database.
        self._administrators: dict[str, sqlalchemy.Engine] = {}

    def url(self, engine: str) -> str:
        """Return the administrator's URL of an engine's server, starting it if need be.

        :param engine: one of ENGINES that has a server
        :raises ServerMissing: when there is none; asked again, it says the same without trying again
        """
        if engine in self._missing:
            raise ServerMissing(self._missing[engine])
        if engine not in self._urls:
            try:
                self._urls[engine] = self._find(engine)
            except ServerMissing as exc:
                self._missing[engine] = str(exc)
                raise
        return self._urls[engine]

    @contextlib.contextmanager
    def database(self, engine: str, directory: Path) -> Iterator[str]:
        """Make an empty database with a random name and yield its SQLAlchemy URL; it is dropped at the end.

        :param engine: one of ENGINES
        :param directory: where SQLite and DuckDB put their files
        """
        name = f"sync_test_{secrets.token_hex(6)}"
        if engine == SQLITE:
            yield f"sqlite:///{directory / name}.db"
            return
        if engine == DUCKDB:
            if find_spec("duckdb") is None:
                raise ServerMissing("duckdb: no driver (extra 'duckdb')")
            yield f"duckdb:///{directory / name}.duckdb"
            return
        url = self.url(engine)
        with self._administer(url) as connection:
            if engine == POSTGRESQL:
                create = f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'{self._text_order(connection)}"
                drop = f"DROP DATABASE {name} WITH (FORCE)"
            else:
                create = f"CREATE DATABASE {name} CHARACTER SET utf8mb4"
                drop = f"DROP DATABASE {name}"
            connection.exec_driver_sql(create)
        try:
            yield sqlalchemy.make_url(url).set(database=name).render_as_string(hide_password=False)
        finally:
            with self._administer(url) as connection:
                connection.exec_driver_sql(drop)

    def _administer(self, url: str) -> sqlalchemy.Connection:
        # What a test did to all sessions of a server may have ended ours.
        if url not in self._administrators:
            self._administrators[url] = administrator(url, pool_pre_ping=True)
        return self._administrators[url].connect()

    @staticmethod
    def _text_order(connection: sqlalchemy.Connection) -> str:
        """Return a natural language's order, as installations have: tests on byte order alone would hide mistakes.

        Before PostgreSQL 15 a database takes its order from the system, which may have none.
        """
        version = connection.dialect.server_version_info or (0,)
        return " LOCALE_PROVIDER icu ICU_LOCALE 'en-US'" if version >= (15,) else ""

    @classmethod
    def new_server(cls, engine: str) -> Server:
        """Return a server of an engine that is not started yet, and that the caller stops."""
        return next(kind for kind in cls._kinds if kind.engine == engine)()

    def stop(self) -> None:
        """Stop what was started; servers named by the environment go on."""
        while self._administrators:
            self._administrators.popitem()[1].dispose()
        while self._started:
            self._started.pop().stop()
        self._urls.clear()

    def _find(self, engine: str) -> str:
        return os.environ.get(f"SYNC_TEST_{engine.upper()}_URL") or self._start(engine)

    def _start(self, engine: str) -> str:
        if engine == POSTGRESQL and find_spec("psycopg") is None:
            raise ServerMissing("postgresql: no driver (extra 'postgres')")
        server = self.new_server(engine)
        self._started.append(server)
        server.start()
        return server.url


def _mysql_driver() -> str:
    if find_spec("MySQLdb") is not None:
        return "mysqldb"
    if find_spec("pymysql") is not None:
        return "pymysql"
    raise ServerMissing("no driver for MySQL and MariaDB (extra 'mysql')")
