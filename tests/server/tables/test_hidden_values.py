"""Values of rows and columns that are not offered: neither errors of the database nor its statistics tell them."""

from __future__ import annotations

import logging
from http.client import IncompleteRead
from secrets import token_hex
from typing import Any

import msgspec
import pytest
from sqlalchemy import make_url

from airflow_provider_sync.cli.config_trials import try_server
from airflow_provider_sync.config import ServerConfig
from airflow_provider_sync.protocol.v2.messages import (
    Described,
    DescribeTable,
    DescribeTables,
    DigestRows,
    GetRows,
    RequestedSlice,
    Window,
)
from airflow_provider_sync.server.process.uvicorn_server import RunningServer
from tests.engines import on_engines
from tests.server.tables.served_tables import execute
from tests.server.tables.version2_answers import ALL, messages
from tests.server.wire import Answer, ask, config, post

SECRET = "secret-of-paris"
ROLE = f"sync_test_{token_hex(6)}"
FAILING = {"postgresql": "CAST(extra AS integer)", "duckdb": "CAST(extra AS INTEGER)", "sqlite": "json_extract(extra, '$')"}
"""What fails for a text, with the text in the message on most engines."""

SLICE = RequestedSlice(name="offered")
REQUESTS: dict[str, tuple[str, msgspec.Struct]] = {
    "describe": ("/describeTable", DescribeTable(table_slice=SLICE)),
    "describe many": ("/describeTables", DescribeTables(table_slices=(SLICE, SLICE), max_rows=100_000)),
    "digests": ("/digestRows", DigestRows(table_slice=SLICE, partitioning=ALL, segment_ranges=((0, 0),))),
    "rows": ("/getRows", GetRows(table_slice=SLICE)),
}


@pytest.fixture
def url(database_url: str) -> str:
    """Have orders of two branches, one of which has a text that no number can be made of, and a view that tries."""
    failing = FAILING[make_url(database_url).get_backend_name()]
    execute(
        database_url,
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, branch VARCHAR(9), extra VARCHAR(40))",
        f"INSERT INTO orders VALUES (1, 'berlin', '5'), (2, 'paris', '{SECRET}')",
        f"CREATE VIEW numbers AS SELECT id, {failing} AS number FROM orders",
    )
    return database_url


def offers(url: str) -> dict[str, dict[str, Any]]:
    """Return the ways to offer rows whose statements read more than they send."""
    failing = FAILING[make_url(url).get_backend_name()]
    return {
        "where": {"table": "orders", "columns": ["id", "branch"], "where": f"{failing} = 5"},
        "query": {"query": f"SELECT id, {failing} AS number FROM orders WHERE {failing} = 5", "primary": "id"},
        "view": {"table": "numbers", "primary": "id"},
    }


def said(base: str, request_name: str) -> Answer:
    """Return the answer to a request that reads all rows."""
    if request_name == "version 1":
        return post(base, "/getTable", {"config_name": "offered"})
    if request_name == "hash of version 1":
        return post(base, "/getTableHash", {"config_name": "offered"})
    return ask(base, *REQUESTS[request_name])


@pytest.mark.every_combination
@on_engines("postgresql", "duckdb", "sqlite")
@pytest.mark.parametrize("request_name", [*REQUESTS, "version 1", "hash of version 1"])
@pytest.mark.parametrize("way", ["where", "query", "view"])
def test_errors_of_the_database(url: str, way: str, request_name: str, caplog: pytest.LogCaptureFixture) -> None:
    """If a database error quotes a row or column that is not offered, only the log shows the quotation."""
    caplog.set_level(logging.WARNING, "airflow_provider_sync")
    with RunningServer(config(url, tables={"offered": offers(url)[way]})) as server:
        answer = said(server.url, request_name)
    body = answer.body
    if answer.status == 200:
        body = b"".join(repr(message).encode() for message in _messages(answer))
    assert SECRET.encode() not in body
    assert b"its database refused a statement (" in body
    quotes = make_url(url).get_backend_name() != "sqlite"
    assert (SECRET in caplog.text) == quotes, caplog.text
    assert "its database refused a statement (" in caplog.text


