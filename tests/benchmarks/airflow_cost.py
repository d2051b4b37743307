"""What the provider costs an Airflow process before it syncs anything: imports, and parsing a DAG file.

CPU seconds, the least of several processes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.result import Section, limited
from tests.database_servers import DatabaseServers

MODULES = {
    "operators.table_sync": 0.3,
    "operators.file_sync": 0.3,
    "sensors.table_changed": 0.3,
    "sensors.files_changed": 0.3,
    "cli.airflow_group": 0.05,
}
_IMPORT = """
import sys, time, airflow.sdk
from importlib import import_module
start = time.process_time()
import_module(sys.argv[1])
print(time.process_time() - start)
"""
_PARSE = """
import sys, time, airflow.sdk
from airflow.providers.common.compat.sdk import DAG, BaseOperator
start = time.process_time()
with DAG("many", schedule=None):
    if sys.argv[1] == "100":
        from airflow_provider_sync.operators.table_sync import TableSyncOperator
        for number in range(100):
            TableSyncOperator(task_id=f"t{number}", tables="orders", target_conn_id="target")
print(time.process_time() - start)
"""


PARSE_TARGET = 2.0


def airflow_cost(_servers: DatabaseServers, _folder: Path, _scale: float, rounds: int) -> Section:
    """Measure each module, and a file with 100 operators less the same without."""
    lines = [
        limited(f"import {module}", _cpu_seconds(_IMPORT, f"airflow_provider_sync.{module}", rounds), "s", target)
        for module, target in MODULES.items()
    ]
    parsing = _cpu_seconds(_PARSE, "100", rounds) - _cpu_seconds(_PARSE, "0", rounds)
    lines.append(limited("parse 100 sync operators", parsing, "s", PARSE_TARGET))
    return Section(f"in an Airflow process, CPU, least of {rounds}, over one that imported airflow.sdk", lines)


def _cpu_seconds(program: str, argument: str, rounds: int) -> float:
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "AIRFLOW_HOME": home}
        command = [sys.executable, "-W", "ignore", "-c", program, argument]
        return min(
            float(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()[-1])
            for _ in range(rounds)
        )
