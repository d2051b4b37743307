"""Write records of syncs, and read them as series."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property

from sqlalchemy import ColumnElement, Connection, Engine, func, select

from airflow_provider_sync.databases import connect
from airflow_provider_sync.databases.registry import entry_of
from airflow_provider_sync.history.overview import (
    SERIES,
    SUCCEEDED,
    SyncChoice,
    SyncOrder,
    chosen_keys,
    left_out,
    newest_of_each,
    visible,
)
from airflow_provider_sync.history.record_tables import answering, prepare, records
from airflow_provider_sync.history.records import Origin, Record, Sync, SyncKey, from_row, storable, to_row
from airflow_provider_sync.history.running import RunningNote, RunningSync, running_syncs
from airflow_provider_sync.report import Report

log = logging.getLogger(__name__)

KEEP_DAYS = 90
"""Days for which a record is kept by default."""

PRUNE_EVERY = 100
"""Number of new records after which old ones are deleted."""

PRUNE_AT_ONCE = 1000
"""Maximum number of records that one statement deletes, so that none takes long."""


def open_history(url: str, *, days: int = KEEP_DAYS, open_engine: Callable[[str], Engine] = connect.open_engine) -> History:
    """Return the history at ``url``. Nothing is connected yet; its tables are created at the first use.

    :param url: URL of a database on SQLite, PostgreSQL, MySQL or MariaDB
    :param days: age, in days, after which records are deleted
    :param open_engine: makes an engine from ``url``
    :raises ConfigurationError: if the URL cannot be used
    """
    return History(open_engine(url), days=days)


class History:
    """The records of syncs in one database; safe to use from several threads and processes.

    Its methods raise ``sqlalchemy.exc.SQLAlchemyError`` if the database cannot be used,
    :class:`~airflow_provider_sync.exceptions.ConfigurationError` if a later release has created its tables, and
    :class:`~airflow_provider_sync.exceptions.TransportError` if the database does not answer in time.
    """

    def __init__(self, engine: Engine, *, days: int = KEEP_DAYS) -> None:
        self._unprepared = engine
        self._days = days

    def record(self, reports: Sequence[Report], origin: Origin, *, finished: datetime | None = None) -> None:
        """Add a record for each report, all of them or none.

        :param finished: a time with a time zone; now by default
        """
        if not reports:
            return
        now = finished or datetime.now(UTC)
        rows = [to_row(report, origin, now) for report in reports]
        with answering(self._unprepared), self._engine.begin() as connection:
            ids = [connection.execute(records.insert().values(row)).inserted_primary_key for row in rows]
        if any(identity is not None and identity[0] % PRUNE_EVERY == 0 for identity in ids):
            self.prune()

    def prune(self, *, now: datetime | None = None) -> int:
        """Delete records that are too old, and return their number."""
        oldest = (now or datetime.now(UTC)).astimezone(UTC).replace(tzinfo=None) - timedelta(days=self._days)
        chosen = select(records.c.id).where(records.c.finished < oldest).order_by(records.c.finished).limit(PRUNE_AT_ONCE)
        pruned = 0
        while True:
            with answering(self._unprepared), self._engine.begin() as connection:
                ids = connection.scalars(chosen).all()
                pruned += connection.execute(records.delete().where(records.c.id.in_(ids))).rowcount if ids else 0
            if len(ids) < PRUNE_AT_ONCE:
                return pruned

    def syncs(
        self,
        choice: SyncChoice | None = None,
        *,
        order: SyncOrder | None = None,
        offset: int = 0,
        limit: int = 50,
        runs: int = 30,
    ) -> list[Sync]:
        """Return series, each with its latest runs.

        :param choice: all without
        :param order: by name without
        :param offset: number of series on the pages before
        :param limit: maximum number of series
        :param runs: maximum number of runs of each series
        """
        choice = choice or SyncChoice()
        keys = chosen_keys(choice, order or SyncOrder()).offset(offset).limit(limit)
        with answering(self._unprepared), self._engine.connect() as connection:
            found = [SyncKey(*row) for row in connection.execute(keys)]
            return [_sync(connection, key, _runs(connection, key, *visible(choice.dags), limit=runs)) for key in found]

    def count(self, *, dags: Collection[str] | None = None) -> tuple[int, int]:
        """Return the number of series, and the number of those whose latest run failed and that are not left out since."""
        latest = newest_of_each().subquery()
        known = select(func.count()).select_from(records).join(latest, records.c.id == latest.c.id).where(*visible(dags))
        with answering(self._unprepared), self._engine.connect() as connection:
            failing = known.where(records.c.status == "failed", ~left_out())
            return int(connection.scalar(known) or 0), int(connection.scalar(failing) or 0)

    def sync(
        self, key: SyncKey, *, dags: Collection[str] | None = None, before: int | None = None, limit: int = 100
    ) -> Sync | None:
        """Return one series with the runs of one page, newest first; ``None`` if there are none.

        :param before: the id of the last record of the previous page
        """
        with answering(self._unprepared), self._engine.connect() as connection:
            found = _runs(connection, key, *visible(dags), before=before, limit=limit)
            return _sync(connection, key, found) if found else None

    def last_success(self, name: str, kind: str, *, job: str | None = None) -> Record | None:
        """Return the newest record of a table or directory that did not fail, of one job or of any."""
        conditions = [records.c.name == storable(name), records.c.kind == kind, records.c.status.in_(SUCCEEDED)]
        if job is not None:
            conditions.append(records.c.job == storable(job))
        chosen = select(records).where(*conditions).order_by(records.c.id.desc()).limit(1)
        with answering(self._unprepared), self._engine.connect() as connection:
            return next((from_row(row) for row in connection.execute(chosen)), None)

    def running_note(self, origin: Origin) -> RunningNote:
        """Return the note that records a running sync and its progress; nothing is written before its ``begin``."""
        with answering(self._unprepared):
            return RunningNote(self._engine, origin)

    def running(self, *, dags: Collection[str] | None = None) -> list[RunningSync]:
        """Return the running syncs; see :func:`.running_syncs`."""
        with answering(self._unprepared):
            return running_syncs(self._engine, dags)

    def of_run(self, dag_id: str, run_id: str, *, since: datetime | None = None) -> list[Record]:
        """Return the records of one run of a DAG, oldest first.

        :param since: when the run began; with it, older records are not searched
        """
        chosen = select(records).where(records.c.dag_id == storable(dag_id), records.c.run_id == storable(run_id))
        if since is not None:
            chosen = chosen.where(records.c.finished >= since.astimezone(UTC).replace(tzinfo=None))
        with answering(self._unprepared), self._engine.connect() as connection:
            return [from_row(row) for row in connection.execute(chosen.order_by(records.c.id))]

    @cached_property
    def _engine(self) -> Engine:
        engine = self._unprepared
        entry_of(engine).share(engine)
        prepare(engine)
        return engine


def record_or_warn(opened: Callable[[], History], reports: Sequence[Report], origin: Origin) -> None:
    """Record reports; if that fails, log a warning, since the sync itself is done.

    :param opened: opens the history
    """
    try:
        opened().record(reports, origin)
    except Exception as error:  # noqa: BLE001  # a hook or driver may raise anything, and none of it may fail a sync
        # SQLAlchemy's own text goes on with a link.
        reason = " ".join(str(getattr(error, "orig", None) or error).split()).removesuffix(".")
        log.warning("The history of this sync could not be written: %s. The sync itself is not affected.", reason)


def _runs(
    connection: Connection, key: SyncKey, *conditions: ColumnElement[bool], before: int | None = None, limit: int
) -> list[Record]:
    chosen = select(records).where(*_of(key), *conditions).order_by(records.c.id.desc()).limit(limit)
    if before is not None:
        chosen = chosen.where(records.c.id < before)
    return [from_row(row) for row in connection.execute(chosen)]


def _sync(connection: Connection, key: SyncKey, runs: list[Record]) -> Sync:
    failures = _runs(connection, key, records.c.status == "failed", limit=1)
    succeeded = (run for run in runs if run.report.status in SUCCEEDED)
    success = next(succeeded, None) or next(iter(_runs(connection, key, records.c.status.in_(SUCCEEDED), limit=1)), None)
    is_left_out = connection.scalar(select(left_out()).where(records.c.id == runs[0].id, records.c.status == "failed"))
    return Sync(
        key=key,
        runs=tuple(runs),
        last_failure=next(iter(failures), None),
        last_success=success,
        left_out=bool(is_left_out),
    )


def _of(key: SyncKey) -> list[ColumnElement[bool]]:
    return [column == value for column, value in zip(SERIES, key, strict=True)]
