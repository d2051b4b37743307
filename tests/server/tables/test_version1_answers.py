"""What is answered about tables."""

from __future__ import annotations

import json
import zlib
from hashlib import sha1
from typing import Any

import pytest
import sqlalchemy

from airflow_provider_sync.protocol.v1 import EMPTY
from tests.server.tables.served_tables import BESIDE_T, MISFITS, execute, served
from tests.server.wire import Answer, post


def rows(answer: Answer) -> list[dict[str, Any]]:
    """Return the rows of a whole answer."""
    assert answer.status == 200, answer.body
    return [json.loads(line) for line in zlib.decompress(answer.body, wbits=31).splitlines()]


def refusal(answer: Answer) -> str:
    """Return the one message of a refusal."""
    assert (answer.status, answer.headers["content-type"]) == (422, "application/json")
    [message] = json.loads(answer.body)["config_name"]
    assert isinstance(message, str)
    return message


@pytest.fixture
def url(database_url: str) -> str:
    """Have a table on every engine."""
    execute(
        database_url,
        "CREATE TABLE t (b INT, id INT PRIMARY KEY, a VARCHAR(20) NOT NULL)",
        "INSERT INTO t (id, a, b) VALUES (3, 'x', 30), (1, 'z', NULL), (2, 'y', 20)",
    )
    return database_url


def test_rows(url: str) -> None:
    """Rows are in the order of the primary key, columns in the order of the table."""
    with served(url) as base:
        answer = post(base, "/getTable", {"config_name": "t"})
    assert [list(row.items()) for row in rows(answer)] == [
        [("b", None), ("id", 1), ("a", "z")],
        [("b", 20), ("id", 2), ("a", "y")],
        [("b", 30), ("id", 3), ("a", "x")],
    ]


def test_hash(url: str) -> None:
    """Both endpoints for the hash agree; a hash that was not requested is not computed."""
    with served(url) as base:
        digest = json.loads(post(base, "/getTableHash", {"config_name": "t"}).body)["hash"]
        same = post(base, "/getTable", {"config_name": "t", "hash": digest})
        other = post(base, "/getTable", {"config_name": "t", "hash": EMPTY})
        unasked = post(base, "/getTable", {"config_name": "t"})
    assert (same.status, same.body, same.headers["etag"]) == (304, b"", f'"{digest}"')
    assert len(rows(other)) == 3
    assert other.headers["etag"] == f'"{digest}"'
    assert "etag" not in unasked.headers


def test_empty_table(url: str) -> None:
    """An empty table is the gzip of nothing, and its hash says that it is empty."""
    execute(url, "DELETE FROM t")
    with served(url) as base:
        assert json.loads(post(base, "/getTableHash", {"config_name": "t"}).body) == {"hash": EMPTY}
        assert rows(post(base, "/getTable", {"config_name": "t", "hash": "x"})) == []
        assert post(base, "/getTable", {"config_name": "t", "hash": EMPTY}).status == 304


def test_primary(url: str) -> None:
    """The configured key orders the rows, and does not change the hash."""
    with served(url, t={}, by_a={"table": "t", "primary": "a"}) as base:
        assert [row["a"] for row in rows(post(base, "/getTable", {"config_name": "by_a"}))] == ["x", "y", "z"]
        hashes = {post(base, "/getTableHash", {"config_name": name}).body for name in ("t", "by_a")}
    assert len(hashes) == 1


def test_columns(url: str) -> None:
    """Configured columns restrict rows and hash, in the order of the table."""
    with served(url, t={"columns": ["id", "b"]}) as base:
        answer = post(base, "/getTable", {"config_name": "t", "hash": "x"})
        assert list(rows(answer)[0].items()) == [("b", None), ("id", 1)]
        execute(url, "UPDATE t SET a = 'changed'")
        assert post(base, "/getTable", {"config_name": "t", "hash": answer.headers["etag"].strip('"')}).status == 304


