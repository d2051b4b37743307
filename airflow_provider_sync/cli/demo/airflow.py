"""Run the demo's DAG in an Airflow of its own, in a temporary home, as ``airflow dags test`` does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from airflow_provider_sync.cli.demo.demo_failures import DemoFailed

DAG_ID = "sync_demo"
DAGS = Path(__file__).with_name("dags")


class DemoAirflow:
    """An Airflow with nothing in it but the demo's DAG and its connections; a context manager.

    :param home: a folder for its metadata and logs
    :param server_url: where the source answers
    :param target_database: SQLite file to keep in step
    :param target_directory: folder to keep in step
    """

    def __init__(self, home: Path, *, server_url: str, target_database: Path, target_directory: Path) -> None:
        self._reports = home / "reports.json"
        self._log = home / "airflow.log"
        environment = {
            **os.environ,
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
            "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
            "AIRFLOW_CONN_SYNC_DEFAULT": json.dumps({"conn_type": "sync", "host": server_url}),
            "AIRFLOW_CONN_SYNC_DEMO_TARGET": json.dumps({"conn_type": "sqlite", "host": str(target_database)}),
            "AIRFLOW_VAR_SYNC_DEMO_DIRECTORY": str(target_directory),
            "AIRFLOW_VAR_SYNC_DEMO_REPORTS": str(self._reports),
        }
        home.mkdir()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "airflow_provider_sync.cli.demo.commands"],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(error, KeyboardInterrupt):
            # Otherwise it would first finish its running command.
            self._process.terminate()
        with suppress(BrokenPipeError):
            self._process.__exit__(kind, error, trace)
        self._process.wait()

    def prepare(self) -> None:
        """Create the metadata database."""
        self._airflow("db", "migrate")

    def run_dag(self) -> list[dict[str, Any]]:
        """Run the DAG once and return the reports of its tasks; a skipped task has none.

        :raises DemoFailed: when the run failed
        """
        self._reports.unlink(missing_ok=True)
        self._airflow("dags", "test", DAG_ID)
        if not self._reports.exists():
            raise self.failure(f"'airflow dags test {DAG_ID}', which ended without reports")
        reports: list[dict[str, Any]] = json.loads(self._reports.read_text(encoding="utf-8"))
        return reports

    def failure(self, what: str) -> DemoFailed:
        """Return the error for a failed step, with the cause that the log shows."""
        return DemoFailed(what, self._log)

    def _airflow(self, *arguments: str) -> None:
        what = f"'airflow {' '.join(arguments)}'"
        if self._process.stdin is None or self._process.stdout is None:
            raise self.failure(what)
        # The process may have ended while importing Airflow; then it does not answer either.
        with suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(arguments) + "\n")
            self._process.stdin.flush()
        if self._process.stdout.readline().strip() != "0":
            raise self.failure(what)