def _messages(answer: Answer) -> list[object]:
    """Return the messages of a stream, or its failure."""
    try:
        return list(messages(answer))
    except Exception as error:  # noqa: BLE001  # looked at by the test
        return [error]


@on_engines("postgresql")
@pytest.mark.parametrize("request_name", [*REQUESTS, "version 1", "hash of version 1"])
def test_errors_of_policies(url: str, request_name: str, caplog: pytest.LogCaptureFixture) -> None:
    """An error of a policy, which reads rows and columns that the client may not see, quotes them in the log only."""
    caplog.set_level(logging.WARNING, "airflow_provider_sync")
    execute(
        url,
        f"CREATE ROLE {ROLE} LOGIN",
        f"GRANT SELECT ON orders TO {ROLE}",
        "ALTER TABLE orders ENABLE ROW LEVEL SECURITY",
        f"CREATE POLICY five ON orders USING ({FAILING['postgresql']} = 5)",
    )
    source = make_url(url).set(username=ROLE).render_as_string(hide_password=False)
    try:
        with RunningServer(config(source, tables={"offered": {"table": "orders", "allow_row_security": True}})) as server:
            answer = said(server.url, request_name)
    finally:
        execute(url, "DROP OWNED BY " + ROLE, f"DROP ROLE {ROLE}")
    body = answer.body
    if answer.status == 200:
        body = b"".join(repr(message).encode() for message in _messages(answer))
    assert SECRET.encode() not in body
    assert b"its database refused a statement (" in body
    assert SECRET in caplog.text


@on_engines("postgresql")
@pytest.mark.parametrize("request_name", ["rows", "version 1"])
def test_errors_in_the_middle(url: str, request_name: str, caplog: pytest.LogCaptureFixture) -> None:
    """What the database said is in the log, too, if the answer has begun, by both versions."""
    caplog.set_level(logging.WARNING, "airflow_provider_sync")
    execute(
        url,
        "DELETE FROM orders WHERE id = 2",
        "INSERT INTO orders SELECT n, 'berlin', md5(n::text) || '5' FROM generate_series(3, 200000) n",
        f"INSERT INTO orders VALUES (200001, 'paris', '{SECRET}')",
        "CREATE VIEW late AS SELECT id, CASE WHEN id < 200001 THEN extra"
        " ELSE CAST(CAST(extra AS integer) AS VARCHAR(40)) END AS extra FROM orders",
        "ANALYZE orders",
    )
    with RunningServer(config(url, tables={"offered": {"table": "late", "primary": "id"}})) as server:
        if request_name == "version 1":
            with pytest.raises(IncompleteRead):
                said(server.url, request_name)
        else:
            assert SECRET.encode() not in repr(_messages(said(server.url, request_name))).encode()
    assert "broke off: Table 'offered': its database refused a statement" in caplog.text
    assert SECRET in caplog.text


@on_engines("postgresql")
@pytest.mark.parametrize("kind", ["IMMUTABLE", "STABLE"])
@pytest.mark.parametrize("option", ["where", "query", "mask"])
def test_errors_of_functions_when_a_query_is_planned(url: str, kind: str, option: str, caplog: pytest.LogCaptureFixture) -> None:
    """PostgreSQL calls a function already to plan a query; what its error quotes is in the log, unless the table has a mask."""
    caplog.set_level(logging.WARNING, "airflow_provider_sync")
    execute(
        url,
        f"CREATE FUNCTION branch_of() RETURNS integer {kind} LANGUAGE plpgsql AS"
        " $$BEGIN RETURN CAST((SELECT extra FROM orders WHERE id = 2) AS integer); END$$",
        "CREATE INDEX by_id ON orders (id, branch)",
        "ANALYZE orders",
    )
    options: dict[str, dict[str, Any]] = {
        "where": {"table": "orders", "where": "id = branch_of()"},
        "query": {"query": "SELECT id FROM orders WHERE id = branch_of()", "primary": "id"},
        "mask": {"table": "orders", "where": "id = branch_of()", "mask": {"extra": "redact"}},
    }
    with RunningServer(config(url, tables={"offered": options[option]})) as server:
        for request_name in (*REQUESTS, "version 1", "hash of version 1"):
            answer = said(server.url, request_name)
            body = answer.body if answer.status != 200 else repr(_messages(answer)).encode()
            assert SECRET.encode() not in body
            assert b"its database refused it (" in body
    assert (SECRET in caplog.text) == (option != "mask")