@pytest.mark.parametrize(("options", "words"), MISFITS)
def test_refused(url: str, options: dict[str, Any], words: str) -> None:
    """A configuration that does not fit the table is refused before the body, with what to do."""
    execute(url, *BESIDE_T)
    with served(url, t=options) as base:
        for fields in ({}, {"hash": "x"}):
            assert words in refusal(post(base, "/getTable", {"config_name": "t", **fields}))


def test_without_primary_key(url: str) -> None:
    """A table without a primary key is sent, and hashed, in the order of a configured key."""
    execute(url, "CREATE TABLE keyless (a INT NOT NULL)", "INSERT INTO keyless VALUES (2), (1)")
    with served(url, t={"table": "keyless", "primary": "a"}, keyless={}) as base:
        answer = post(base, "/getTable", {"config_name": "t", "hash": "x"})
        assert [row["a"] for row in rows(answer)] == [1, 2]
        found = json.loads(post(base, "/getTableHash", {"config_name": "t"}).body)["hash"]
        assert found == sha1((sha1(b"|1").hexdigest() + "|2").encode()).hexdigest()
        assert answer.headers["etag"] == f'"{found}"'
        assert post(base, "/getTable", {"config_name": "t", "hash": found}).status == 304
        assert "Name the columns" in refusal(post(base, "/getTableHash", {"config_name": "keyless"}))


def test_hasher(url: str) -> None:
    """A user's hasher replaces the protocol's own."""
    engine = sqlalchemy.make_url(url).get_backend_name()
    with served(url, t={"hasher": "tests.server.tables.hashers.NamingHasher"}) as base:
        answer = post(base, "/getTableHash", {"config_name": "t"})
        assert json.loads(answer.body) == {"hash": f"{engine}/t"}
        assert post(base, "/getTable", {"config_name": "t", "hash": f"{engine}/t"}).status == 304


def test_missing_hasher(sqlite_url: str) -> None:
    """A missing hasher is a server error that names it."""
    execute(sqlite_url, "CREATE TABLE t (id INTEGER PRIMARY KEY)")
    with served(sqlite_url, t={"hasher": "nowhere.Hasher"}) as base:
        answer = post(base, "/getTableHash", {"config_name": "t"})
    assert answer.status == 500
    assert "'nowhere.Hasher'" in json.loads(answer.body)["message"]


@pytest.mark.parametrize("engine", ["sqlite", "mariadb", "postgresql"])
def test_unsendable(request: pytest.FixtureRequest, engine: str) -> None:
    """A value that JSON cannot carry is found before the body; the hash and other columns are not affected."""
    url = request.getfixturevalue(f"{engine}_url")
    kind = {"sqlite": "BLOB", "mariadb": "VARBINARY(10)", "postgresql": "BYTEA"}[engine]
    value = r"'\xff'::bytea" if engine == "postgresql" else "x'ff'"
    execute(url, f"CREATE TABLE t (id INT PRIMARY KEY, a {kind})", f"INSERT INTO t VALUES (1, NULL), (2, {value})")
    with served(url, t={}, narrow={"table": "t", "columns": ["id"]}) as base:
        message = refusal(post(base, "/getTable", {"config_name": "t", "hash": "x"}))
        assert "column 'a'" in message
        assert "version 2" in message
        digest = json.loads(post(base, "/getTableHash", {"config_name": "t"}).body)["hash"]
        assert post(base, "/getTable", {"config_name": "t", "hash": digest}).status == 304
        assert len(rows(post(base, "/getTable", {"config_name": "narrow"}))) == 2


def test_odd_names(sqlite_url: str) -> None:
    """Any name is sent safely in a header."""
    execute(sqlite_url, "CREATE TABLE t (id INTEGER PRIMARY KEY)")
    names = {'quo"te': 'quo\\"te', "back\\slash": "back\\\\slash", "a\r\nX-Injected: 1": "a__X-Injected: 1", "né 😀": "né 😀"}
    with served(sqlite_url, **{name: {"table": "t"} for name in names}) as base:
        for name, shown in names.items():
            answer = post(base, "/getTable", {"config_name": name})
            header = answer.headers["content-disposition"].encode("latin-1").decode()
            assert (answer.status, header) == (200, f'attachment; filename="{shown}.txt"')
            assert "x-injected" not in answer.headers
