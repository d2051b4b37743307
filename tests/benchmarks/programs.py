"""The command lines of the databases' own tools, up to what they are to do."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import sqlalchemy


def mariadb(url: str, program: str = "mariadb") -> list[str]:
    """Return a client of MariaDB's (``mariadb``, ``mariadb-dump``) with login and database."""
    parsed = sqlalchemy.make_url(url)
    login = [f"--user={parsed.username}", f"--password={parsed.password}", "--host=127.0.0.1", f"--port={parsed.port}"]
    return [program, "--no-defaults", *login, str(parsed.database)]


def psql(url: str) -> list[str]:
    """Return ``psql`` with login and database: quiet, and an error ends it."""
    return [postgresql("psql"), "--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1", plain(url)]


def postgresql(program: str) -> str:
    """Return the path of a program of the newest PostgreSQL.

    :raises RuntimeError: when it is not installed
    """
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"), key=lambda path: int(path.parts[-3]))
    path = str(found[-1]) if found else shutil.which(program)
    if path is None or not os.access(path, os.X_OK):
        raise RuntimeError(f"{program} is not installed")
    return path


def plain(url: str) -> str:
    """Return the URL as tools that know nothing of SQLAlchemy's drivers take it."""
    parsed = sqlalchemy.make_url(url)
    return parsed.set(drivername=parsed.get_backend_name()).render_as_string(hide_password=False)
