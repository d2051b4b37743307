"""A server that believes that a table is empty, as after a crash: the merge still looks rows up by their keys."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import event

from airflow_provider_sync.databases.connect import open_engine
from airflow_provider_sync.databases.registry import database_for
from tests.releases.needs import needs
from tests.scenario import Scenario

ROWS, CHANGED = 600, 400


@pytest.fixture(params=["mariadb", "mysql"])
def forgetful(request: pytest.FixtureRequest) -> Iterator[Scenario]:
    """Give a table of MySQL or MariaDB of which the optimiser thinks that it has no rows."""
    engine = open_engine(request.getfixturevalue(f"{request.param}_url"))
    on = Scenario(database_for(engine))
    on.execute(
        "CREATE TABLE item (id INTEGER NOT NULL PRIMARY KEY, n INTEGER NOT NULL UNIQUE, m INTEGER)"
        " STATS_PERSISTENT=1 STATS_AUTO_RECALC=0"
    )
    values = ", ".join(f"({number}, {number}, 0)" for number in range(ROWS))
    on.execute("ANALYZE TABLE item", f"INSERT INTO item VALUES {values}")
    where = "WHERE database_name = DATABASE() AND table_name = 'item'"
    on.execute(
        f"UPDATE mysql.innodb_table_stats SET n_rows = 0, clustered_index_size = 1 {where}",
        f"UPDATE mysql.innodb_index_stats SET stat_value = 0 {where} AND stat_name LIKE 'n_diff%'",
        "FLUSH TABLES item",
    )
    yield on
    engine.dispose()


def test_no_row_is_looked_for_by_reading_all(forgetful: Scenario) -> None:
    """Without statistics, a merge reads a few times the table's rows, not their square."""
    after = [(number, (number + 1) % CHANGED if number < CHANGED else number, 1) for number in range(ROWS - 50)]
    with forgetful.database.connect() as connection:
        needs(connection, "mariadb", (10, 6), "optimiser that goes by the index which is named")
        connection.exec_driver_sql("FLUSH STATUS")
        result = forgetful.sync("item", [*after, (ROWS, ROWS, 1)], connection=connection)
        read = sum(
            int(row[1])
            for row in connection.exec_driver_sql("SHOW SESSION STATUS LIKE 'Handler\\_read%%'")
            if row[0].lower().startswith("handler_read")
        )

    assert (result.counts.updated, result.counts.deleted, result.counts.inserted) == (ROWS - 50, 50, 1)
    assert sorted(forgetful.rows("item")) == sorted([*after, (ROWS, ROWS, 1)])
    assert read < 40 * ROWS


def test_rows_that_hold_a_value_are_found_by_the_key_that_it_is_unique_in(forgetful: Scenario) -> None:
    """Join order and indexes are fixed, since it depends on sizes whether a server scans a table that it takes for empty."""
    statements: list[str] = []

    def record(_: object, __: object, statement: str, *___: object) -> None:
        statements.append(statement)

    event.listen(forgetful.database.engine, "before_cursor_execute", record)
    forgetful.sync("item", [(number, (number + 1) % ROWS, 0) for number in range(ROWS)])

    holders = [statement for statement in statements if "SELECT DISTINCT 'P'" in statement]
    assert len(holders) == 1
    assert holders[0].count("STRAIGHT_JOIN") == 2
    assert holders[0].count("FORCE INDEX (`PRIMARY`)") == 1
    assert holders[0].count("AS h FORCE INDEX (`n`)") == 1


def test_an_index_that_no_query_may_use_is_not_named(forgetful: Scenario) -> None:
    """Values move between rows of a unique key whose index is INVISIBLE or IGNORED, and such a key still identifies rows."""
    with forgetful.database.connect() as connection:
        needs(connection, "mariadb", (10, 6), "indexes that are ignored")
        hidden = "IGNORED" if connection.dialect.is_mariadb else "INVISIBLE"
    forgetful.execute(f"ALTER TABLE item ALTER INDEX n {hidden}")
    after = [(number, (number + 1) % ROWS, 1) for number in range(ROWS)]

    by_primary_key = forgetful.sync("item", after)
    by_hidden_key = forgetful.sync("item", [(number, n, 2) for number, n, _ in after], key=["n"])

    assert (by_primary_key.counts.updated, by_hidden_key.counts.updated) == (ROWS, ROWS)
    assert forgetful.rows("item") == sorted(((number, n, 2) for number, n, _ in after), key=repr)
