"""The check of SQL that an administrator writes."""

from __future__ import annotations

import pytest

from airflow_provider_sync.databases.mysql.queries import MySQLQueries
from airflow_provider_sync.databases.postgresql.queries import PostgreSQLQueries
from airflow_provider_sync.databases.sql_text import Syntax, find_mistake, find_mistake_in_query
from airflow_provider_sync.databases.sqlite.queries import SQLiteQueries

MYSQL, POSTGRESQL, SQLITE = MySQLQueries.syntax, PostgreSQLQueries.syntax, SQLiteQueries.syntax


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1",
        "  (select 1) union (select 2)",
        "WITH a AS (SELECT 1) SELECT * FROM a",
        "SELECT ';', ')', '--', '/*' -- ; ) it's",
        "SELECT 'it''s;' /* ; ) */ FROM t",
        'SELECT "a;b" FROM "c)d"',
        "SELECT update_time, REPLACE(a, ';', '') FROM updates",
    ],
)
@pytest.mark.parametrize("syntax", [MYSQL, POSTGRESQL, SQLITE])
def test_one_query(text: str, syntax: Syntax) -> None:
    """A semicolon, a parenthesis and a quote inside a quote or a comment are ignored."""
    assert find_mistake_in_query(text, syntax) is None


@pytest.mark.parametrize(
    ("syntax", "text"),
    [
        (MYSQL, r"SELECT 'it\'s;' # ; )"),
        (MYSQL, "SELECT `a;b`"),
        (POSTGRESQL, r"SELECT '\', E'it\'s;', $$;'$$, $a$ ; $$ $a$, a$b$ FROM t"),
        (POSTGRESQL, "SELECT 1 /* a /* b */ ; */"),
        (SQLITE, r"SELECT '\', [a;b], `c)`"),
    ],
)
def test_quotes_of_an_engine(syntax: Syntax, text: str) -> None:
    """Each engine's own quotes and comments are recognized."""
    assert find_mistake_in_query(text, syntax) is None


@pytest.mark.parametrize(
    ("syntax", "text", "words"),
    [
        (SQLITE, "SELECT 1; DELETE FROM t", "has a semicolon"),
        (POSTGRESQL, r"SELECT '\'; DELETE FROM t --'", "has a semicolon"),
        (MYSQL, r"SELECT '\\'; DELETE FROM t -- '", "has a semicolon"),
        (MYSQL, "SELECT 1 /*! ; DELETE FROM t */", "that the database runs"),
        (SQLITE, "SELECT 1) t; DELETE FROM x --", "closes a parenthesis that it does not open"),
        (SQLITE, "SELECT (1", "opens a parenthesis that it does not close"),
        (SQLITE, "SELECT 'a", "does not end"),
        (POSTGRESQL, "SELECT $a$ 1 $$", "does not end"),
        (MYSQL, "SELECT 1 /* a", "does not end"),
        (SQLITE, "DELETE FROM t", "begins with DELETE, and may only read"),
        (SQLITE, "\n update t SET a = 1", "begins with UPDATE, and may only read"),
        (SQLITE, "EXPLAIN SELECT 1", "is no query"),
        (SQLITE, "", "is no query"),
    ],
)
def test_mistakes(syntax: Syntax, text: str, words: str) -> None:
    """Several statements, an incomplete one, and anything but a SELECT are refused with what to do."""
    assert words in str(find_mistake_in_query(text, syntax))


def test_condition() -> None:
    """A condition cannot close the parentheses around it."""
    assert find_mistake("a = ')' AND (b OR c)", SQLITE) is None
    assert find_mistake("a = 1) OR (1 = 1", SQLITE) is not None
