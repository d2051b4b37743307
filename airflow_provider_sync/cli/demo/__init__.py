"""``demo``: a real table and a real directory arrive, change, and arrive again, by a DAG, from a server on this machine."""

from __future__ import annotations

import filecmp
import sqlite3
import tempfile
import time
from argparse import Namespace
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec

from airflow_provider_sync.cli.demo.airflow import DemoAirflow
from airflow_provider_sync.cli.demo.source import DemoSource, create_table
from airflow_provider_sync.config import ServerConfig
from airflow_provider_sync.exceptions import ConfigurationError, SyncError
from airflow_provider_sync.report import DirectoryReport, Report, TableReport
from airflow_provider_sync.report_table import format_reports
from airflow_provider_sync.server.serve import RunningServer


def main(options: Namespace) -> int:
    """Run the demo in a temporary folder, or in the one to keep."""
    with _folder(options.keep) as folder:
        _Demo(folder).run()
        if options.keep:
            print(f"Everything is in {folder}. Nothing is running any more.")
    return 0


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
    """Source and target in one folder, and what is told about them."""

    def __init__(self, folder: Path) -> None:
        self.started = time.monotonic()
        self.folder = folder
        self.target_database = folder / "target.db"
        self.target_directory = folder / "target"

    def run(self) -> None:
        self.say("Making the source: the world's airports as a table, and a file for each country.")
        source = DemoSource(self.folder)
        source.fill()
        create_table(self.target_database)
        config = ServerConfig.from_dict(
            {
                "connections": {"source": f"sqlite:///{source.database}"},
                "tables": {"airports": {}},
                "directories": {"countries": {"path": str(source.directory)}},
            }
        )
        with RunningServer(config) as server, self.airflow(server.url) as airflow:
            self.say(f"The server answers at {server.url}. Now Airflow makes its metadata database.")
            airflow.prepare()
            self.sync("First run of the DAG: everything arrives.", airflow, source)
            source.change()
            self.sync("The source changed. Second run: only the changes are merged.", airflow, source)
            self.sync("Nothing changed. Third run: both tasks are skipped.", airflow, source)
        self.say("Done: source and target are equal, and nothing is left running.")

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
        print(format_reports(reports) if reports else "sync_airports and sync_countries: skipped, nothing to do.")
        if _rows(source.database) != _rows(self.target_database):
            raise SyncError(f"The demo's tables differ after the sync. {airflow.ended()}")
        if not _same_tree(filecmp.dircmp(source.directory, self.target_directory)):
            raise SyncError(f"The demo's directories differ after the sync. {airflow.ended()}")

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
