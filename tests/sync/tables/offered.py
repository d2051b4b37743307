"""A shop on each engine, of which a server offers views, queries and parts, and a target on SQLite."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.sync.link import Link, linked

ORDERS = 300
"""Orders of the shop, with ids from 1 on; every third is German, every hundredth has no customer."""


@pytest.fixture
def shop(database_url: str, tmp_path: Path) -> Iterator[Link]:
    """Give a source on each engine with customers, orders and views of them, and a target on SQLite without tables."""
    with linked(database_url, f"sqlite:///{tmp_path / 'copy.db'}") as link:
        link.protocol = "2"
        link.source.execute(
            "CREATE TABLE customers (id INTEGER NOT NULL PRIMARY KEY, name VARCHAR(40) NOT NULL, country VARCHAR(2))",
            "INSERT INTO customers VALUES (1, 'Ann', 'DE'), (2, 'Bob 100%', 'FR'), (3, 'Zoë', NULL)",
            "CREATE TABLE orders (id INTEGER NOT NULL PRIMARY KEY, customer INTEGER, country VARCHAR(2) NOT NULL,"
            " amount DECIMAL(10,2), placed {DATETIME})",
            f"INSERT INTO orders VALUES {', '.join(map(_order, range(1, ORDERS + 1)))}",
            "CREATE VIEW german AS SELECT id, customer, amount, placed FROM orders WHERE country = 'DE'",
            "CREATE VIEW totals AS SELECT country, MIN(id) AS first, MAX(id) AS last FROM orders GROUP BY country",
        )
        yield link


def _order(number: int) -> str:
    customer = "NULL" if number % 100 == 0 else str(number % 3 + 1)
    country = ("DE", "FR", "IT")[number % 3]
    return f"({number}, {customer}, '{country}', {number}.25, '2026-01-{number % 28 + 1:02d} 10:00:00')"


def source_rows(link: Link, statement: str) -> list[tuple[Any, ...]]:
    """Run a SELECT at the source; numbers are decimals, and times are text without a fraction."""
    database = link.source.database
    with database.connect() as connection:
        return _plain(connection.exec_driver_sql(database.doubled(statement)))


def target_rows(link: Link, name: str) -> list[tuple[Any, ...]]:
    """Return the rows of a table of the target in the same form."""
    with link.target.database.connect() as connection:
        return _plain(connection.exec_driver_sql(f"SELECT * FROM {name}"))


def _plain(rows: Any) -> list[tuple[Any, ...]]:
    return sorted((tuple(map(_value, row)) for row in rows), key=repr)


def _value(value: Any) -> Any:
    return Decimal(str(value)).normalize() if isinstance(value, int | float | Decimal) else value and str(value).partition(".")[0]
