"""The engines, and which one a database needs."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from sqlalchemy import Engine

from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.exceptions import ConfigurationError

_ENGINES = {
    "mysql": "mysql.database.MySQLDatabase",
    "mariadb": "mysql.database.MySQLDatabase",
    "postgresql": "postgresql.database.PostgreSQLDatabase",
    "sqlite": "sqlite.database.SQLiteDatabase",
}


def database_for(engine: Engine) -> Database:
    """Return the database behind an SQLAlchemy engine.

    :raises ConfigurationError: for an engine that is not supported
    """
    try:
        module, name = _ENGINES[engine.dialect.name].rsplit(".", 1)
    except KeyError:
        raise ConfigurationError(
            f"Databases of type {engine.dialect.name!r} are not supported. Use MySQL, MariaDB, PostgreSQL or SQLite."
        ) from None
    return cast("Database", getattr(import_module(f"{__package__}.{module}"), name)(engine))
