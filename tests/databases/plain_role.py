"""A role of PostgreSQL as syncs usually have it: all privileges on the tables of a schema, but neither superuser nor owner."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import create_engine, make_url
from sqlalchemy.pool import NullPool


@contextmanager
def plain_role(url: str) -> Iterator[str]:
    """Make such a role for a database and yield the URL by which it connects; what is made later is its own to use, too."""
    parsed = make_url(url).set(drivername="postgresql+psycopg")
    administrator = create_engine(parsed, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    role = f"sync_plain_{secrets.token_hex(4)}"

    def run(*statements: str) -> None:
        with administrator.connect() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)

    run(
        f"CREATE ROLE {role} LOGIN PASSWORD 'plain'",
        f"GRANT ALL ON SCHEMA public TO {role}",
        f"ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO {role}",
        f"ALTER DEFAULT PRIVILEGES GRANT ALL ON SEQUENCES TO {role}",
        f"ALTER DEFAULT PRIVILEGES GRANT ALL ON SCHEMAS TO {role}",
    )
    try:
        yield make_url(url).set(username=role, password="plain").render_as_string(hide_password=False)
    finally:
        run(f"DROP OWNED BY {role} CASCADE", f"DROP ROLE {role}")
        administrator.dispose()
