"""A source and a target of a disturbed sync: two related tables and a directory, each in an old and a new state."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, inspect

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import ClientConfig, ServerConfig, TargetDirectory, TargetTable
from airflow_provider_sync.databases.connect import open_engine
from airflow_provider_sync.databases.found_details import FoundDetails
from airflow_provider_sync.databases.registry import database_for
from airflow_provider_sync.exceptions import SyncError, SyncFailed
from airflow_provider_sync.files import open_storage
from airflow_provider_sync.merge.staging_names import find_staging
from airflow_provider_sync.report import Report, TableReport
from airflow_provider_sync.sync import plan_run, run
from airflow_provider_sync.sync.directories.steps import FileBatch, compare_directory, delete_files, download_batch
from airflow_provider_sync.sync.tables.slice_values import PlannedSlice, StagedSlice
from airflow_provider_sync.sync.tables.steps import compare_table, merge_slices, stage_slice
from tests.database_servers import SQLITE, DatabaseServers
from tests.faults.states import Rows, State

MADE, FIRST, DIFFERENCE = "made", "first", "difference"
"""No table is there yet; or nothing in them; or a few rows and files differ, some are new, and some have to go."""

ITEMS, NOTES = "items", "notes"
DIRECTORY = "docs"
ROWS = 1_500
LOCK_SECONDS = 60

_COLUMNS = {
    ITEMS: "id INTEGER NOT NULL PRIMARY KEY, code VARCHAR(30) NOT NULL UNIQUE, price DECIMAL(10, 2), text VARCHAR(200)",
    NOTES: "name VARCHAR(40) NOT NULL PRIMARY KEY, item_id INTEGER, body VARCHAR(500)",
}
_REFERENCE = ", FOREIGN KEY (item_id) REFERENCES items (id)"


class Site:
    """Both sides of a sync that can be put back into their old state again and again.

    :param shape: :data:`MADE`, :data:`FIRST` or :data:`DIFFERENCE`
    :param tables: whether it is about tables
    :param files: whether it is about a directory
    :param folder: where SQLite's files and directories are
    """

    def __init__(
        self, source_url: str, target_url: str, folder: Path, *, shape: str, tables: bool, files: bool, protocol: str = "auto"
    ) -> None:
        self.source_url, self.target_url, self.folder = source_url, target_url, folder
        self.shape, self.protocol = shape, protocol
        self.with_tables, self.with_files = tables, files
        self.source_folder, self.target_folder = folder / "source" / "files", folder / "target" / "files"
        self._kept = folder / "kept-files"
        # A target that is a file is put back as a file.
        self._file = Path(target_url.partition(":///")[2]) if target_url.startswith(("sqlite", "duckdb")) else None
        self.source, self.target = open_engine(source_url), open_engine(target_url)
        self._build(random.Random(7))
        self.new = self._state(self.source, self.source_folder)
        self.reset()
        self.old = self.state()

    @property
    def server_config(self) -> ServerConfig:
        """What the source offers."""
        settings: dict[str, Any] = {"connections": {"source": self.source_url}}
        if self.with_tables:
            settings["tables"] = {ITEMS: {}, NOTES: {}}
        if self.with_files:
            settings["directories"] = {DIRECTORY: {"path": str(self.source_folder)}}
        return ServerConfig.from_dict(settings)

    def client_config(self, url: str, **options: Any) -> ClientConfig:
        """What the target takes from the server at ``url``."""
        return ClientConfig.from_dict(self.client_settings(url, **options))

    def client_settings(self, url: str, **options: Any) -> dict[str, Any]:
        """Write :meth:`client_config` as a file has it."""
        settings: dict[str, Any] = {"url": url, "connections": {"target": self.target_url}, "protocol": self.protocol}
        settings |= {"retries": 0, "history": None} | options
        if self.with_tables:
            make = {"create_table": True, "create_indexes": True} if self.shape == MADE else {}
            settings["tables"] = {name: {"max_deletes": "100%", **make} for name in (ITEMS, NOTES)}
        if self.with_files:
            directory = {"path": str(self.target_folder), "max_deletes": "100%", "files_per_request": 3}
            settings["directories"] = {DIRECTORY: directory}
        return settings

    def sync(self, url: str, **options: Any) -> list[Report]:
        """Sync from the server at ``url``, and return the reports, those of failures too."""
        config = self.client_config(url, **options)
        try:
            return run(config, plan_run(config))
        except SyncFailed as failure:
            return list(failure.reports)

    def sync_in_steps(self, url: str, **options: Any) -> list[Report]:
        """Do what :meth:`sync` does in the steps that Airflow runs as tasks; a later call is a retry of the same run."""
        config = self.client_config(url, **options)
        try:
            with SyncClient.from_config(config) as client:
                reports = self._tables_in_steps(client, config) if self.with_tables else []
                if self.with_files:
                    reports.append(self._files_in_steps(client, config.directories[DIRECTORY]))
                return reports
        except SyncFailed as failure:
            return list(failure.reports)
        except SyncError as error:
            return [TableReport(name=ITEMS, status="failed", error=str(error))]

    def _tables_in_steps(self, client: SyncClient, config: ClientConfig) -> list[Report]:
        database = database_for(self.target)
        reports: list[Report] = []
        merges: dict[str, tuple[TargetTable, list[StagedSlice]]] = {}
        for name, table in config.tables.items():
            found = compare_table(client, table, database, run_id="run of the faults", slices=2)
            if not found.slices:
                reports.append(found.report)
                continue
            # Between tasks there is only what JSON has.
            slices = [PlannedSlice.from_dict(table_slice.to_dict()) for table_slice in found.slices]
            staged = [
                StagedSlice.from_dict(stage_slice(client, table, database, table_slice).to_dict()) for table_slice in slices
            ]
            merges[name] = (table, staged)
        return reports + list(merge_slices(client, merges, database))

    def _files_in_steps(self, client: SyncClient, directory: TargetDirectory) -> Report:
        storage = open_storage(directory.path)
        found = compare_directory(client, directory, storage, batches=2)
        if not found.batches:
            return found.report
        done = [download_batch(client, directory, storage, FileBatch.from_dict(batch.to_dict())) for batch in found.batches]
        return delete_files(client, directory, storage, done)

    def state(self) -> State:
        """Read the target."""
        return self._state(self.target, self.target_folder)

    def details(self) -> list[FoundDetails]:
        """Return what the tables of the target have besides columns, keys and rows."""
        database = database_for(self.target)
        with database.connect() as connection:
            tables = [database.catalog.describe(connection, name) for name in (ITEMS, NOTES)]
            return [database.catalog.table_details(connection, table) for table in tables]

    def reset(self) -> None:
        """Put the target back into its old state, whatever a sync left there."""
        if self.with_files:
            shutil.rmtree(self.target_folder, ignore_errors=True)
            if self.shape == DIFFERENCE:
                shutil.copytree(self._kept, self.target_folder)
        if not self.with_tables:
            return
        if self._file is not None:
            self.target.dispose()
            for leftover in (*self._file.parent.glob(f"{self._file.name}-*"), *self._file.parent.glob(f"{self._file.name}.wal")):
                leftover.unlink()
            shutil.copyfile(f"{self._file}.kept", self._file)
            return
        with self.target.connect() as connection:
            for table, _ in find_staging(connection):
                connection.exec_driver_sql(f"DROP TABLE {table}")
            for name in (NOTES, ITEMS):
                connection.exec_driver_sql(f"DROP TABLE IF EXISTS {name}" if self.shape == MADE else f"DELETE FROM {name}")
            for name in () if self.shape == MADE else (ITEMS, NOTES):
                connection.exec_driver_sql(f"INSERT INTO {name} SELECT * FROM kept_{name}")
            connection.commit()

    def source_state(self) -> State:
        """Read the source."""
        return self._state(self.source, self.source_folder)

    def disconnect(self) -> None:
        """Close the connections of this process, which a process that is forked must not share."""
        self.source.dispose()
        self.target.dispose()

    def reset_source(self) -> None:
        """Undo what :meth:`move_source` did."""
        for path, content in self.new.files.items():
            (self.source_folder / path).write_bytes(content)
        if self.with_tables:
            mark = "?" if self.source.dialect.name == "sqlite" else "%s"
            rows = [(row[-1], row[0]) for row in self.new.tables[ITEMS]]
            with self.source.connect() as connection:
                connection.exec_driver_sql(f"UPDATE {ITEMS} SET text = {mark} WHERE id = {mark}", rows)
                connection.commit()

    def write_target(self, statement: str) -> None:
        """Change the target, as somebody else."""
        with self.target.connect() as connection:
            connection.exec_driver_sql(statement)
            connection.commit()

    def move_source(self, chance: random.Random) -> None:
        """Change a row and a file of the source; :attr:`new` is what was there when the site was made."""
        if self.with_tables:
            with self.source.connect() as connection:
                number = chance.randrange(ROWS)
                connection.exec_driver_sql(f"UPDATE {ITEMS} SET text = 'moved {chance.random()}' WHERE id = {number}")
                connection.commit()
        if self.with_files:
            path = chance.choice(sorted(self.new.files))
            (self.source_folder / path).write_bytes(b"moved %f" % chance.random())

    def _build(self, chance: random.Random) -> None:
        if self.with_files:
            self._build_files(chance)
        if not self.with_tables:
            return
        items = {number: _item(number, chance) for number in range(ROWS)}
        notes = {f"note {number}": (f"note {number}", number, _words(chance, 40)) for number in range(0, ROWS, 5)}
        self._fill(self.source, "", items, notes)
        if self.shape == MADE:
            if self._file is not None:
                # DuckDB writes a file when it is opened, SQLite when something is written.
                self.target.connect().close()
                self.target.dispose()
                self._file.touch()
                shutil.copyfile(self._file, f"{self._file}.kept")
            return
        if self.shape == FIRST:
            items, notes = {}, {}
        for number in list(items)[::60]:
            items[number] = (number, f"code {number}", "0.00", "before")
        for number in list(items)[7::200]:
            items.pop(number)
            notes.pop(f"note {number}", None)
        for name in list(notes)[3::40]:
            notes[name] = (name, notes[name][1], "before")
        if items:
            items |= {ROWS + extra: _item(ROWS + extra, chance) for extra in range(20)}
            notes["gone"] = ("gone", ROWS + 1, "at the source no more")
            # Two rows whose unique values are about to change places.
            (_, one, *first), (_, other, *second) = items[2], items[3]
            items[2], items[3] = (2, other, *first), (3, one, *second)
        self._fill(self.target, "", items, notes)
        if self._file is None:
            self._fill(self.target, "kept_", items, notes)
        else:
            self.target.dispose()
            shutil.copyfile(self._file, f"{self._file}.kept")

    def _build_files(self, chance: random.Random) -> None:
        for number in range(12):
            path = self.source_folder / ("deep/er" if number % 3 else ".") / f"file {number}.bin"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(chance.randbytes(0 if number == 5 else number * 7_000))
        shutil.copytree(self.source_folder, self._kept)
        for number in (1, 4, 9):
            (self._kept / ("deep/er" if number % 3 else ".") / f"file {number}.bin").write_bytes(b"before")
        (self._kept / "file 3.bin").unlink()
        for name in ("gone", "deep/gone too"):
            (self._kept / name).write_bytes(b"at the source no more")

    @staticmethod
    def _fill(engine: Engine, prefix: str, items: dict[int, tuple[Any, ...]], notes: dict[str, tuple[Any, ...]]) -> None:
        mark = "?" if engine.dialect.name in ("sqlite", "duckdb") else "%s"
        with engine.connect() as connection:
            for name, rows in ((ITEMS, list(items.values())), (NOTES, list(notes.values()))):
                # DuckDB deletes no parent in the transaction that deletes its child.
                reference = _REFERENCE if name == NOTES and not prefix and engine.dialect.name != "duckdb" else ""
                connection.exec_driver_sql(f"CREATE TABLE {prefix}{name} ({_COLUMNS[name]}{reference})")
                marks = ", ".join([mark] * (4 if name == ITEMS else 3))
                if rows:
                    connection.exec_driver_sql(f"INSERT INTO {prefix}{name} VALUES ({marks})", rows)
            connection.commit()

    def _state(self, engine: Engine, folder: Path) -> State:
        tables: dict[str, Rows] = {}
        leftovers: list[str] = []
        if self.with_tables:
            with engine.connect() as connection:
                for name in (ITEMS, NOTES):
                    is_there = self.shape != MADE or inspect(connection).has_table(name)
                    rows = connection.exec_driver_sql(f"SELECT * FROM {name}").all() if is_there else []
                    tables[name] = sorted(tuple(map(_plain, row)) for row in rows)
                leftovers += [str(table) for table, _ in find_staging(connection)]
        files = {}
        if self.with_files:
            for path in sorted(folder.rglob("*")) if folder.exists() else ():
                if path.is_file():
                    name = str(path.relative_to(folder))
                    if path.name.startswith(".") or "sync" in path.name:
                        leftovers.append(name)
                    else:
                        files[name] = path.read_bytes()
        return State(tables, files, leftovers)


@contextmanager
def site(
    servers: DatabaseServers,
    folder: Path,
    *,
    source: str = SQLITE,
    target: str = SQLITE,
    shape: str = DIFFERENCE,
    what: str = "tables",
    protocol: str = "auto",
) -> Iterator[Site]:
    """Make a site on fresh databases.

    :param source: an engine
    :param target: an engine
    :param what: ``tables``, ``files`` or ``both``
    """
    source_folder, target_folder = folder / "source", folder / "target"
    for place in (source_folder, target_folder):
        place.mkdir(parents=True, exist_ok=True)
    with servers.database(source, source_folder) as source_url, servers.database(target, target_folder) as target_url:
        made = Site(
            source_url, target_url, folder, shape=shape, tables=what != "files", files=what != "tables", protocol=protocol
        )
        try:
            yield made
        finally:
            made.disconnect()


def _plain(value: object) -> str:
    """Write a value alike on every engine; SQLite has no decimals."""
    return f"{value:.2f}" if isinstance(value, (float, Decimal)) else str(value)


def _item(number: int, chance: random.Random) -> tuple[Any, ...]:
    price = None if number % 9 == 0 else f"{chance.randrange(100_000)}.50"
    return (number, f"code {number}", price, _words(chance, 12))


def _words(chance: random.Random, count: int) -> str:
    return " ".join(chance.choice(("lorem", "ipsum", "dolor", "größe", "日本", "sit", "amet")) for _ in range(count))
