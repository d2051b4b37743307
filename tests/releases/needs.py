"""What tests need that old releases of a database lack."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import Connection

_WORDS = {"postgresql": r"PostgreSQL ([\d.]+)", "mariadb": r"([\d.]+)-MariaDB"}


def needs(connection: Connection, engine: str, version: tuple[int, ...], what: str) -> None:
    """Skip the test on a server of this engine that is older; on others it goes on.

    :param what: what older ones lack
    """
    if connection.dialect.name == "sqlite":
        return
    told = str(connection.exec_driver_sql("SELECT version()").scalar_one())
    connection.rollback()
    found = re.search(_WORDS[engine], told)
    if found and tuple(map(int, found[1].split("."))) < version:
        pytest.skip(f"{engine} {found[1]} has no {what}")
