"""A history whose database hangs or whose tables are locked is waited for once, and not for long."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from sqlalchemy.exc import SQLAlchemyError

from airflow_provider_sync.databases.connect import open_engine
from airflow_provider_sync.exceptions import TransportError
from airflow_provider_sync.history import History, Origin, SyncKey, open_history, record_or_warn, record_tables
from airflow_provider_sync.report import TableReport
from tests.own_servers import OwnServers

ORIGIN = Origin(source="command", job="nightly")
REPORT = TableReport(name="orders", status="changed")


@pytest.fixture(scope="module")
def own_servers() -> Iterator[OwnServers]:
    """Give servers that may hang."""
    with OwnServers() as servers:
        yield servers


@contextmanager
def short_wait() -> Iterator[None]:
    """Shorten the wait for an answer, only where none comes: a busy database may need longer for one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(record_tables, "ANSWER_SECONDS", 0.5)
        yield


@pytest.mark.parametrize("engine", ["mariadb", "postgresql"])
def test_a_database_that_hangs(own_servers: OwnServers, engine: str, caplog: pytest.LogCaptureFixture) -> None:
    """What a sync reads and writes ends with an error that names the database; the note of what runs is not tried again."""
    with own_servers.database(engine) as url:
        history = open_history(f"{url}?connect_timeout=2")
        note = history.running_note(ORIGIN).begin()
        history.record([REPORT], ORIGIN)
        with own_servers.server(engine).hanging(), short_wait():
            with pytest.raises(TransportError, match=r"No answer from \w+ at 127\.0\.0\.1:\d+ .* within 0\.5 seconds"):
                note.write([])
            note.write([])
            note.end()
            with pytest.raises(SQLAlchemyError):
                history.last_success("orders", "table")
            with pytest.raises(SQLAlchemyError):
                history.of_run("d", "r", since=datetime.now(UTC))
            record_or_warn(lambda: history, [REPORT], ORIGIN)
        assert "The history of this sync could not be written" in caplog.text
        assert history.last_success("orders", "table") is not None
        assert len(history.running()) == 1


READS: dict[str, Callable[[History], object]] = {
    "syncs": History.syncs,
    "count": History.count,
    "running": lambda history: history.running() == [],
    "sync": lambda history: history.sync(SyncKey("orders", "table", "nightly")),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
@pytest.mark.parametrize("engine", ["mariadb", "postgresql"])
def test_locked_tables(own_servers: OwnServers, engine: str, read: Callable[[History], object]) -> None:
    """What the status page reads ends with an error if the tables are locked."""
    with own_servers.database(engine) as url:
        history = open_history(url)
        history.record([REPORT], ORIGIN)
        assert read(history)
        locks = {
            "mariadb": ["LOCK TABLES sync_history WRITE, sync_running WRITE"],
            "postgresql": ["BEGIN", "LOCK TABLE sync_history, sync_running"],
        }[engine]
        other = open_engine(url)
        with other.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            for statement in locks:
                connection.exec_driver_sql(statement)
            with short_wait(), pytest.raises(TransportError, match=r"No answer from .* within 0\.5 seconds"):
                read(history)
        other.dispose()
