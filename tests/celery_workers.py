"""Celery's workers for a whole Airflow of the tests, each with a home of its own, and the Redis server that they hear from."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from tests.airflow_stack import START_SECONDS, AirflowStack, open_session, readable, signal_session
from tests.database_server import free_port

# What a worker is told of the Airflow that it belongs to; everything else it has of its own. There is no metadata database in it.
SHARED = (
    "AIRFLOW__CORE__EXECUTION_API_SERVER_URL",
    "AIRFLOW__CORE__LOAD_EXAMPLES",
    "AIRFLOW__LOGGING__USE_HISTORICAL_FILENAME_TEMPLATES",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT",
    "AIRFLOW__SYNC__HISTORY",
    "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT",
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL",
)


def missing() -> str:
    """Say what is not installed; nothing when all is."""
    absent = [name for name in ("airflow.providers.celery", "redis") if find_spec(name) is None]
    return ", ".join(absent + [name for name in ("redis-server",) if shutil.which(name) is None])


class CeleryStack(NamedTuple):
    """A whole Airflow under the CeleryExecutor with two workers that share no disk: ``left`` is where the target is near.

    :ivar left: serves the queues ``warehouse`` and ``downloads``
    :ivar right: serves the queue ``downloads``
    """

    airflow: AirflowStack
    left: CeleryWorker
    right: CeleryWorker

    def add_dags(self, name: str, source: str | Path, *dag_ids: str) -> None:
        """Put a file into everybody's DAGs folder, and wait until Airflow knows its DAGs."""
        text = source.read_text() if isinstance(source, Path) else source
        for worker in (self.left, self.right):
            (worker.dags / name).write_text(text)
        self.airflow.add_dags(name, text, *dag_ids)


@contextmanager
def celery_stack(folder: Path, metadata_url: str) -> Iterator[CeleryStack]:
    """Start Redis, Airflow and the workers, and end them.

    :param metadata_url: of an empty PostgreSQL database; the history of syncs is kept there, too
    """
    with Redis(folder) as redis, ExitStack() as started:
        settings = {
            "CORE__EXECUTOR": "CeleryExecutor",
            "CELERY__BROKER_URL": redis.url,
            "CELERY__RESULT_BACKEND": redis.url,
            # How long a worker may be silent until its task is tried elsewhere.
            "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
            "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "1",
            "WORKERS__MIN_HEARTBEAT_INTERVAL": "2",
            "SYNC__HISTORY": metadata_url,
        }
        airflow = AirflowStack(folder / "home", metadata_url, {f"AIRFLOW__{name}": value for name, value in settings.items()})
        left = CeleryWorker(folder / "left", redis.url, airflow.environment, ("warehouse", "downloads"))
        right = CeleryWorker(folder / "right", redis.url, airflow.environment, ("downloads",))
        for worker in (left, right):
            started.callback(worker.kill)
            worker.start()
        started.enter_context(airflow)
        for worker in (left, right):
            worker.wait()
        yield CeleryStack(airflow, left, right)


class Redis:
    """A Redis server in a folder; a context manager.

    :ivar url: of its first database
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self.url = f"redis://127.0.0.1:{self._port}/0"

    def __enter__(self) -> Self:
        command = ["redis-server", "--bind", "127.0.0.1", "--port", str(self._port), "--save", "", "--appendonly", "no"]
        log = self._folder / "redis.log"
        self._process = open_session(command, folder=self._folder, environment={}, log=log)
        _wait_for(lambda: "Ready to accept connections" in log.read_text(), self._process, log)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        _kill(self._process)


class CeleryWorker:
    """A worker with folders of its own for its home, its DAGs, its logs and its temporary files.

    :param folder: does not exist yet; its name is the worker's
    :param broker: URL of Redis
    :param environment: of the Airflow that it belongs to, of which it takes what is in ``SHARED``
    :param queues: that it serves
    """

    def __init__(self, folder: Path, broker: str, environment: Mapping[str, str], queues: tuple[str, ...]) -> None:
        self.home = folder
        self.dags = folder / "dags"
        for name in ("dags", "logs", "tmp"):
            (folder / name).mkdir(parents=True)
        settings = {
            "CORE__EXECUTOR": "CeleryExecutor",
            "CORE__DAGS_FOLDER": str(self.dags),
            "CELERY__BROKER_URL": broker,
            "CELERY__RESULT_BACKEND": broker,
            "LOGGING__BASE_LOG_FOLDER": str(folder / "logs"),
        }
        own = {"AIRFLOW_HOME": str(folder), "HOME": str(folder), "TMPDIR": str(folder / "tmp"), "PYTHONWARNINGS": "ignore"}
        self._environment = {
            **{name: value for name, value in environment.items() if not name.startswith("AIRFLOW") or name in SHARED},
            **own,
            **{f"AIRFLOW__{name}": value for name, value in settings.items()},
        }
        self._command = [
            *(sys.executable, "-m", "airflow", "celery", "worker", "--celery-hostname", folder.name),
            *("--queues", ",".join(queues), "--concurrency", "1", "--skip-serve-logs", "--without-gossip", "--without-mingle"),
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; ``wait`` waits until it takes tasks."""
        log = self.home / "worker.log"
        self._process = open_session(self._command, folder=self.home, environment=self._environment, log=log)

    def wait(self) -> None:
        """Wait until it takes tasks."""
        assert self._process is not None
        log = self.home / "worker.log"
        _wait_for(lambda: f"{self.home.name} ready" in log.read_text(), self._process, log)

    def kill(self) -> None:
        """End it and its tasks at once, as when a machine loses power."""
        if self._process is not None:
            _kill(self._process)
            self._process = None

    def ran(self, dag_id: str, run_id: str) -> dict[str, str]:
        """Return what each try that ran here logged.

        :return: by the name of its task, as ``group.task`` or ``group.task[0]``, with ``#2`` behind it for the second try
        """
        found = {}
        for log in (self.home / "logs" / f"dag_id={dag_id}" / f"run_id={run_id}").rglob("attempt=*.log"):
            names = dict(part.split("=", 1) for part in log.relative_to(self.home / "logs").with_suffix("").parts)
            index = f"[{names['map_index']}]" if "map_index" in names else ""
            attempt = "" if names["attempt"] == "1" else f"#{names['attempt']}"
            found[f"{names['task_id']}{index}{attempt}"] = "\n".join(readable(line) for line in log.read_text().splitlines())
        return found


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a process with everything that it started."""
    signal_session(process.pid, signal.SIGKILL)
    process.wait()


def _wait_for(reached: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not reached():
        assert process.poll() is None, f"Ended by itself: {log.read_text()}"
        assert time.monotonic() < deadline, f"Not ready: {log.read_text()}"
        time.sleep(0.1)
