"""The tables of the history: how they are created, and how later releases can change them."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    func,
    inspect,
    select,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateTable

from airflow_provider_sync.cancellation import current_cancellation
from airflow_provider_sync.databases.opening_limit import limited_answers
from airflow_provider_sync.databases.schema import HISTORY_TABLES
from airflow_provider_sync.exceptions import ConfigurationError
from airflow_provider_sync.history.records import MAX_NAME

VERSION = 1
"""Version of these tables. A release that changes them raises it, and has :func:`prepare` alter older tables."""

ANSWER_SECONDS = 20.0
"""Longest time, in seconds, that a sync waits for the database of its history, all statements of one record together."""


def answering(engine: Engine, *drivers: Any) -> AbstractContextManager[None]:
    """Limit the time for the history's database inside the block; it is shorter when the sync was ended from outside.

    :param drivers: drivers' connections to it that are already open
    :raises TransportError: if the database does not answer in time
    """
    cancellation = current_cancellation()
    seconds = ANSWER_SECONDS if cancellation is None or not cancellation.cancelled else cancellation.patience
    return limited_answers(engine, seconds, *drivers)


_MYSQL = ("mysql", "mariadb")

# Types that behave the same on every database: case-sensitive names, texts of megabytes, times without a zone that keep
# microseconds, and numbers that the database counts up.
_NAME = String(MAX_NAME).with_variant(mysql.VARCHAR(MAX_NAME, charset="utf8mb4", collation="utf8mb4_bin"), *_MYSQL)
_LONG_TEXT = Text().with_variant(mysql.MEDIUMTEXT(), *_MYSQL)
_TIME = DateTime().with_variant(mysql.DATETIME(fsp=6), *_MYSQL)
_COUNTED = BigInteger().with_variant(Integer, "sqlite")

_metadata = MetaData()

_records_name, _version_name, _running_name = HISTORY_TABLES

versions = Table(_version_name, _metadata, Column("version", Integer, primary_key=True, autoincrement=False))

records = Table(
    _records_name,
    _metadata,
    Column("id", _COUNTED, primary_key=True),
    Column("finished", _TIME, nullable=False),
    Column("name", _NAME, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("job", _NAME, nullable=False),
    Column("status", String(16), nullable=False),
    Column("source", String(16), nullable=False),
    Column("dag_id", _NAME),
    Column("run_id", _NAME),
    Column("task_id", _NAME),
    Column("map_index", Integer),
    Column("try_number", Integer),
    Column("report", _LONG_TEXT, nullable=False),
    # They serve as indexes. Constraints are created with the table in one statement, so none can be missing after a crash.
    UniqueConstraint("name", "kind", "job", "id", name="sync_history_series"),
    UniqueConstraint("name", "kind", "job", "status", "id", name="sync_history_failures"),
    UniqueConstraint("job", "status", "id", name="sync_history_jobs"),
    UniqueConstraint("finished", "id", name="sync_history_finished"),
    # An id must never be used twice: pages of the status page begin after an id.
    sqlite_autoincrement=True,
)


running = Table(
    _running_name,
    _metadata,
    Column("id", _COUNTED, primary_key=True),
    Column("job", _NAME, nullable=False),
    Column("source", String(16), nullable=False),
    Column("dag_id", _NAME),
    Column("run_id", _NAME),
    Column("task_id", _NAME),
    Column("map_index", Integer),
    Column("try_number", Integer),
    Column("started", _TIME, nullable=False),
    Column("updated", _TIME, nullable=False),
    Column("work", _LONG_TEXT, nullable=False),
)


def prepare(engine: Engine) -> None:
    """Create the tables if they are missing; several processes may do so at once.

    :raises ConfigurationError: if a later release has created them
    """
    version = _version(engine)
    if version is None or not inspect(engine).has_table(running.name):
        try:
            with engine.begin() as connection:
                for table in (records, running, versions):
                    connection.execute(CreateTable(table, if_not_exists=True))
                if version is None:
                    connection.execute(versions.insert().values(version=VERSION))
        except DBAPIError:
            # Another process may have been faster. If not, this error is the reason.
            if _version(engine) is None:
                raise
        version = _version(engine) or VERSION
    if version > VERSION:
        raise ConfigurationError(
            f"The history of syncs has version {version}, and this release knows {VERSION}."
            " Install the newest airflow-provider-sync here, or keep the history elsewhere."
        )


def _version(engine: Engine) -> int | None:
    if not inspect(engine).has_table(versions.name):
        return None
    with engine.connect() as connection:
        version: int | None = connection.scalar(select(func.max(versions.c.version)))
    return version
