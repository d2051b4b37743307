"""A user of MariaDB or MySQL who has only some privileges."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import make_url

from tests.scenario import opened


@contextmanager
def user_with(url: str, privileges: str) -> Iterator[str]:
    """Make a user who has these privileges in the database, and give the URL with which he connects."""
    parsed = make_url(url)
    name = f"u{secrets.token_hex(4)}"
    with opened(url) as database:
        for host in ("localhost", "%"):
            database.execute(
                f"CREATE USER '{name}'@'{host}' IDENTIFIED BY 'p'",
                f"GRANT {privileges} ON {parsed.database}.* TO '{name}'@'{host}'",
            )
        try:
            yield parsed.set(username=name, password="p").render_as_string(hide_password=False)
        finally:
            for host in ("localhost", "%"):
                database.execute(f"DROP USER '{name}'@'{host}'")
