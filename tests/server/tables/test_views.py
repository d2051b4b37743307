"""What a server says of views, queries and conditions that cannot be offered, by both versions; nothing is written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy

from airflow_provider_sync.databases.connect import open_engine
from airflow_provider_sync.protocol.v2.messages import DescribeTable, GetRows, RequestedSlice
from tests.databases.limited_user import user_with
from tests.server.tables.served_tables import execute, served
from tests.server.tables.version2_answers import T, describe, refusal
from tests.server.wire import ask, post

READING: list[tuple[dict[str, Any], str]] = [
    ({"table": "v"}, "is a view, which has no primary key. Name the columns that identify a row with `primary`"),
    ({"table": "v", "primary": "nope"}, "has no column 'nope', which `primary` names"),
    ({"query": "SELECT id FROM t; DELETE FROM t", "primary": "id"}, "`query` has a semicolon"),
    ({"query": "DELETE FROM t", "primary": "id"}, "`query` begins with DELETE, and may only read"),
    ({"query": "SELECT id FROM t) AS x WHERE (1 = 1", "primary": "id"}, "`query` closes a parenthesis"),
    ({"query": "SELECT id, a AS id FROM t", "primary": "id"}, "id"),
    ({"query": "SELECT nope FROM t", "primary": "id"}, "`query` cannot be used: "),
    ({"query": "SELECT a FROM t", "primary": "id"}, "has no column 'id', which `primary` names"),
    ({"where": "nope = 1"}, "`where` cannot be used: "),
    ({"where": "1 = 1) OR (1 = 1"}, "`where` closes a parenthesis"),
]
"""Options with which nothing can be read, and words of the refusal."""

KEYS: list[tuple[dict[str, Any], str]] = [
    ({"table": "v", "primary": "g"}, "several rows with the same g, which `primary` names as its key"),
    ({"table": "v", "primary": "b"}, "without a value in 'b', a column of its key"),
    ({"query": "SELECT MAX(id) AS id, b FROM t GROUP BY b", "primary": "b"}, "without a value in 'b', a column of its key"),
    ({"query": "SELECT id, g FROM v -- all", "primary": "g"}, "several rows with the same g"),
]
"""Keys that do not identify a row."""


@pytest.fixture
def with_view(url: str) -> Iterator[str]:
    """Have a view beside the table; look in the end whether the table is as it was."""
    execute(url, "CREATE VIEW v AS SELECT id, a, b, id * 0 AS g FROM t")
    yield url
    engine = open_engine(url)
    with engine.connect() as connection:
        rows = connection.execute(sqlalchemy.text("SELECT id, a, b FROM t ORDER BY id")).fetchall()
    engine.dispose()
    assert [tuple(row) for row in rows] == [(-3, "x", 30), (1, "tab\t", None), (2, "né", 20)]


@pytest.mark.quick_on("sqlite", "mariadb", "postgresql")
def test_what_cannot_be_offered(with_view: str) -> None:
    """A refusal names the table, the option and what to do."""
    names = {f"t{number}": options for number, (options, _) in enumerate([*READING, *KEYS])}
    for name in ("t8", "t9"):
        names[name] = {"table": "t", **names[name]}
    with served(with_view, **names) as base:
        for name, (_, words) in zip(names, [*READING, *KEYS], strict=True):
            requested = RequestedSlice(name=name)
            field, message = refusal(ask(base, "/describeTable", DescribeTable(table_slice=requested)))
            assert (field, words in message) == ("config_name", True), (name, message)
            assert repr(name) in message
        for name, (_, words) in zip(names, READING, strict=False):
            assert words in refusal(ask(base, "/getRows", GetRows(table_slice=RequestedSlice(name=name))))[1]
            answer = post(base, "/getTable", {"config_name": name})
            assert answer.status == 422
            assert words in json.loads(answer.body)["config_name"][0]


def test_materialized_view(postgresql_url: str) -> None:
    """With a unique index, the keys of a materialized view are not checked, and segments can be ranges of keys."""
    execute(
        postgresql_url,
        "CREATE TABLE t (id INT NOT NULL PRIMARY KEY, a VARCHAR(20))",
        "INSERT INTO t SELECT number, 'x' FROM generate_series(1, 300) AS number",
        "CREATE MATERIALIZED VIEW plain AS SELECT id, a FROM t",
        "CREATE MATERIALIZED VIEW indexed AS SELECT id, a FROM t",
        "CREATE UNIQUE INDEX ON indexed (id)",
    )
    with served(postgresql_url, plain={"primary": "id"}, indexed={"primary": "id"}) as base:
        for name, scheme, scanned in (("plain", "row_hash", True), ("indexed", "key_range", False)):
            described, segments = describe(base, RequestedSlice(name=name))
            assert (described.partitioning.scheme, described.scanned) == (scheme, scanned)
            assert sum(rows for rows, _ in segments.values()) == 300


WRITING = {
    "postgresql": (
        "CREATE FUNCTION emptied() RETURNS integer LANGUAGE sql AS 'DELETE FROM t RETURNING 1'",
        ["SELECT emptied() AS id", "WITH gone AS (DELETE FROM t RETURNING id) SELECT id FROM gone"],
    ),
    "mysql": (
        "CREATE FUNCTION emptied() RETURNS INT DETERMINISTIC BEGIN DELETE FROM t; RETURN 1; END",
        ["SELECT emptied() AS id"],
    ),
    "duckdb": ("CREATE TABLE other (a INTEGER)", ["WITH gone AS (DELETE FROM t RETURNING id) SELECT id FROM gone"]),
    "sqlite": ("CREATE TABLE other (a)", ["WITH gone AS (DELETE FROM t RETURNING id) SELECT id FROM gone"]),
}


@pytest.mark.parametrize("engine", ["mariadb_url", "mysql_url"])
def test_view_read_with_select_alone(request: pytest.FixtureRequest, engine: str) -> None:
    """A user who may read a view but not see its plan is served it, and scans are assumed."""
    owner = request.getfixturevalue(engine)
    execute(owner, "CREATE TABLE t (id INT PRIMARY KEY)", "INSERT INTO t VALUES (1)", "CREATE VIEW v AS SELECT id FROM t")
    with user_with(owner, "SELECT") as url, served(url, t={"table": "v", "primary": "id"}) as base:
        described, _ = describe(base)
    assert described.key == ("id",)
    assert described.scanned


def test_what_writes_is_named(with_view: str) -> None:
    """A function that writes is refused, and the error names the option that calls it."""
    backend = sqlalchemy.make_url(with_view).get_backend_name()
    if backend == "sqlite":
        pytest.skip("its functions do not write")
    if backend == "duckdb":
        function, call = "CREATE SEQUENCE numbers", "nextval('numbers')"
    else:
        function, call = WRITING["mysql" if backend == "mariadb" else backend][0], "emptied()"
    execute(with_view, function, f"CREATE VIEW writing AS SELECT id, {call} AS n FROM t")
    offered: dict[str, dict[str, Any]] = {
        "`query`": {"query": f"SELECT id, {call} AS n FROM t", "primary": "id"},
        "`where` or `mask`": {"table": "t", "where": f"{call} > 0"},
        "the view": {"table": "writing", "primary": "id"},
    }
    for what, options in offered.items():
        with served(with_view, t=options) as base:
            for path, request in (("/describeTable", DescribeTable(table_slice=T)), ("/getRows", GetRows(table_slice=T))):
                body = ask(base, path, request).body.decode(errors="replace")
                if backend == "mysql" and "has no columns" in body:
                    continue  # MariaDB lists no columns of such a view
                assert f"Table 't': {what} writes, and may only read" in body, (what, body)
                assert "Leave out the function that writes" in body
                assert "connect to the primary" not in body


def test_query_that_writes(with_view: str) -> None:
    """A query that writes, by a function or within WITH, is refused by the database."""
    backend = sqlalchemy.make_url(with_view).get_backend_name()
    function, queries = WRITING["mysql" if backend == "mariadb" else backend]
    execute(with_view, function)
    for query in queries:
        with served(with_view, t={"query": query, "primary": "id"}) as base:
            for path, request in (("/describeTable", DescribeTable(table_slice=T)), ("/getRows", GetRows(table_slice=T))):
                answer = ask(base, path, request)
                assert b"failure" in answer.body or answer.status == 422, (query, answer)
