"""The rows that the benchmark makes: the same table on every engine, 136 bytes of text a row."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.benchmarks.rows import Rows, execute, kind

_CREATE = {
    "mysql": "CREATE TABLE orders (id BIGINT PRIMARY KEY, code VARCHAR(32) NOT NULL, amount DECIMAL(12,2),"
    " updated_at DATETIME(6), note TEXT) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
    "postgresql": "CREATE TABLE orders (id BIGINT PRIMARY KEY, code VARCHAR(32) NOT NULL, amount NUMERIC(12,2),"
    " updated_at TIMESTAMP(6), note TEXT)",
    "sqlite": "CREATE TABLE orders (id INTEGER PRIMARY KEY, code VARCHAR(32) NOT NULL, amount DECIMAL(12,2),"
    " updated_at DATETIME, note TEXT)",
}

_FILL = {
    "mysql": "INSERT INTO orders SELECT seq, CONCAT('code-', CRC32(seq), '-', seq), ROUND(RAND(seq) * 1000000, 2),"
    " TIMESTAMPADD(MICROSECOND, seq * 997, '2024-01-01 00:00:00'), CONCAT(SHA1(seq), ' ', LEFT(SHA1(seq + 1), seq MOD 64))"
    " FROM seq_1_to_{count}",
    "postgresql": "INSERT INTO orders SELECT i, 'code-' || abs(hashint8(i)) || '-' || i, round((random() * 1000000)::numeric, 2),"
    " '2024-01-01'::timestamp + i * interval '997 microseconds', md5(i::text) || 'abcdefgh ' || left(md5((i + 1)::text)"
    " || md5(i::text), (i % 64)::int) FROM generate_series(1, {count}) AS i",
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})"
    " INSERT INTO orders SELECT i, 'code-' || abs(random() % 4294967296) || '-' || i,"
    " round(abs(random() % 100000000) / 100.0, 2),"
    " strftime('%Y-%m-%d %H:%M:%f', 1704067200 + i, 'unixepoch') || '000', lower(hex(randomblob(20))) || ' '"
    " || substr(lower(hex(randomblob(32))), 1, i % 64) FROM n",
}


def _load(url: str, count: int, folder: Path) -> None:
    execute(url, _FILL[kind(url)].format(count=count))


MADE_ROWS = Rows(
    about="made rows",
    table="orders",
    columns=("code", "amount", "updated_at", "note"),
    creates=_CREATE,
    load=_load,
    change="amount = amount + 1",
)

MADE_ROWS_BY_CODE = replace(
    MADE_ROWS,
    about="made rows, text key",
    columns=("id", "amount", "updated_at", "note"),
    key="code",
    rekey="ALTER TABLE orders DROP PRIMARY KEY, ADD PRIMARY KEY (code)",
)
"""MySQL and MariaDB only."""
