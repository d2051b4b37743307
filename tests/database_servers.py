"""Database servers for the tests: found or started once per session, on demand, and always stopped.

Every engine hands out fresh databases with random names. `SYNC_TEST_MARIADB_URL`, `SYNC_TEST_MYSQL_URL` and
`SYNC_TEST_POSTGRESQL_URL` name running servers (an account that may create databases) to use instead of starting one.
How a real MySQL comes to a machine whose distribution has none is in `releases/mysql.py`, and how tests run on other releases
in `releases/run.py`.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import sqlalchemy
from sqlalchemy.pool import NullPool

from tests.releases import mysql
from tests.releases.cache import CannotFetchError
from tests.releases.programs import postgresql_program, program

SQLITE, MARIADB, MYSQL, POSTGRESQL, DUCKDB = "sqlite", "mariadb", "mysql", "postgresql", "duckdb"
ENGINES = (SQLITE, MARIADB, MYSQL, POSTGRESQL, DUCKDB)

_START_SECONDS = 90.0
_STOP_SECONDS = 30.0
_PORT_TRIES = 3
_RESTART_TRIES = 20
_ROOM_BYTES = 4 * 1024**3

# MariaDB and MySQL see a client on 127.0.0.1 as localhost or not depending on their name resolution, so both exist.
_MYSQL_ACCOUNTS = "".join(
    f"CREATE USER IF NOT EXISTS 'sync'@'{host}' IDENTIFIED BY 'sync';\nGRANT ALL ON *.* TO 'sync'@'{host}' WITH GRANT OPTION;\n"
    for host in ("localhost", "%")
)


class ServerMissing(Exception):
    """No server of this engine can be had here; the message says why."""


class Server(ABC):
    """One database server process in a temporary directory of its own, on a free port of the loopback address."""

    engine: str
    stop_signal = signal.SIGTERM
    users: tuple[str, ...] = ("mysql", "nobody")

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="sync-db-", dir=self.parent()))
        # The server's own user has to pass through, and mkdtemp keeps everybody else out.
        self.directory.chmod(0o755)
        self.data = self.directory / "data"
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._log = self.directory / "server.log"

    @property
    @abstractmethod
    def url(self) -> str:
        """SQLAlchemy URL of an account that may create databases."""

    @abstractmethod
    def initialise(self) -> None:
        """Make the data directory, or raise ServerMissing."""

    @abstractmethod
    def command(self) -> list[str]:
        """Return the server's command line for the present port."""

    @staticmethod
    def parent() -> str | None:
        """Return the folder to put the server's own into: in memory when that has room, else the system's temporary one."""
        return _folder_in_memory()

    def start(self) -> None:
        """Make a data directory, start the server and wait until it answers; raises ServerMissing when it does not."""
        self.data.mkdir()
        user = self.user()
        if user is not None:
            shutil.chown(self.directory, user.pw_uid, user.pw_gid)
            shutil.chown(self.data, user.pw_uid, user.pw_gid)
        self.initialise()
        for attempt in range(1, _PORT_TRIES + 1):
            self.port = _free_port()
            if self._launched():
                return
            if attempt == _PORT_TRIES or self._process is None or self._process.poll() is None:
                raise ServerMissing(f"{self.engine} did not start: {_tail(self._log)}")

    def kill(self) -> None:
        """End the process at once, as a power cut would; any process of the test may do so."""
        if self._process is not None:
            os.kill(self._process.pid, signal.SIGKILL)

    def restart(self) -> None:
        """Start the server again, on the same port and data, after it was killed or when it still runs."""
        for _ in range(_RESTART_TRIES):
            if self._process is not None and self._process.poll() is None:
                self._process.kill()
                self._process.wait()
            # The processes of a killed PostgreSQL take a moment to notice.
            if self._launched():
                return
            time.sleep(0.2)
        raise ServerMissing(f"{self.engine} did not start again: {_tail(self._log)}")

    def _launched(self) -> bool:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self.as_user(self.command(), lives_with_us=True),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.directory,
                # Ctrl-C in the terminal is for pytest, which then stops the server in order.
                start_new_session=True,
            )
        return self._answers()

    def stop(self) -> None:
        """End the process, by force when it does not end by itself, and remove its directory."""
        process = self._process
        if process is not None and process.poll() is None:
            process.send_signal(self.stop_signal)
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    def user(self) -> pwd.struct_passwd | None:
        """Return the account to run as: none unless we are root, which database servers refuse to run as."""
        if os.geteuid() != 0:
            return None
        for name in self.users:
            with contextlib.suppress(KeyError):
                return pwd.getpwnam(name)
        raise ServerMissing(f"{self.engine} does not run as root and none of the users {', '.join(self.users)} exists")

    def as_user(self, command: list[str], *, lives_with_us: bool = False) -> list[str]:
        """Wrap a command so that it runs as `user()`, and with `lives_with_us` ends even when we are killed."""
        setpriv = shutil.which("setpriv")
        user = self.user()
        if setpriv is None:
            if user is not None:
                raise ServerMissing(f"{self.engine} does not run as root and setpriv (util-linux) is not installed")
            return command
        wrapped = [setpriv]
        if user is not None:
            wrapped += [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
        if lives_with_us:
            wrapped += ["--pdeathsig", self.stop_signal.name.removeprefix("SIG")]
        return [*wrapped, *command] if len(wrapped) > 1 else command

    def run(self, command: list[str]) -> None:
        """Run a preparing command as the server's user; raises ServerMissing with the end of its output."""
        result = subprocess.run(
            self.as_user(command), cwd=self.directory, stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
        if result.returncode != 0:
            output = (result.stdout + result.stderr).decode(errors="replace").strip()
            raise ServerMissing(f"{self.engine}: {Path(command[0]).name} failed with {result.returncode}: {output[-2000:]}")

    def _answers(self) -> bool:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                return False
            try:
                with _administer(self.url):
                    return True
            except sqlalchemy.exc.OperationalError:
                time.sleep(0.05)
        return False


class MariaDBServer(Server):
    """The distribution's MariaDB, with LOAD DATA LOCAL allowed as it ships."""

    engine = MARIADB

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"mysql+{_mysql_driver()}://sync:sync@127.0.0.1:{self.port}/"

    def initialise(self) -> None:
        """Fill the data directory with the system tables."""
        install, server = program(MARIADB, "mariadb-install-db"), program(MARIADB, "mariadbd")
        if install is None or server is None:
            raise ServerMissing("mariadb is not installed (Debian: mariadb-server)")
        # Servers that share a folder for temporary tables delete each other's when they start.
        folders = [f"--datadir={self.data}", f"--tmpdir={self.directory}"]
        self.run([install, "--no-defaults", *folders, "--skip-test-db", "--auth-root-authentication-method=normal"])
        (self.directory / "accounts.sql").write_text(_MYSQL_ACCOUNTS)

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
            f"--init-file={self.directory / 'accounts.sql'}",
            f"--tmpdir={self.directory}",
            "--character-set-server=utf8mb4",
            "--local-infile=1",
            "--innodb-flush-log-at-trx-commit=2",
        ]


class MySQLServer(Server):
    """A real MySQL as shipped: no SHA1, no LOAD DATA LOCAL, caching_sha2_password, binary log on."""

    engine = MYSQL

    def __init__(self) -> None:
        super().__init__()
        self._installation: mysql.Installation | None = None

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"mysql+{_mysql_driver()}://sync:sync@127.0.0.1:{self.port}/"

    def initialise(self) -> None:
        """Fetch MySQL if it is not there yet and fill the data directory."""
        try:
            self._installation = mysql.install()
        except CannotFetchError as exc:
            raise ServerMissing(f"mysql: {exc}") from exc
        self.run([*self._installation.server_command(), f"--datadir={self.data}", "--initialize-insecure"])
        (self.directory / "accounts.sql").write_text(_MYSQL_ACCOUNTS)

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
            f"--init-file={self.directory / 'accounts.sql'}",
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
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def initialise(self) -> None:
        """Make a cluster that trusts everyone on the loopback address."""
        options = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]
        self.run([self._program("initdb"), "-D", str(self.data), *options])

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
        if engine == POSTGRESQL:
            create = f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'{self._text_order(url)}"
            drop = f"DROP DATABASE {name} WITH (FORCE)"
        else:
            create = f"CREATE DATABASE {name} CHARACTER SET utf8mb4"
            drop = f"DROP DATABASE {name}"
        with _administer(url) as connection:
            connection.exec_driver_sql(create)
        try:
            yield sqlalchemy.make_url(url).set(database=name).render_as_string(hide_password=False)
        finally:
            with _administer(url) as connection:
                connection.exec_driver_sql(drop)

    @staticmethod
    def _text_order(url: str) -> str:
        """Return a natural language's order, as installations have: tests on byte order alone would hide mistakes.

        Before PostgreSQL 15 a database takes its order from the system, which may have none.
        """
        with _administer(url) as connection:
            version = connection.exec_driver_sql("SHOW server_version_num").scalar_one()
        return " LOCALE_PROVIDER icu ICU_LOCALE 'en-US'" if int(version) >= 150000 else ""

    @classmethod
    def new_server(cls, engine: str) -> Server:
        """Return a server of an engine that is not started yet, and that the caller stops."""
        return next(kind for kind in cls._kinds if kind.engine == engine)()

    def stop(self) -> None:
        """Stop what was started; servers named by the environment go on."""
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


@contextlib.contextmanager
def _administer(url: str) -> Iterator[sqlalchemy.Connection]:
    """Connect for one statement at a time, each its own transaction."""
    parsed = sqlalchemy.make_url(url)
    if parsed.drivername == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
    engine = sqlalchemy.create_engine(parsed, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield connection


def _mysql_driver() -> str:
    if find_spec("MySQLdb") is not None:
        return "mysqldb"
    if find_spec("pymysql") is not None:
        return "pymysql"
    raise ServerMissing("no driver for MySQL and MariaDB (extra 'mysql')")


def _folder_in_memory() -> str | None:
    """Return a folder in memory when it has room: thousands of databases come and go, ten times as fast as on a disk."""
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free >= _ROOM_BYTES
    return str(memory) if roomy else None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _tail(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    errors = [line for line in lines if "ERROR" in line or "FATAL" in line]
    return " / ".join((errors or lines)[-3:]) or "it wrote no log"
