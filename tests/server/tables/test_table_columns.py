"""Which columns version 2 answers with, and what it says of tables that it cannot serve."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy

from airflow_provider_sync.databases.sqlite.catalog import SQLiteCatalog
from airflow_provider_sync.protocol.v2.messages import DescribeTable, DigestRows, GetRows, RequestedSlice, Window
from tests.server.tables.served_tables import BESIDE_T, MISFITS, execute, served
from tests.server.tables.version2_answers import ALL, T, describe, digests, refusal, rows
from tests.server.wire import ask


def test_columns(url: str) -> None:
    """A request names columns; the key is always included, and the order is the table's."""
    with served(url) as base:
        for asked, names in ((["a"], ["id", "a"]), (["a", "b"], ["b", "id", "a"]), ([], ["id"])):
            requested_slice = RequestedSlice(name="t", columns=tuple(asked))
            described, segments = describe(base, requested_slice)
            assert [column.name for column in described.columns] == names
            before = (
                segments,
                digests(base, requested_slice=requested_slice),
                rows(base, len(names), requested_slice=requested_slice),
            )
            execute(url, "UPDATE t SET b = COALESCE(b, 0) + 1")
            after = (
                describe(base, requested_slice)[1],
                digests(base, requested_slice=requested_slice),
                rows(base, len(names), requested_slice=requested_slice),
            )
            assert (before == after) == ("b" not in names)
        field, message = refusal(ask(base, "/getRows", GetRows(table_slice=RequestedSlice(name="t", columns=("a", "nope")))))
    assert field == "table_slice.columns"
    assert "no column 'nope'" in message
    assert "b, id, a" in message


def test_configured_columns(url: str) -> None:
    """A column that the configuration leaves out does not exist for the client."""
    with served(url, t={"columns": ["id", "a"]}) as base:
        assert [column.name for column in describe(base)[0].columns] == ["id", "a"]
        hidden = ask(base, "/describeTable", DescribeTable(table_slice=RequestedSlice(name="t", columns=("b",))))
        assert refusal(hidden)[1].endswith("no column 'b'. Its columns: id, a.")


@pytest.mark.parametrize("engine", ["mariadb", "mysql"])
def test_invisible_and_generated(request: pytest.FixtureRequest, engine: str) -> None:
    """A generated column is a value like any other, and so is an invisible one."""
    url = request.getfixturevalue(f"{engine}_url")
    execute(
        url,
        "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY INVISIBLE,"
        " h INT INVISIBLE, g INT AS (h * 2) STORED, v INT AS (h + 1))",
        "INSERT INTO t (id, h) VALUES (1, 5)",
    )
    with served(url, t={}, named={"table": "t", "columns": ["id", "h"]}) as base:
        assert rows(base, 4) == [(b"1", b"5", b"10", b"6")]
        assert rows(base, 2, requested_slice=RequestedSlice(name="t", columns=("h",))) == [(b"1", b"5")]
        assert rows(base, 2, requested_slice=RequestedSlice(name="named")) == [(b"1", b"5")]


def test_odd_column_names(database_url: str) -> None:
    """A column may have any name."""
    engine = sqlalchemy.make_url(database_url).get_backend_name()
    quote = "`" if engine == "mysql" else '"'
    names = ["a%b", "a:b", "select", "né", "it's"]
    columns = ", ".join(f"{quote}{name}{quote} INT" for name in names).replace(":", "\\:")
    execute(database_url, f"CREATE TABLE t (id INT NOT NULL PRIMARY KEY, {columns})", "INSERT INTO t VALUES (1, 1, 2, 3, 4, 5)")
    with served(database_url, t={"windows": names}) as base:
        for name in names:
            requested_slice = RequestedSlice(name="t", columns=(name,), window=Window(column=name, start="0", end="9"))
            assert [column.name for column in describe(base, requested_slice)[0].columns] == ["id", name]
            assert rows(base, 2, requested_slice=requested_slice) == [(b"1", b"%d" % (names.index(name) + 1))]
            assert len(digests(base, requested_slice=requested_slice)) == 1


def test_types_that_cannot_be_carried(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A column without a canonical text is named, with what to do; without it, the table is sent."""
    known = SQLiteCatalog.logical_type
    monkeypatch.setattr(SQLiteCatalog, "logical_type", lambda self, column: known(self, column) if column.name != "p" else None)
    execute(sqlite_url, "CREATE TABLE t (id INT PRIMARY KEY NOT NULL, p POINT)", "INSERT INTO t (id) VALUES (1)")
    with served(sqlite_url, t={"windows": ["p"]}, narrow={"table": "t", "columns": ["id"]}) as base:
        field, message = refusal(ask(base, "/describeTable", DescribeTable(table_slice=T)))
        assert field == "table_slice.columns"
        assert "column 'p' of type POINT" in message
        assert "Leave it out with `columns`" in message
        assert rows(base, 1, requested_slice=RequestedSlice(name="narrow")) == [(b"1",)]
        assert rows(base, 1, requested_slice=RequestedSlice(name="t", columns=("id",))) == [(b"1",)]
        by_it = RequestedSlice(name="t", columns=("id",), window=Window(column="p", start="1", end="2"))
        assert refusal(ask(base, "/getRows", GetRows(table_slice=by_it)))[0] == "table_slice.window"


def test_key_without_value(url: str) -> None:
    """Rows without a key are refused before the body begins."""
    with served(url, t={"primary": "b"}) as base:
        _, message = refusal(ask(base, "/describeTable", DescribeTable(table_slice=T)))
        assert "without a value in 'b'" in message
        execute(url, "DELETE FROM t WHERE b IS NULL")
        assert describe(base)[0].key == ("b",)


@pytest.mark.parametrize(("options", "words"), MISFITS)
def test_configuration_that_does_not_fit(url: str, options: dict[str, Any], words: str) -> None:
    """A configuration that does not fit the table is refused before the body, with what to do."""
    execute(url, *BESIDE_T)
    with served(url, t=options) as base:
        for path, request in (
            ("/describeTable", DescribeTable(table_slice=T)),
            ("/digestRows", DigestRows(table_slice=T, partitioning=ALL)),
            ("/getRows", GetRows(table_slice=T)),
        ):
            field, message = refusal(ask(base, path, request))
            assert field == "config_name"
            assert words in message
