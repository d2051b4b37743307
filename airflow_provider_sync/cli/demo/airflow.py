"""Run the demo's DAG in an Airflow of its own, in a temporary home, as ``airflow dags test`` does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from airflow_provider_sync.exceptions import SyncError

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
        self._process.__exit__(kind, error, trace)

    def prepare(self) -> None:
        """Make the metadata database."""
        self._airflow("db", "migrate")

    def run_dag(self) -> list[dict[str, Any]]:
        """Run the DAG once and return the reports of its tasks; a skipped task has none.

        :raises SyncError: with the end of Airflow's log when the run failed
        """
        self._reports.unlink(missing_ok=True)
        self._airflow("dags", "test", DAG_ID)
        if not self._reports.exists():
            raise SyncError(f"The demo's DAG ended without its reports:\n{self._end_of_log()}")
        reports: list[dict[str, Any]] = json.loads(self._reports.read_text(encoding="utf-8"))
        return reports

    def ended(self) -> str:
        """Tell what the log last said of an error, for a run that did not do what it should."""
        errors = [line for line in self._end_of_log().splitlines() if "Error" in line or "Exception" in line]
        return f"The log says: {errors[-1].strip()}" if errors else "This is a bug; please report it."

    def _airflow(self, *arguments: str) -> None:
        if self._process.stdin is None or self._process.stdout is None:
            raise SyncError("The demo's Airflow was not started.")
        self._process.stdin.write(json.dumps(arguments) + "\n")
        self._process.stdin.flush()
        if self._process.stdout.readline().strip() != "0":
            raise SyncError(f"'airflow {' '.join(arguments)}' failed:\n{self._end_of_log()}")

    def _end_of_log(self) -> str:
        return "\n".join(self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-40:])
