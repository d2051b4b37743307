"""``demo``: sync a real table and a real directory from a server on this machine by a DAG, change both, and sync again."""

from __future__ import annotations

import filecmp
import json
import os
import shlex
import sqlite3
import sys
import tempfile
import time
import traceback
from argparse import Namespace
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext, redirect_stdout
from pathlib import Path
from typing import Any

import msgspec
import yaml

from airflow_provider_sync.cli.airflow_presence import require_airflow
from airflow_provider_sync.cli.demo.airflow import DemoAirflow
from airflow_provider_sync.cli.demo.demo_failures import DemoFailed
from airflow_provider_sync.cli.demo.demo_source import DemoSource, create_table
from airflow_provider_sync.cli.run import parts_of
from airflow_provider_sync.cli.terminal.output import Line, Output
from airflow_provider_sync.config import ServerConfig
from airflow_provider_sync.config.json_schema import json_schema
from airflow_provider_sync.exceptions import ConfigurationError
from airflow_provider_sync.report import DirectoryReport, Report, TableReport
from airflow_provider_sync.server.process.listening import DEFAULT_HOST, DEFAULT_PORT
from airflow_provider_sync.server.process.uvicorn_server import RunningServer

#: The exit code of a demo in which Airflow failed.
FAILED = 3


def main(options: Namespace) -> int:
    """Run the demo in a temporary folder, or in the one to keep."""
    require_airflow("The demo runs a DAG, and", instead="Run: pip install 'airflow-provider-sync[demo]'")
    with _folder(options.keep) as folder, _silence() if options.quiet else nullcontext():
        demo = _Demo(folder)
        try:
            demo.run()
        except DemoFailed as failure:
            if options.verbose:
                traceback.print_exception(failure)
            print("airflow-sync: " + "\n".join(failure.lines()), file=sys.stderr)
            return FAILED
        if options.keep:
            demo.write_configuration()
            print(f"\nEverything is in {folder}. Nothing is running any more. To go on, in two terminals:")
            print(f"  airflow-sync serve --config {shlex.quote(str(folder / 'server.yaml'))}")
            print(f"  airflow-sync run --config {shlex.quote(str(folder / 'client.yaml'))}")
    return 0


@contextmanager
def _silence() -> Iterator[None]:
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
        yield


@contextmanager
def _folder(keep: str | None) -> Iterator[Path]:
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="airflow-sync-demo-") as folder:
            yield Path(folder)
        return
    folder_to_keep = Path(keep).resolve()
    if folder_to_keep.exists() and any(folder_to_keep.iterdir()):
        raise ConfigurationError(f"{folder_to_keep} is not empty. Name a new folder.")
    folder_to_keep.mkdir(parents=True, exist_ok=True)
    yield folder_to_keep


class _Demo:
    """Source and target in one folder, and the output about them."""

    def __init__(self, folder: Path) -> None:
        self.started = time.monotonic()
        self.folder = folder
        self.target_database = folder / "target.db"
        self.target_directory = folder / "target"
        self.offered: dict[str, Any] = {}

    def run(self) -> None:
        self.say("Making the source: the world's airports as a table, and a file for each country.")
        source = DemoSource(self.folder)
        source.fill()
        create_table(self.target_database)
        self.offered = {
            "connections": {"source": f"sqlite:///{source.database}"},
            "tables": {"airports": {}},
            "directories": {"countries": {"path": str(source.directory)}},
        }
        with RunningServer(ServerConfig.from_dict(self.offered)) as server, self.airflow(server.url) as airflow:
            self.say(f"The server answers at {server.url}. Now Airflow makes its metadata database.")
            airflow.prepare()
            self.sync("First run of the DAG: everything arrives.", airflow, source)
            source.change()
            self.sync("The source changed. Second run: only the changes are merged.", airflow, source)
            self.sync("Nothing changed. Third run: both tasks are skipped.", airflow, source)
        self.say("Done: source and target are equal, and nothing is left running.")

    def write_configuration(self) -> None:
        """Write configuration files with which the commands do what the DAG did, and JSON schemas for editors."""
        fetched = {
            "url": f"http://{DEFAULT_HOST}:{DEFAULT_PORT}",
            "connections": {"target": f"sqlite:///{self.target_database}"},
            "tables": {"airports": {}},
            "directories": {"countries": {"path": str(self.target_directory)}},
        }
        for kind, settings in (("server", self.offered), ("client", fetched)):
            schema = self.folder / f"{kind}.schema.json"
            schema.write_text(json.dumps(json_schema(kind), indent=2), encoding="utf-8")
            text = yaml.safe_dump(settings, sort_keys=False, allow_unicode=True)
            (self.folder / f"{kind}.yaml").write_text(f"# yaml-language-server: $schema={schema.name}\n{text}", encoding="utf-8")

    def airflow(self, server_url: str) -> DemoAirflow:
        """Start an Airflow that knows the server and both targets."""
        return DemoAirflow(
            self.folder / "airflow",
            server_url=server_url,
            target_database=self.target_database,
            target_directory=self.target_directory,
        )

    def sync(self, what: str, airflow: DemoAirflow, source: DemoSource) -> None:
        """Run the DAG, show what it did, and check that it is true."""
        self.say(what)
        reports = [_report(plain) for plain in airflow.run_dag()]
        skipped = [Line("sync_airports and sync_countries: skipped, nothing to do.")]
        Output(sys.stdout).show(parts_of(reports) if reports else skipped)
        if _rows(source.database) != _rows(self.target_database):
            raise airflow.failure("a sync of the table, which differs from its source")
        if not _same_tree(filecmp.dircmp(source.directory, self.target_directory)):
            raise airflow.failure("a sync of the directory, which differs from its source")

    def say(self, text: str) -> None:
        print(f"\n[{time.monotonic() - self.started:4.1f} s] {text}", flush=True)


def _report(plain: dict[str, object]) -> Report:
    return msgspec.convert(plain, TableReport if plain["kind"] == "table" else DirectoryReport)


def _rows(database: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute("SELECT * FROM airports ORDER BY icao").fetchall()


def _same_tree(comparison: filecmp.dircmp[str]) -> bool:
    if comparison.left_only or comparison.right_only or comparison.funny_files:
        return False
    _, different, errors = filecmp.cmpfiles(comparison.left, comparison.right, comparison.common_files, shallow=False)
    return not different and not errors and all(_same_tree(sub) for sub in comparison.subdirs.values())
