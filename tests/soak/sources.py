"""What the soak's server offers, how it changes all the while, and whether a copy is equal to it."""

from __future__ import annotations

import random
import threading
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, text

from tests.soak.places import HISTORY, MARIADB_TABLES, POSTGRESQL_TABLES, Places

COLUMNS = "id INTEGER NOT NULL PRIMARY KEY, name VARCHAR(200) NOT NULL, amount DECIMAL(12, 2)"
FILES = 60
_PAUSE_SECONDS = 0.5
_MOST_BYTES = 60_000

_INSERT = "INSERT INTO {} VALUES (:id, :name, :amount)"


class Sources(threading.Thread):
    """The tables and directories of the source; as a thread, it changes a few rows and files twice a second.

    :ivar error: why it ended before it was told to
    """

    def __init__(self, places: Places, chance: random.Random) -> None:
        super().__init__(name="soak-sources", daemon=True)
        self.places, self.chance = places, chance
        self.error: Exception | None = None
        self.changes = 0
        self._stop_asked = threading.Event()

    def fill(self) -> None:
        """Make all tables and files, and the tables of the targets that no sync makes."""
        for engine, tables in ((self.places.postgresql_source, POSTGRESQL_TABLES), (self.places.mariadb_source, MARIADB_TABLES)):
            with engine.begin() as connection:
                for name, size in tables.items():
                    connection.exec_driver_sql(f"CREATE TABLE {name} ({COLUMNS})")
                    connection.execute(text(_INSERT.format(name)), [self._row(number) for number in range(0, 2 * size, 2)])
        for engine, copied in self.places.copied_tables:
            with engine.begin() as connection:
                for name in copied:
                    connection.exec_driver_sql(f"CREATE TABLE IF NOT EXISTS {name} ({COLUMNS})")
        for folder in self.places.source_folders:
            for number in range(FILES):
                self._write(folder, number)

    def run(self) -> None:
        """Change the sources until :meth:`stop`."""
        try:
            while not self._stop_asked.wait(_PAUSE_SECONDS):
                self._change_rows()
                self._change_files()
                self.changes += 1
        except Exception as error:  # noqa: BLE001  # shown by whoever waits for the thread
            self.error = error

    def stop(self) -> None:
        """Let the sources rest; raise what had ended the thread before."""
        self._stop_asked.set()
        self.join()
        if self.error is not None:
            raise self.error

    def _row(self, number: int) -> dict[str, Any]:
        words = "".join(self.chance.choices("abcdefghij äé'\\", k=self.chance.randrange(1, 120)))
        return {"id": number, "name": words, "amount": self.chance.randrange(100_000) / 100}

    def _change_rows(self) -> None:
        # One table of each database: half of the chosen rows are replaced or inserted, the others deleted.
        for engine, tables in ((self.places.postgresql_source, POSTGRESQL_TABLES), (self.places.mariadb_source, MARIADB_TABLES)):
            name, size = self.chance.choice(list(tables.items()))
            chosen = self.chance.sample(range(2 * size), self.chance.randrange(1, max(2, size // 50)))
            with engine.begin() as connection:
                connection.execute(text(f"DELETE FROM {name} WHERE id = :id"), [{"id": number} for number in chosen])
                connection.execute(text(_INSERT.format(name)), [self._row(number) for number in chosen[::2]] or [self._row(-1)])
                connection.execute(text(f"DELETE FROM {name} WHERE id < 0"))

    def _change_files(self) -> None:
        folder, number = self.chance.choice(self.places.source_folders), self.chance.randrange(FILES)
        if self.chance.random() < 0.3:
            self._path(folder, number).unlink(missing_ok=True)
        else:
            self._write(folder, number)

    def _write(self, folder: Path, number: int) -> None:
        path = self._path(folder, number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.chance.randbytes(self.chance.randrange(_MOST_BYTES)))

    @staticmethod
    def _path(folder: Path, number: int) -> Path:
        return folder / f"part {number % 4}" / f"file {number}.bin"


def differences(places: Places) -> list[str]:
    """Name each copy that is not equal to its source."""
    found = []
    for engine, names in places.copied_tables + places.made_tables:
        for name in names:
            source = places.mariadb_source if name in MARIADB_TABLES else places.postgresql_source
            condition = " WHERE is_current" if name in HISTORY else ""
            if _rows(source, name) != _rows(engine, name, condition):
                found.append(f"table {name} in {engine.dialect.name}")
    for folder in places.source_folders:
        if _files(folder) != _files(places.copies / folder.name):
            found.append(f"directory {folder.name}")
    return found


def _rows(engine: Engine, name: str, condition: str = "") -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        rows = _all_rows(connection, f"SELECT id, name, amount FROM {name}{condition}")
    engine.dispose()
    return sorted(rows)


def _all_rows(connection: Connection, statement: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in connection.exec_driver_sql(statement)]


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
