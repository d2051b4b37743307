"""The error for a table or column that the target lacks names the one that was probably meant, on every engine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_provider_sync.exceptions import SyncFailed
from tests.sync.link import Link, linked


@pytest.fixture(params=["1", "2"])
def link(request: pytest.FixtureRequest, sqlite_url: str, database_url: str) -> Iterator[Link]:
    """Give a source with a table, and a target of each engine."""
    source = f"{sqlite_url}-source"
    with linked(source, database_url) as link:
        link.protocol = request.param
        link.source.execute(
            "CREATE TABLE orders (id INTEGER PRIMARY KEY, customer VARCHAR(9))", "INSERT INTO orders VALUES (1, 'a')"
        )
        yield link


def test_a_table_that_differs_by_case(link: Link) -> None:
    """A table of another case is named where the engine tells cases apart; elsewhere it is the table."""
    quote = link.target.database.engine.dialect.identifier_preparer.quote_identifier
    link.target.execute(f"CREATE TABLE {quote('Orders')} (id INTEGER PRIMARY KEY, customer VARCHAR(9))")
    if link.target.database.engine.dialect.name in ("sqlite", "duckdb"):
        assert link.sync_one("orders").rows_inserted == 1
        return
    with pytest.raises(SyncFailed, match=r"There is no table 'orders' .*Did you mean 'Orders'\? Name it with 'table'\."):
        link.sync_one("orders")
    assert link.sync_one("orders", {"table": "Orders"}).rows_inserted == 1


def test_a_table_that_is_misspelt(link: Link) -> None:
    """The name of a similar table stands before the statement that would create the table."""
    link.target.execute("CREATE TABLE order_ (id INTEGER PRIMARY KEY, customer VARCHAR(9))")
    with pytest.raises(SyncFailed, match=r"(?s)There is no table 'orders'.*Did you mean 'order_'\?.*CREATE TABLE"):
        link.sync_one("orders")


def test_no_table_is_similar(link: Link) -> None:
    """Without a similar table, none is named."""
    link.target.execute("CREATE TABLE x (id INTEGER PRIMARY KEY)")
    with pytest.raises(SyncFailed, match="There is no table 'orders'") as failure:
        link.sync_one("orders")
    assert "Did you mean" not in str(failure.value)


def test_a_column_that_is_misspelt(link: Link) -> None:
    """A column of the target is named that is like a missing one and receives no other column."""
    link.target.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, custmer VARCHAR(9))")
    with pytest.raises(SyncFailed, match=r"no column 'customer', which the source (has|sends)\. Did you mean 'custmer'\?"):
        link.sync_one("orders")
    assert link.sync_one("orders", {"renames": {"customer": "custmer"}}).rows_inserted == 1
    with pytest.raises(SyncFailed, match=r"no column 'idd', which 'primary' names\. Did you mean 'id'\?"):
        link.sync_one("orders", {"primary": "idd"})
