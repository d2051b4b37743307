"""The demo's source: the world's airports as a table, and a file for each country, made from the package ``airportsdata``."""

from __future__ import annotations

import csv
import sqlite3
from collections import defaultdict
from contextlib import closing
from pathlib import Path
from typing import Any

from airflow_provider_sync.exceptions import ConfigurationError

COLUMNS = ("icao", "iata", "name", "city", "subd", "country", "elevation", "lat", "lon", "tz", "lid")

CREATE = """
CREATE TABLE airports (
  icao TEXT PRIMARY KEY,
  iata TEXT NOT NULL,
  name TEXT NOT NULL,
  city TEXT NOT NULL,
  subd TEXT NOT NULL,
  country TEXT NOT NULL,
  elevation INTEGER,
  lat REAL NOT NULL,
  lon REAL NOT NULL,
  tz TEXT NOT NULL,
  lid TEXT NOT NULL
)"""


def load_airports() -> list[dict[str, Any]]:
    """Return the airports, 28,000 rows with the keys of :data:`COLUMNS`.

    :raises ConfigurationError: without the extra ``demo``
    """
    try:
        import airportsdata
    except ImportError as error:
        raise ConfigurationError("The demo needs its data. Install it: pip install 'airflow-provider-sync[demo]'") from error
    airports = airportsdata.load("ICAO").values()
    return [{**airport, "elevation": round(airport["elevation"])} for airport in airports]


class DemoSource:
    """A database and a directory that a server offers.

    :param folder: where they are made
    """

    def __init__(self, folder: Path) -> None:
        self.database = folder / "source.db"
        self.directory = folder / "source"
        self.directory.mkdir(parents=True)
        create_table(self.database)

    def fill(self) -> None:
        """Write all airports into the table, and those of each country into a file."""
        airports = load_airports()
        with closing(sqlite3.connect(self.database)) as connection, connection:
            places = ", ".join(f":{name}" for name in COLUMNS)
            connection.executemany(f"INSERT INTO airports VALUES ({places})", airports)
        by_country: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for airport in airports:
            by_country[airport["country"] or "unknown"].append(airport)
        for country, group in by_country.items():
            self._write(country, group)

    def change(self) -> None:
        """Change the source: delete 3 airports, rename 20, add 2; remove a country's file, change two, add one."""
        with closing(sqlite3.connect(self.database)) as connection, connection:
            connection.execute("DELETE FROM airports WHERE icao IN (SELECT icao FROM airports ORDER BY icao LIMIT 3)")
            connection.execute(
                "UPDATE airports SET name = name || ' International'"
                " WHERE icao IN (SELECT icao FROM airports WHERE country = 'DE' ORDER BY icao LIMIT 20)"
            )
            opened = [("ZZD1", "North Field"), ("ZZD2", "Übersee 東")]
            connection.executemany(
                "INSERT INTO airports VALUES (?, '', ?, '', '', 'DE', 12, 53.5, 9.9, 'Europe/Berlin', '')", opened
            )
        (self.directory / "DE.csv").write_text("changed\n", encoding="utf-8")
        (self.directory / "FR.csv").write_text("changed too\n", encoding="utf-8")
        (self.directory / "new" / "atlantis.csv").parent.mkdir()
        (self.directory / "new" / "atlantis.csv").write_text("icao\n", encoding="utf-8")
        (self.directory / "IS.csv").unlink()

    def _write(self, country: str, airports: list[dict[str, Any]]) -> None:
        with (self.directory / f"{country}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(airports)


def create_table(database: Path) -> None:
    """Create the table of airports, empty."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(CREATE)
