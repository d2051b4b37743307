"""Masks at the source, from each engine to SQLite: what arrives, and that nothing else was on the way."""

from __future__ import annotations

import gzip
import hmac
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import ServerConfig, table_from_options
from airflow_provider_sync.exceptions import SyncError
from airflow_provider_sync.protocol.v2.compression import decompress
from airflow_provider_sync.protocol.v2.stream import parse_media_type
from airflow_provider_sync.report import TableReport
from airflow_provider_sync.server.process.uvicorn_server import RunningServer
from airflow_provider_sync.sync import sync_tables
from tests.sync.link import Link, linked
from tests.sync.tables.cutting_proxy import CuttingProxy, cutting_proxy
from tests.sync.tables.offered import shop, target_rows

__all__ = ["shop"]

KEY = "a key of the mask, longer than a block of SHA-256, which is 64 bytes long"
SECRETS = ("ann@example.com", "Zoë Ünique", "555-0100", "1984-05-17", "prefix and hidden tail", "4711.25", "o'hara%d@example.com")
"""Values that must not leave the source."""

PEOPLE = (
    "CREATE TABLE people (id INTEGER NOT NULL PRIMARY KEY, email VARCHAR(80) NOT NULL, name VARCHAR(20), phone VARCHAR(20),"
    " born DATE, note VARCHAR(60), salary DECIMAL(8,2), country VARCHAR(2))",
    "INSERT INTO people VALUES (1, 'ann@example.com', 'Zoë Ünique', '555-0100', '1984-05-17', 'prefix and hidden tail', 4711.25,"
    " 'DE'), (2, 'o''hara%d@example.com', NULL, NULL, NULL, NULL, NULL, NULL)",
    "CREATE TABLE letters (id INTEGER NOT NULL PRIMARY KEY, recipient VARCHAR(80))",
    "INSERT INTO letters VALUES (1, 'ann@example.com'), (2, NULL)",
)
MASK = {
    "email": "hash",
    "name": "redact",
    "phone": None,
    "born": "year",
    "note": "SUBSTR(note, 1, 6) -- (the beginning",
    "salary": "hash",
}


def hashed(text: str) -> str:
    """Return the hash that stands for a value."""
    return hmac.new(KEY.encode(), text.encode(), "sha256").hexdigest()


@contextmanager
def masked(shop: Link, **tables: dict[str, Any]) -> Iterator[CuttingProxy]:
    """Serve tables behind a proxy that hears everything."""
    config = ServerConfig.from_dict({"connections": {"source": shop.source_url}, "tables": tables, "mask_key": KEY})
    with RunningServer(config) as server, cutting_proxy(server.url) as proxy:
        yield proxy


def sync(shop: Link, proxy: CuttingProxy, protocol: str, *names: str, **options: Any) -> list[TableReport]:
    """Sync tables over the proxy."""
    with SyncClient(proxy.url, retries=0, protocol=protocol) as client:
        return sync_tables(client, [table_from_options(name, options) for name in names], shop.target.database)


def heard(proxy: CuttingProxy) -> bytes:
    """Return all bodies, decompressed."""
    return b"\n".join(
        _plain(headers.get("Content-Type", ""), headers.get("Content-Encoding"), body) for headers, body in proxy.heard
    )


def _plain(content_type: str, encoding: str | None, body: bytes) -> bytes:
    if "compression" in content_type:
        return b"".join(decompress([body], parse_media_type(content_type), limit=1 << 24))
    return gzip.decompress(body) if encoding == "gzip" else body


