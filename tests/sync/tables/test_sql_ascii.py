"""PostgreSQL databases in SQL_ASCII, whose texts are bytes of nobody knows which encoding: UTF-8 is carried, else refused."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest
from sqlalchemy import make_url

from airflow_provider_sync.exceptions import SyncError
from tests.database_servers import DatabaseServers
from tests.sync.link import Link, linked
from tests.sync.tables.test_row_security import on

TABLE = "CREATE TABLE t (code text PRIMARY KEY, v varchar(20), n int[])"
ROWS = "INSERT INTO t VALUES ('é', 'Übergröße 😀', '{1,NULL}'), ('a', NULL, NULL), ('漢', '', '{}')"


@pytest.fixture
def ascii_url(database_servers: DatabaseServers, postgresql_url: str) -> Iterator[str]:
    """Give the URL of a database in SQL_ASCII."""
    name = f"sync_test_{secrets.token_hex(6)}"
    with on(postgresql_url) as server:
        server.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'")
        yield make_url(postgresql_url).set(database=name).render_as_string(hide_password=False)
        server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.mark.parametrize("protocol", [pytest.param("1", marks=pytest.mark.slow), "2"])
@pytest.mark.parametrize("driver", ["psycopg", pytest.param("psycopg2", marks=pytest.mark.slow)])
@pytest.mark.parametrize("side", ["source", "target"])
def test_text_in_utf_8(postgresql_url: str, ascii_url: str, side: str, driver: str, protocol: str) -> None:
    """UTF-8 text arrives unchanged, from and to such a database, and changes are found."""
    ascii_url = ascii_url.replace("postgresql:", f"postgresql+{driver}:")
    urls = (ascii_url, postgresql_url) if side == "source" else (postgresql_url, ascii_url)
    with linked(*urls) as link:
        link.protocol = protocol
        link.create(TABLE)
        link.source.execute(ROWS)
        link.sync_one("t")
        link.assert_equal("t")
        link.source.execute("UPDATE t SET v = 'ß' WHERE code = 'é'", "DELETE FROM t WHERE code = '漢'")
        assert link.sync_one("t").rows_updated == 1
        link.assert_equal("t")
        assert link.sync_one("t").status == "unchanged"


@pytest.mark.parametrize("protocol", ["1", "2"])
def test_text_in_another_encoding(postgresql_url: str, ascii_url: str, protocol: str) -> None:
    """Text that is not UTF-8 is an error that says so, and nothing is written."""
    with linked(ascii_url, postgresql_url) as link:
        link.protocol = protocol
        link.create(TABLE)
        link.target.execute("INSERT INTO t VALUES ('old', 'x')")
        link.source.execute(r"INSERT INTO t VALUES ('a', E'\xe9')")
        refused(link)
        link.source.execute("DELETE FROM t", r"INSERT INTO t VALUES (E'\xe9', 'a')")
        refused(link)


def refused(link: Link) -> None:
    """Check that a sync names the encoding, is not tried again, and changes nothing."""
    with pytest.raises(SyncError, match=r"UTF-?8") as raised:
        link.sync_one("t")
    assert not raised.value.retryable
    assert link.target.rows("t") == [("old", "x", None)]
    link.assert_clean()