@on_engines("sqlite")
@pytest.mark.parametrize("columns", [["id", "number"], []])
def test_errors_of_computed_columns(database_url: str, columns: list[str]) -> None:
    """An error of a computed column, which may quote other columns, is shown only if all columns are offered."""
    execute(
        database_url,
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, extra TEXT)",
        f"INSERT INTO orders VALUES (2, '{SECRET}')",
        "ALTER TABLE orders ADD COLUMN number INTEGER AS (json_extract(extra, '$'))",
    )
    with RunningServer(config(database_url, tables={"offered": {"table": "orders", "columns": columns}})) as server:
        body = ask(server.url, "/getRows", GetRows(table_slice=SLICE)).body
    assert (b"malformed JSON" in body) == (not columns), body


@on_engines("postgresql")
def test_check_shows_what_the_database_said(url: str) -> None:
    """`check --connect` shows the database's message."""
    settings = {"connections": {"source": url}, "tables": {"offered": offers(url)["view"]}}
    execute(url, "DELETE FROM orders WHERE id = 1")
    [trial] = [trial for trial in try_server(ServerConfig.from_dict(settings)) if trial.what == "table"]
    assert trial.failed
    assert SECRET in trial.message


@on_engines("postgresql")
@pytest.mark.parametrize("of", ["window", "key_range"])
@pytest.mark.parametrize("way", ["token", "query", "view", "policy"])
def test_estimated_rows(database_url: str, way: str, of: str) -> None:
    """The estimated rows of a window or a key range count only rows that the client may see."""
    # The statistics of PostgreSQL cover all rows of a table, so an estimate could show how frequent a hidden value is.
    seen = "branch = 'berlin'"
    execute(
        database_url,
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, branch TEXT, amount INTEGER)",
        "INSERT INTO orders SELECT n, CASE WHEN n < 3000 THEN 'paris' ELSE 'berlin' END, CASE WHEN n < 3000 THEN 777 ELSE n END"
        " FROM generate_series(1, 6000) n",
        f"CREATE VIEW berlin AS SELECT * FROM orders WHERE {seen}",
        "ANALYZE orders",
    )
    options: dict[str, Any] = {"windows": ["amount"], "primary": "id", "table": "orders"}
    if way == "policy":
        options["allow_row_security"] = True
        # The role owns the table, and does not see through its policies, as that of the tests does.
        execute(
            database_url,
            f"CREATE ROLE {ROLE} LOGIN",
            f"ALTER TABLE orders OWNER TO {ROLE}",
            "ALTER TABLE orders ENABLE ROW LEVEL SECURITY",
            "ALTER TABLE orders FORCE ROW LEVEL SECURITY",
            f"CREATE POLICY berlin ON orders USING ({seen})",
        )
    if way == "query":
        options = {"windows": ["amount"], "primary": "id", "query": f"SELECT * FROM orders WHERE {seen}"}
    if way == "view":
        options["table"] = "berlin"
    token: dict[str, Any] = {"token": "berlin", "where": {"offered": seen} if way == "token" else {}}
    window = Window(column="amount", start="777", end="778")
    part = {"window": window} if of == "window" else {"key_range": (1, 2999)}
    request = DescribeTable(table_slice=RequestedSlice(name="offered", **part), digests=False)  # type: ignore[arg-type]
    source = make_url(database_url).set(username=ROLE) if way == "policy" else make_url(database_url)
    shown = source.render_as_string(hide_password=False)
    with RunningServer(config(shown, tables={"offered": options}, tokens=[token])) as server:
        [described] = messages(ask(server.url, "/describeTable", request, token="berlin"))
    if way == "policy":
        execute(database_url, "ALTER TABLE orders OWNER TO CURRENT_USER", f"DROP ROLE {ROLE}")
    assert isinstance(described, Described)
    assert described.rows == 0
