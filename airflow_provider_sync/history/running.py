"""Running syncs: one row for each task or command, from its start to its end, with its progress."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import msgspec
from sqlalchemy import ColumnElement, Connection, Engine, Row, delete, select

from airflow_provider_sync.exceptions import TransportError
from airflow_provider_sync.history.record_tables import answering, running
from airflow_provider_sync.history.records import Origin, origin_columns

FORGET_AFTER = timedelta(days=1)
"""Time without progress after which a row counts as that of a dead worker."""

MAX_WORK = 200
"""Maximum number of tables and directories whose progress one task records."""


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """One table or directory of a running sync.

    :ivar text: how much is done, for people; empty before the first rows or files
    :ivar share: how much of it is done, from 0 to 1; ``None`` if that is not known
    """

    name: str
    text: str = ""
    share: float | None = None


class RunningSync(msgspec.Struct, frozen=True, kw_only=True):
    """A sync that has begun and has no recorded end; it may have been killed.

    :ivar updated: when it made progress last, in UTC
    """

    origin: Origin
    started: datetime
    updated: datetime
    work: tuple[Work, ...]


class RunningNote:
    """The row of one running sync, from :meth:`begin` to :meth:`end`.

    One thread at a time may use it. Its methods raise ``sqlalchemy.exc.SQLAlchemyError`` if the database cannot be used, and
    :class:`.TransportError` if it does not answer; then the later ones do nothing, so that it is waited for only once.
    """

    def __init__(self, engine: Engine, origin: Origin) -> None:
        self._engine = engine
        self._origin = origin
        self._started = _now()
        self._connection: Connection | None = None
        self._id = 0

    def begin(self) -> Self:
        """Write the row, and remove the one of a killed try of the same task, or of a killed run of the same command."""
        row = self._row()
        same = [running.c[name] == row[name] for name in ("job", "run_id", "task_id", "map_index")]
        # Kept until the end: threads of a task cannot ask Airflow for a connection.
        with answering(self._engine):
            self._connection = connection = self._engine.connect()
            with connection.begin():
                connection.execute(delete(running).where(*same))
                connection.execute(delete(running).where(running.c.updated < row["updated"] - FORGET_AFTER))
                self._insert(connection, row)
        return self

    def write(self, work: Sequence[Work]) -> None:
        """Write the progress."""
        connection = self._connection
        if connection is None:
            return
        row = self._row(work)
        with self._answering(connection), connection.begin():
            changed = running.update().where(*self._own).values(updated=row["updated"], work=row["work"])
            if not connection.execute(changed).rowcount:
                # Another run of the same command took this one for killed, and removed its row.
                self._insert(connection, row)

    def end(self) -> None:
        """Remove the row."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with self._answering(connection), connection, connection.begin():
                connection.execute(delete(running).where(*self._own))

    @contextmanager
    def _answering(self, connection: Connection) -> Iterator[None]:
        """Limit the time of the statements inside the block, and give the connection up if it is over."""
        opened = () if connection.invalidated else (connection.connection.driver_connection,)
        try:
            with answering(self._engine, *opened):
                yield
        except TransportError:
            self._connection = None
            connection.invalidate()
            connection.close()
            raise

    @property
    def _own(self) -> list[ColumnElement[bool]]:
        # SQLite may reuse the id of a removed row.
        return [running.c.id == self._id, running.c.started == self._started]

    def _insert(self, connection: Connection, row: Mapping[str, Any]) -> None:
        inserted = connection.execute(running.insert().values(row)).inserted_primary_key
        self._id = 0 if inserted is None else inserted[0]

    def _row(self, work: Sequence[Work] = ()) -> dict[str, Any]:
        return {
            **origin_columns(self._origin),
            "started": self._started,
            "updated": _now(),
            "work": msgspec.json.encode(work[:MAX_WORK]).decode(),
        }


def running_syncs(engine: Engine, dags: Collection[str] | None, *, limit: int = 100) -> list[RunningSync]:
    """Return the running syncs, oldest first.

    :param dags: only syncs of these DAGs, and of commands; ``None`` for all
    """
    chosen = select(running).where(running.c.updated >= _now() - FORGET_AFTER).order_by(running.c.id).limit(limit)
    if dags is not None:
        chosen = chosen.where(running.c.dag_id.is_(None) | running.c.dag_id.in_(sorted(dags)))
    with engine.connect() as connection:
        return [_from_row(row) for row in connection.execute(chosen)]


def _from_row(row: Row[object]) -> RunningSync:
    fields = {name: getattr(row, name) for name in ("source", "dag_id", "run_id", "task_id", "map_index", "try_number", "job")}
    return RunningSync(
        origin=Origin(**fields),
        started=row.started.replace(tzinfo=UTC),
        updated=row.updated.replace(tzinfo=UTC),
        work=msgspec.json.decode(row.work, type=tuple[Work, ...]),
    )


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)
