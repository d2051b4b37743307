"""The rows that the benchmark makes: the same table on every engine, 136 bytes of text a row."""

from __future__ import annotations

import sqlalchemy

CREATE = {
    "mysql": "CREATE TABLE {name} (id BIGINT PRIMARY KEY, code VARCHAR(32) NOT NULL, amount DECIMAL(12,2),"
    " updated_at DATETIME(6), note TEXT) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
    "postgresql": "CREATE TABLE {name} (id BIGINT PRIMARY KEY, code VARCHAR(32) NOT NULL, amount NUMERIC(12,2),"
    " updated_at TIMESTAMP(6), note TEXT)",
    "sqlite": "CREATE TABLE {name} (id INTEGER PRIMARY KEY, code VARCHAR(32) NOT NULL, amount DECIMAL(12,2),"
    " updated_at DATETIME, note TEXT)",
}

FILL = {
    "mysql": "INSERT INTO orders SELECT seq, CONCAT('code-', CRC32(seq), '-', seq), ROUND(RAND(seq) * 1000000, 2),"
    " TIMESTAMPADD(MICROSECOND, seq * 997, '2024-01-01 00:00:00'), CONCAT(SHA1(seq), ' ', LEFT(SHA1(seq + 1), seq MOD 64))"
    " FROM seq_1_to_{rows}",
    "postgresql": "INSERT INTO orders SELECT i, 'code-' || abs(hashint8(i)) || '-' || i, round((random() * 1000000)::numeric, 2),"
    " '2024-01-01'::timestamp + i * interval '997 microseconds', md5(i::text) || 'abcdefgh ' || left(md5((i + 1)::text)"
    " || md5(i::text), (i % 64)::int) FROM generate_series(1, {rows}) AS i",
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})"
    " INSERT INTO orders SELECT i, 'code-' || abs(random() % 4294967296) || '-' || i,"
    " round(abs(random() % 100000000) / 100.0, 2),"
    " strftime('%Y-%m-%d %H:%M:%f', 1704067200 + i, 'unixepoch') || '000', lower(hex(randomblob(20))) || ' '"
    " || substr(lower(hex(randomblob(32))), 1, i % 64) FROM n",
}

TEXT_KEY = {
    "mysql": "ALTER TABLE orders DROP PRIMARY KEY, ADD PRIMARY KEY (code)",
}


def kind(url: str) -> str:
    """Return which SQL the database speaks."""
    name = sqlalchemy.make_url(url).get_backend_name()
    return "mysql" if name == "mariadb" else name


def create(url: str) -> None:
    """Make the empty table."""
    execute(url, CREATE[kind(url)].format(name="orders"))


def fill(url: str, rows: int) -> None:
    """Make the table with so many rows."""
    create(url)
    execute(url, FILL[kind(url)].format(rows=rows), *(["ANALYZE TABLE orders"] if kind(url) == "mysql" else ["ANALYZE orders"]))


def execute(url: str, *statements: str) -> None:
    """Run statements, each committed."""
    engine = sqlalchemy.create_engine(url)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for statement in statements:
            if kind(url) != "sqlite":
                statement = statement.replace("%", "%%")
            connection.exec_driver_sql(statement).close()
    engine.dispose()