def test_masked_values_stay(shop: Link, caplog: pytest.LogCaptureFixture) -> None:
    """Masked columns arrive masked, by both versions; original values are in no request, answer, report or log."""
    caplog.set_level(logging.DEBUG, logger="airflow_provider_sync")
    shop.source.execute(*PEOPLE)
    tables = {"people": {"mask": MASK, "windows": ["born", "email"]}, "letters": {"mask": {"recipient": "hash"}}}
    with masked(shop, **tables) as proxy:
        reports = sync(shop, proxy, "2", "people", "letters", create_table=True)
        ann, hara = hashed("ann@example.com"), hashed("o'hara%d@example.com")
        people = sorted(shop.target.rows("people"))
        assert people == [
            (1, ann, "***", None, 1984, "prefix", hashed("4711.25"), "DE"),
            (2, hara, None, None, None, None, None, None),
        ]
        # The same value has the same hash in another table, so that joins work.
        assert sorted(shop.target.rows("letters")) == [(1, ann), (2, None)]
        assert {report.status for report in sync(shop, proxy, "2", "people", "letters")} == {"unchanged"}
        # A change of what is hidden is none.
        shop.source.execute("UPDATE people SET name = 'other', phone = '555-0101', born = '1984-01-01' WHERE id = 1")
        assert {report.status for report in sync(shop, proxy, "2", "people", "letters")} == {"unchanged"}
        shop.source.execute("UPDATE people SET name = 'Zoë Ünique', born = '1984-05-17', country = 'FR' WHERE id = 1")
        reports += sync(shop, proxy, "2", "people")
        reports += sync(shop, proxy, "2", "people", window=["born", "1984", "1985"])
        shop.source.execute("UPDATE people SET country = 'IT' WHERE id = 1")
        reports += sync(shop, proxy, "1", "people", "letters")
        assert sorted(shop.target.rows("people")) == [(*people[0][:-1], "IT"), people[1]]
        reports += sync(shop, proxy, "1", "people", "letters")
    everything = heard(proxy).decode(errors="replace") + repr(reports) + caplog.text
    assert ann in everything
    for secret in (*SECRETS, KEY, "other", "555-0101", KEY.encode().hex(), hmac_key()):
        assert secret not in everything


