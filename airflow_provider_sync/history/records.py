"""One record of the history, as a value and as a row."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

import msgspec
from sqlalchemy import Row

from airflow_provider_sync.report import DirectoryReport, Report, TableReport

MAX_NAME = 255
"""Longest name, job or id of Airflow, in characters; longer ones are cut."""

MAX_MESSAGE = 4_000
"""Longest error or warning, in characters; longer ones are cut."""

MAX_WARNINGS = 20

_KINDS: dict[str, type[Report]] = {"table": TableReport, "directory": DirectoryReport}


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """What ran the sync.

    :ivar job: name of a job; the runs of one table or directory in one job are one series. ``None`` stands for the task, or
        for the command
    """

    source: Literal["task", "command"]
    dag_id: str | None = None
    run_id: str | None = None
    task_id: str | None = None
    map_index: int | None = None
    try_number: int | None = None
    job: str | None = None

    @property
    def job_name(self) -> str:
        """The name of the job, as users see it; ids of Airflow have no slash."""
        return self.job or (f"{self.dag_id}/{self.task_id}" if self.source == "task" else "airflow-sync")


class SyncKey(NamedTuple):
    """The key of a series of records: a table or directory, and the job that syncs it."""

    name: str
    kind: str
    job: str


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One run of one table or directory.

    :ivar id: a number that grows with each record
    :ivar finished: when it was recorded, in UTC
    """

    id: int
    key: SyncKey
    finished: datetime
    origin: Origin
    report: Report


class Sync(msgspec.Struct, frozen=True, kw_only=True):
    """A series of records.

    :ivar runs: the latest, newest first; never empty
    :ivar last_failure: the newest record that failed, however old
    :ivar last_success: the newest record that did not fail, however old; on a later page of runs, one of that page
    :ivar left_out: whether the latest run failed, and the job has succeeded since then without this name
    """

    key: SyncKey
    runs: tuple[Record, ...]
    last_failure: Record | None
    last_success: Record | None = None
    left_out: bool = False

    @property
    def latest(self) -> Record:
        """The newest record."""
        return self.runs[0]


def to_row(report: Report, origin: Origin, finished: datetime) -> dict[str, Any]:
    """Return the columns of a record."""
    return {
        "finished": finished.astimezone(UTC).replace(tzinfo=None),
        "name": storable(report.name),
        "kind": report.kind,
        "status": report.status,
        **origin_columns(origin),
        # As ASCII, which every database and every connection can carry, whatever characters a name or an error has.
        "report": json.dumps(msgspec.structs.asdict(_shortened(report))),
    }


def from_row(row: Row[Any]) -> Record:
    """Return the record that a row holds; fields that a later release added to reports are ignored."""
    origin = Origin(
        source=row.source,
        dag_id=row.dag_id,
        run_id=row.run_id,
        task_id=row.task_id,
        map_index=row.map_index,
        try_number=row.try_number,
        job=row.job,
    )
    report = msgspec.convert(json.loads(row.report), _KINDS[row.kind])
    key = SyncKey(row.name, row.kind, row.job)
    return Record(id=row.id, key=key, finished=row.finished.replace(tzinfo=UTC), origin=origin, report=report)


def origin_columns(origin: Origin) -> dict[str, Any]:
    """Return the columns that say what ran a sync, for the tables of records and of running syncs."""
    return {
        "job": storable(origin.job_name),
        "source": origin.source,
        "dag_id": storable_or_none(origin.dag_id),
        "run_id": storable_or_none(origin.run_id),
        "task_id": storable_or_none(origin.task_id),
        "map_index": origin.map_index,
        "try_number": origin.try_number,
    }


def storable(text: str) -> str:
    """Return ``text`` in a form that every database accepts: no NUL, no half of a surrogate pair, not too long."""
    return text.encode("utf-8", "replace").decode().replace("\0", "?")[:MAX_NAME]


def storable_or_none(text: str | None) -> str | None:
    """Return ``text`` as :func:`storable` does, and ``None`` as it is."""
    return None if text is None else storable(text)


def _shortened(report: Report) -> Report:
    return msgspec.structs.replace(
        report,
        error=None if report.error is None else report.error[:MAX_MESSAGE],
        warnings=tuple(warning[:MAX_MESSAGE] for warning in report.warnings[:MAX_WARNINGS]),
    )
