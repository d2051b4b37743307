"""A whole Airflow for tests: its processes, its metadata in a PostgreSQL database, and questions to it over its API.

What one task does in the test's own process is for `airflow_runs.py`.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

import requests

from tests.database_server import free_port

T = TypeVar("T")

API_SERVER, SCHEDULER, DAG_PROCESSOR, TRIGGERER = "api-server", "scheduler", "dag-processor", "triggerer"
ENDED = ("success", "failed")
# A machine that is busy with other tests takes its time.
START_SECONDS = 240.0
STOP_SECONDS = 5.0


class AirflowStack:
    """An Airflow of its own: home, DAGs, metadata, and the processes that are started; a context manager.

    Tasks run under the LocalExecutor where ``environment`` does not say otherwise. Everybody who can reach the API is an
    administrator, and no token is asked for.

    :param home: a folder that does not exist yet
    :param metadata_url: of an empty PostgreSQL database
    :param environment: further settings of every process, such as ``AIRFLOW_CONN_…``
    :ivar dags: the folder of the DAG files
    :ivar api_url: where the API server answers, without a slash at the end
    """

    def __init__(self, home: Path, metadata_url: str, environment: Mapping[str, str] | None = None) -> None:
        self.home = home
        self.dags = home / "dags"
        self.dags.mkdir(parents=True)
        port = free_port()
        self.api_url = f"http://127.0.0.1:{port}"
        settings = {
            # Generated where it is missing, by each process another one.
            "CORE__FERNET_KEY": urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            "API__SECRET_KEY": secrets.token_hex(),
            "API_AUTH__JWT_SECRET": secrets.token_hex(32),
            "API__PORT": str(port),
            "API__HOST": "127.0.0.1",
            "API__BASE_URL": self.api_url,
            "CORE__DAGS_FOLDER": str(self.dags),
            "CORE__EXECUTION_API_SERVER_URL": f"{self.api_url}/execution/",
            "CORE__EXECUTOR": "LocalExecutor",
            "CORE__LOAD_EXAMPLES": "False",
            # Workers are forked at once, however few tasks there are.
            "CORE__PARALLELISM": "4",
            "CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "CORE__TEST_CONNECTION": "Enabled",
            "DAG_PROCESSOR__REFRESH_INTERVAL": "1",
            # A file that changed is parsed as soon as it is seen; others need not be again.
            "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "600",
            "DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "1",
            "DAG_PROCESSOR__PARSING_PROCESSES": "1",
            "DATABASE__SQL_ALCHEMY_CONN": metadata_url,
            "LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
            "LOGGING__USE_HISTORICAL_FILENAME_TEMPLATES": "False",
            "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
            "SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
            "WORKERS__EXECUTION_API_TIMEOUT": "60",
            "USAGE_DATA_COLLECTION__ENABLED": "False",
        }
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
        self.environment = {
            **kept,
            "AIRFLOW_HOME": str(home),
            # The warnings that tests turn into errors are theirs, not those of Airflow's processes.
            "PYTHONWARNINGS": "ignore",
            **{f"AIRFLOW__{name}": value for name, value in settings.items()},
            **(environment or {}),
        }
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._session = requests.Session()
        # A proxy of the environment has no way to the loopback address.
        self._session.trust_env = False

    def __enter__(self) -> Self:
        try:
            self.cli("db", "migrate")
            self.start(API_SERVER, SCHEDULER, DAG_PROCESSOR)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def start(self, *components: str) -> None:
        """Start what does not run yet and wait until all of it is healthy."""
        for name in components:
            if name not in self._processes:
                self._processes[name] = self._open(name)
        self.wait_until(lambda: self._healthy(components), f"{', '.join(components)} healthy", seconds=START_SECONDS)

    def stop(self, *components: str, kill: bool = False) -> None:
        """End components with everything that they started.

        :param kill: give them no time to end in order, as a crash does not
        """
        stopping = {name: self._processes.pop(name) for name in components if name in self._processes}
        for process in stopping.values():
            signal_session(process.pid, signal.SIGKILL if kill else signal.SIGTERM)
        for process in stopping.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOP_SECONDS)
        for process in stopping.values():
            # The scheduler leaves workers behind, and takes a minute where it has work.
            signal_session(process.pid, signal.SIGKILL)
            process.wait()

    def pid(self, component: str) -> int:
        """Return the process of a component that runs, from which all its others descend."""
        return self._processes[component].pid

    def close(self) -> None:
        """End everything; logs and files stay."""
        self.stop(*self._processes)
        self._session.close()

    def cli(self, *arguments: str, check: bool = True) -> str:
        """Run ``airflow ARGUMENTS`` and return what it wrote to stdout.

        :param check: whether a failure is an AssertionError that shows what it wrote
        """
        result = subprocess.run(
            [sys.executable, "-m", "airflow", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=START_SECONDS,
        )
        assert not check or result.returncode == 0, f"airflow {' '.join(arguments)}:\n{result.stdout}{result.stderr}"
        return result.stdout

    def api(self, method: str, path: str, body: Any = None) -> Any:
        """Call the public API and return the answer's JSON; an error is an AssertionError that shows it.

        :param path: below ``/api/v2``, with a slash at its start
        """
        answer = self._session.request(method, f"{self.api_url}/api/v2{path}", json=body, timeout=60)
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def set_connection(self, conn_id: str, **fields: Any) -> None:
        """Make or replace a connection in the metadata database.

        :param fields: as the API calls them: ``conn_type``, ``host``, ``login``, ``password``, ``schema``, ``port``, ``extra``
        """
        self._session.delete(f"{self.api_url}/api/v2/connections/{quote(conn_id)}", timeout=60)
        self.api("POST", "/connections", {"connection_id": conn_id, **fields})

    def add_dags(self, name: str, source: str | Path, *dag_ids: str, paused: bool = False) -> None:
        """Put a file into the DAGs folder and wait until Airflow knows its DAGs as they now stand.

        :param name: of the file
        :param source: its text, or a file to copy
        :param dag_ids: the DAGs that are in it
        :param paused: DAGs that are not paused run by themselves where they have a schedule
        """
        text = source.read_text() if isinstance(source, Path) else source
        # A half-written file would be parsed, too.
        part = self.home / f"{name}.part"
        part.write_text(text)
        shutil.move(part, self.dags / name)
        self.wait_until(
            lambda: all(self._source_of(dag_id) == text for dag_id in dag_ids),
            f"{name} parsed",
            why=self._import_errors,
        )
        for dag_id in dag_ids:
            self.api("PATCH", f"/dags/{dag_id}", {"is_paused": paused})

    def trigger(self, dag_id: str, *, conf: Mapping[str, Any] | None = None, logical_date: str | None = None) -> str:
        """Start a run and return its id; without a logical date it has none, as runs that a person starts."""
        return str(
            self.api("POST", f"/dags/{dag_id}/dagRuns", {"logical_date": logical_date, "conf": dict(conf or {})})["dag_run_id"]
        )

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """Return the runs of a DAG as the API has them, oldest first."""
        found: list[dict[str, Any]] = self.api("GET", f"/dags/{dag_id}/dagRuns?order_by=id&limit=1000")["dag_runs"]
        return found

    def wait_for_run(self, dag_id: str, run_id: str, *, seconds: float = 150.0) -> str:
        """Wait until a run has ended and return how: ``success`` or ``failed``."""
        path = f"/dags/{dag_id}/dagRuns/{quote(run_id)}"
        self.wait_until(
            lambda: self.api("GET", path)["state"] in ENDED,
            f"run {run_id} of {dag_id} ended",
            seconds=seconds,
            why=lambda: f"Tasks: {self.task_states(dag_id, run_id)}",
        )
        return str(self.api("GET", path)["state"])

    def run(self, dag_id: str, **options: Any) -> str:
        """Start a run, wait for its end, and return its id; a failed one is an AssertionError that shows the logs.

        :param options: of `trigger`
        """
        run_id = self.trigger(dag_id, **options)
        state = self.wait_for_run(dag_id, run_id)
        assert state == "success", "\n".join(self.log_of(dag_id, run_id, task) for task in self.task_states(dag_id, run_id))
        return run_id

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Return the task instances of a run as the API has them."""
        path = f"/dags/{dag_id}/dagRuns/{quote(run_id)}/taskInstances?limit=1000"
        found: list[dict[str, Any]] = self.api("GET", path)["task_instances"]
        return found

    def task_states(self, dag_id: str, run_id: str) -> dict[str, str | None]:
        """Return the state of each task; of a mapped one as ``task[0]``, ``task[1]`` and so on."""
        return {
            entry["task_id"] + (f"[{entry['map_index']}]" if entry["map_index"] >= 0 else ""): entry["state"]
            for entry in self.task_instances(dag_id, run_id)
        }

    def result_of(self, dag_id: str, run_id: str, task: str) -> Any:
        """Return what a task returned.

        :param task: as `task_states` names it
        """
        task_id, _, index = task.partition("[")
        path = f"/dags/{dag_id}/dagRuns/{quote(run_id)}/taskInstances/{task_id}/xcomEntries/return_value"
        return self.api("GET", f"{path}?map_index={int(index.rstrip(']') or -1) if index else -1}&deserialize=false")["value"]

    def log_of(self, dag_id: str, run_id: str, task: str, *, try_number: int | None = None) -> str:
        """Return what a task logged: a line ``level: message`` for each record, of all tries or one.

        :param task: as `task_states` names it
        """
        task_id, _, index = task.partition("[")
        folder = self.home / "logs" / f"dag_id={dag_id}" / f"run_id={run_id}" / f"task_id={task_id}"
        if index:
            folder /= f"map_index={index.rstrip(']')}"
        files = sorted(folder.glob(f"attempt={try_number or '*'}.log"))
        return "\n".join(readable(line) for file in files for line in file.read_text().splitlines())

    def wait_until(self, reached: Callable[[], T], what: str, *, seconds: float = 90.0, why: Callable[[], str] = lambda: "") -> T:
        """Ask until the answer is true and return it.

        A process that ends meanwhile, or the time, is an AssertionError with the ends of all logs.

        :param what: named in the message
        :param why: what the message says of the state that was reached
        """
        deadline = time.monotonic() + seconds
        while not (answer := reached()):
            ended = [name for name, process in self._processes.items() if process.poll() is not None]
            assert not ended, f"{', '.join(ended)} ended by itself.\n{self._logs()}"
            assert time.monotonic() < deadline, f"Not within {seconds:.0f} s: {what}. {why()}\n{self._logs()}"
            time.sleep(0.1)
        return answer

    def _open(self, component: str) -> subprocess.Popen[bytes]:
        options = [] if component in (API_SERVER, DAG_PROCESSOR) else ["--skip-serve-logs"]
        command = [sys.executable, "-m", "airflow", component, *options]
        return open_session(command, folder=self.home, environment=self.environment, log=self._log(component))

    def _healthy(self, components: tuple[str, ...]) -> bool:
        try:
            answer = self._session.get(f"{self.api_url}/api/v2/monitor/health", timeout=10)
        except requests.ConnectionError:
            return False
        found = answer.json() if answer.ok else {}
        return bool(found) and all(
            name == API_SERVER or found.get(name.replace("-", "_"), {}).get("status") == "healthy" for name in components
        )

    def _source_of(self, dag_id: str) -> str | None:
        """Return the text that a DAG was last parsed from; ``None`` when it is not known yet."""
        headers = {"Accept": "application/json"}
        answer = self._session.get(f"{self.api_url}/api/v2/dagSources/{dag_id}", headers=headers, timeout=60)
        return str(answer.json()["content"]) if answer.ok else None

    def _import_errors(self) -> str:
        return "\n".join(entry["stack_trace"] for entry in self.api("GET", "/importErrors")["import_errors"])

    def _log(self, component: str) -> Path:
        return self.home / f"{component}.log"

    def _logs(self) -> str:
        return "\n".join(
            f"--- {log.stem}\n"
            + "\n".join([line for line in log.read_text(errors="replace").splitlines() if "[info " not in line][-30:])
            for log in map(self._log, self._processes)
            if log.exists()
        )


def open_session(command: list[str], *, folder: Path, environment: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own, which holds all its children, and which ends with us."""
    if setpriv := shutil.which("setpriv"):
        # It ends even when we are killed.
        command = [setpriv, "--pdeathsig", "TERM", *command]
    with log.open("ab") as output:
        # Children that make process groups of their own stay in the session.
        return subprocess.Popen(
            command,
            env=dict(environment),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def signal_session(session: int, number: signal.Signals) -> None:
    """Send a signal to every process of a session."""
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(ProcessLookupError, PermissionError):
            if os.getsid(int(path.name)) == session:
                os.kill(int(path.name), number)


def readable(line: str) -> str:
    """Return a line of a task's log as ``level: message``."""
    try:
        record = json.loads(line)
    except json.JSONDecodeError:
        return line
    details = [f"{entry['exc_type']}: {entry['exc_value']}" for entry in record.get("error_detail", ())]
    return " / ".join([f"{record.get('level')}: {record.get('event')}", *details])
