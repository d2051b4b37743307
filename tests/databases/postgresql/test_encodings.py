"""Databases in other encodings than UTF-8."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_provider_sync.databases.postgresql.database import PostgreSQLDatabase
from airflow_provider_sync.exceptions import TableError
from tests.databases.postgresql.databases import open_database, run
from tests.databases.postgresql.test_values import load, read


@pytest.fixture
def encoded_database(database: PostgreSQLDatabase, request: pytest.FixtureRequest) -> Iterator[PostgreSQLDatabase]:
    """Give a database in the encoding that is the fixture's parameter."""
    url = database.engine.url
    name = f"{url.database}_encoded"
    run(database, f"CREATE DATABASE {name} TEMPLATE template0 ENCODING '{request.param}' LOCALE_PROVIDER libc LOCALE 'C'")
    try:
        # SQLAlchemy itself cannot start on psycopg in a database of SQL_ASCII without the option.
        url = url.set(database=name, query={"client_encoding": "utf8"})
        with open_database(url.render_as_string(hide_password=False), database.engine.dialect.driver) as encoded:
            yield encoded
    finally:
        run(database, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.mark.parametrize("encoded_database", ["LATIN1"], indirect=True)
def test_databases_in_other_encodings_speak_utf8(encoded_database: PostgreSQLDatabase) -> None:
    """Text of a LATIN1 database is read and written as UTF-8; a missing character is refused."""
    run(encoded_database, "CREATE TABLE t (id text PRIMARY KEY)")
    assert load(encoded_database, ("ü",)) == 1
    with pytest.raises(TableError, match=r'no equivalent in encoding "LATIN1".*database in UTF8'):
        load(encoded_database, ("📦",))
    assert read(encoded_database, order_by=("id",)) == [("ü",)]


@pytest.mark.parametrize("encoded_database", ["SQL_ASCII"], indirect=True)
def test_text_that_is_not_utf8_is_refused(encoded_database: PostgreSQLDatabase) -> None:
    """Non-UTF-8 text, which some databases store, is an error that says so."""
    run(encoded_database, "CREATE TABLE t (id text PRIMARY KEY)", "INSERT INTO t VALUES (chr(252))")
    with pytest.raises(TableError, match='invalid byte sequence for encoding "UTF8": 0xfc'):
        read(encoded_database)