@pytest.mark.parametrize("engine", ["postgresql", "duckdb"])
@pytest.mark.parametrize("sql_type", ["DATE", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE"])
def test_the_year_of_no_time(request: pytest.FixtureRequest, tmp_path: Path, engine: str, sql_type: str) -> None:
    """Infinite times, which two databases have, have no year, and do not affect other rows."""
    with linked(request.getfixturevalue(f"{engine}_url"), f"sqlite:///{tmp_path / 'copy.db'}") as link:
        link.protocol = "2"
        link.offered = {"t": {"mask": {"since": "year"}}}
        link.source.execute(
            f"CREATE TABLE t (id INTEGER PRIMARY KEY, since {sql_type})",
            "INSERT INTO t VALUES (1, 'infinity'), (2, '-infinity'), (3, '2024-02-29'), (4, NULL)",
        )
        assert link.sync_one("t", {"create_table": True}).rows_inserted == 4
        assert link.target.rows("t") == [(1, None), (2, None), (3, 2024), (4, None)]


def hmac_key() -> str:
    """Return, in hex, what of the key stands in statements."""
    return bytes(byte ^ 0x36 for byte in sha256(KEY.encode()).digest()).hex()


FAILING = {
    "postgresql": "CAST(email AS integer)",
    "mysql": "18446744073709551615 + LENGTH(email)",
    "sqlite": "json_extract(email, '$')",
    "duckdb": "CAST(email AS INTEGER)",
}


def test_errors_of_masks(shop: Link, caplog: pytest.LogCaptureFixture) -> None:
    """A database error with a masked value reaches neither a client nor a log; nothing is written."""
    caplog.set_level(logging.DEBUG, logger="airflow_provider_sync")
    shop.source.execute(*PEOPLE)
    shop.target.execute("CREATE TABLE people (id INTEGER PRIMARY KEY, email TEXT)", "INSERT INTO people VALUES (9, 'as it was')")
    mask = {"email": FAILING[shop.source.dialect], "name": "hash"}
    said = []
    with masked(shop, people={"mask": mask, "columns": ["id", "email", "name"]}) as proxy:
        for protocol in ("1", "2"):
            with pytest.raises(SyncError) as failed:
                sync(shop, proxy, protocol, "people", columns=["id", "email"])
            said.append(str(failed.value))
    assert target_rows(shop, "people") == [(9, "as it was")]
    everything = heard(proxy).decode(errors="replace") + "".join(said) + caplog.text
    assert "its database refused a statement" in everything
    for secret in (*SECRETS, hmac_key()):
        assert secret not in everything


UNUSABLE: list[tuple[dict[str, Any], str]] = [
    ({"mask": {"nope": "hash"}}, "there is no column 'nope', which `mask` names. Did you mean 'note'? Its columns: "),
    ({"mask": {"note": "nope(note"}}, "`mask of 'note'` opens a parenthesis that it does not close"),
    ({"mask": {"note": "note; DELETE FROM people"}}, "`mask of 'note'` has a semicolon"),
    ({"mask": {"note": "no_such_function_1(note)"}}, "`mask` cannot be used: "),
    ({"mask": {"id": "year_of_nothing"}}, "`mask` cannot be used: "),
    ({"mask": {"id": "'same'"}}, "several rows with the same id, its key, as `mask` changes 'id'. Mask it by `hash`, or name"),
    ({"mask": {"id": None}}, "without a value in 'id', a column of its key, as `mask` changes it. Mask it by `hash`, or"),
    ({"mask": {"country": "redact"}, "primary": "country"}, "without a value in 'country'"),
]


@pytest.mark.quick_on("sqlite", "postgresql")
def test_masks_that_cannot_be_used(shop: Link) -> None:
    """A mask that cannot be computed, or that makes keys equal, is refused with table, option and next step."""
    shop.source.execute(*PEOPLE)
    shop.target.execute("CREATE TABLE copy (id VARCHAR(64) PRIMARY KEY, note TEXT)", "INSERT INTO copy VALUES ('9', 'as it was')")
    tables = {f"p{number}": {"table": "people", **options} for number, (options, _) in enumerate(UNUSABLE)}
    with masked(shop, **tables) as proxy:
        for (name, (_, words)), version in product(zip(tables, UNUSABLE, strict=True), ("1", "2")):
            with pytest.raises(SyncError) as refused:
                sync(shop, proxy, version, name, table="copy", columns=["id", "note"])
            assert words in str(refused.value)
            assert repr(name) in str(refused.value)
    assert target_rows(shop, "copy") == [(9, "as it was")] or target_rows(shop, "copy") == [("9", "as it was")]


@pytest.mark.quick_on("mariadb")
def test_hash_in_a_short_column(shop: Link) -> None:
    """A target column that is too short for a hash is refused before a row is sent; SQLite and DuckDB ignore lengths."""
    if shop.source.dialect in ("sqlite", "duckdb"):
        pytest.skip("a target that enforces lengths is needed")
    shop.source.execute(*PEOPLE, "CREATE TABLE copy (id INTEGER NOT NULL PRIMARY KEY, email VARCHAR(40))")
    shop.source.execute("INSERT INTO copy VALUES (9, 'as it was')")
    with masked(shop, people={"mask": {"email": "hash"}}) as proxy, SyncClient(proxy.url, retries=0, protocol="2") as client:
        options = table_from_options("people", {"table": "copy", "columns": ["id", "email"]})
        with pytest.raises(SyncError, match="each value has 64 characters, and it has room for 40"):
            sync_tables(client, [options], shop.source.database)
    assert shop.source.rows("copy") == [(9, "as it was")]


@pytest.mark.quick_on("sqlite", "mariadb")
def test_masked_key(shop: Link) -> None:
    """A hashed key identifies rows as before, and its rows are updated and deleted."""
    shop.source.execute(*PEOPLE)
    with masked(shop, people={"mask": {"id": "hash", "email": "hash"}, "columns": ["id", "email", "country"]}) as proxy:
        sync(shop, proxy, "2", "people", create_table=True)
        shop.source.execute("UPDATE people SET country = 'IT' WHERE id = 2", "DELETE FROM people WHERE id = 1")
        (report,) = sync(shop, proxy, "2", "people", max_deletes="100%")
        assert (report.rows_updated, report.rows_deleted) == (1, 1)
        assert report.warnings == ()
        assert shop.target.rows("people") == [(hashed("2"), hashed("o'hara%d@example.com"), "IT")]
