"""One database server of the tests: a process in a folder of its own."""

from __future__ import annotations

import contextlib
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy.pool import NullPool

from tests.releases.cache import cached

_START_SECONDS = 90.0
_STOP_SECONDS = 30.0
_PORT_TRIES = 3
_RESTART_TRIES = 20
_ROOM_BYTES = 4 * 1024**3


class ServerMissing(Exception):
    """No server of this engine can be had here; the message says why."""


class Server(ABC):
    """One database server process in a temporary directory of its own, on a free port of the loopback address."""

    engine: str
    first_statements = ""
    """What a server runs whenever it starts, if it takes an `init_file`."""
    unique: tuple[str, ...] = ()
    """Files of the data directory that no two servers may share; each makes its own."""
    stop_signal = signal.SIGTERM
    users: tuple[str, ...] = ("mysql", "nobody")

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="sync-db-", dir=self.parent()))
        # The server's own user has to pass through, and mkdtemp keeps everybody else out.
        self.directory.chmod(0o755)
        self.data = self.directory / "data"
        self.init_file = self.directory / "accounts.sql"
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._log = self.directory / "server.log"

    @property
    @abstractmethod
    def url(self) -> str:
        """SQLAlchemy URL of an account that may create databases."""

    @abstractmethod
    def initialising(self) -> list[str]:
        """Return the command that fills the empty data directory, or raise ServerMissing."""

    @abstractmethod
    def command(self) -> list[str]:
        """Return the server's command line for the present port."""

    @staticmethod
    def parent() -> str | None:
        """Return the folder to put the server's own into: in memory when that has room, else the system's temporary one."""
        return folder_in_memory()

    def start(self) -> None:
        """Make a data directory, start the server and wait until it answers; raises ServerMissing when it does not."""
        self.data.mkdir()
        user = self.user()
        if user is not None:
            shutil.chown(self.directory, user.pw_uid, user.pw_gid)
            shutil.chown(self.data, user.pw_uid, user.pw_gid)
        self._fill()
        if self.first_statements:
            self.init_file.write_text(self.first_statements)
        for attempt in range(1, _PORT_TRIES + 1):
            self.port = free_port()
            if self._launched():
                return
            if attempt == _PORT_TRIES or self._process is None or self._process.poll() is None:
                raise ServerMissing(f"{self.engine} did not start: {_tail(self._log)}")

    def _fill(self) -> None:
        """Fill the data directory with a copy of the cached one that the same command has made.

        To make one takes MySQL seconds of CPU, and a run of all tests starts some fifty servers.
        """
        command = self.initialising()

        def make(folder: Path) -> str:
            self.run(command)
            for name in self.unique:
                (self.data / name).unlink(missing_ok=True)
            _copy(self.data, folder / "data")
            return version

        # Without the names of this server's own folders.
        words = [word.replace(str(self.directory), "") for word in command]
        program = Path(command[0]).stat()
        version = blake2b(repr((words, program.st_mtime_ns, os.geteuid())).encode(), digest_size=8).hexdigest()
        made = cached(f"data-{self.engine}", version, make) / "data"
        if not any(self.data.iterdir()):
            self.data.rmdir()
            _copy(made, self.data)

    def kill(self) -> None:
        """End the process at once, as a power cut would; any process of the test may do so."""
        if self._process is not None:
            os.kill(self._process.pid, signal.SIGKILL)

    @contextlib.contextmanager
    def hanging(self) -> Iterator[None]:
        """Stop all its processes inside the block, as a machine that hangs does; the system still takes connections for them."""
        assert self._process is not None
        stopped: list[int] = []
        try:
            # The one that starts others first.
            os.kill(self._process.pid, signal.SIGSTOP)
            stopped = [self._process.pid, *_children(self._process.pid)]
            for process in stopped:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGSTOP)
            yield
        finally:
            for process in stopped:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGCONT)

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
                with administer(self.url):
                    return True
            except sqlalchemy.exc.OperationalError:
                time.sleep(0.05)
        return False


@contextlib.contextmanager
def administer(url: str) -> Iterator[sqlalchemy.Connection]:
    """Connect for one statement at a time, each its own transaction."""
    with administrator(url, poolclass=NullPool).connect() as connection:
        yield connection


def administrator(url: str, **options: Any) -> sqlalchemy.Engine:
    """Return an engine whose connections are for one statement at a time, each its own transaction.

    :param options: of SQLAlchemy's engine
    """
    parsed = sqlalchemy.make_url(url)
    if parsed.drivername == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
    return sqlalchemy.create_engine(parsed, isolation_level="AUTOCOMMIT", **options)


def folder_in_memory() -> str | None:
    """Return a folder in memory when it has room: thousands of databases come and go, ten times as fast as on a disk."""
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free >= _ROOM_BYTES
    return str(memory) if roomy else None


def free_port() -> int:
    """Return a port of the loopback address that nobody uses, below those that the system gives to clients until it is bound."""
    while True:
        port = random.SystemRandom().randrange(20000, 30000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def _children(parent: int) -> list[int]:
    """Return the processes that a process has started and that still run."""
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(parent)], capture_output=True, text=True, check=False).stdout
    return [int(line) for line in listed.split()]


def _copy(source: Path, target: Path) -> None:
    """Copy a folder with its owners and modes."""
    subprocess.run(["cp", "-a", source, target], check=True)


def _tail(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    errors = [line for line in lines if "ERROR" in line or "FATAL" in line]
    return " / ".join((errors or lines)[-3:]) or "it wrote no log"
