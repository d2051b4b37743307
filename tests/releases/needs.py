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
    found = _version(connection, engine)
    if found and found < version:
        pytest.skip(f"{engine} {_text(found)} has no {what}")


def lacks(connection: Connection, engine: str, version: tuple[int, ...], what: str) -> None:
    """Skip the test on a server of this engine that is not older; on others it goes on.

    :param what: what newer ones lack
    """
    found = _version(connection, engine)
    if found and found >= version:
        pytest.skip(f"{engine} {_text(found)} has not {what}")


def _version(connection: Connection, engine: str) -> tuple[int, ...] | None:
    if connection.dialect.name == "sqlite":
        return None
    told = str(connection.exec_driver_sql("SELECT version()").scalar_one())
    connection.rollback()
    found = re.search(_WORDS[engine], told)
    return tuple(map(int, found[1].split("."))) if found else None


def _text(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
