"""Build the statements that select and sort the series of a history page; :mod:`.store` runs them."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
from sqlalchemy import ColumnElement, Select, and_, exists, func, or_, select

from airflow_provider_sync.history.record_tables import records
from airflow_provider_sync.history.records import storable

SUCCEEDED = ("changed", "unchanged")
"""Statuses of a record after which the target was equal to the source."""

SERIES = (records.c.name, records.c.kind, records.c.job)

Sort = Literal["name", "job", "status", "run", "success"]


class SyncChoice(msgspec.Struct, frozen=True, kw_only=True):
    """Which series to return.

    :ivar dags: only series of these DAGs, and of commands; ``None`` for all
    :ivar jobs: only series of these jobs
    :ivar text: only series whose name or job contains this, whatever its case
    :ivar status: only series whose latest run ended so; ``failed`` without those that are :func:`left_out`
    :ivar stale_since: only series without a success since then
    """

    dags: Collection[str] | None = None
    jobs: Collection[str] | None = None
    text: str = ""
    status: str | None = None
    stale_since: datetime | None = None


class SyncOrder(msgspec.Struct, frozen=True, kw_only=True):
    """In which order to return series; those that are equal in it are sorted by name.

    :ivar sort: by ``name``, ``job``, ``status``, time of the latest ``run``, or of the latest ``success``; without one, first
    """

    sort: Sort = "name"
    descending: bool = False


def newest_of_each() -> Select[tuple[int]]:
    """Return the id of the newest record of each series."""
    # Without any other column, so that an index answers it: a page of a long history stays quick.
    return select(func.max(records.c.id).label("id")).group_by(*SERIES)


def left_out() -> ColumnElement[bool]:
    """Return the condition for the newest record of a series whose task has succeeded since then, without this name.

    Names that a task was given by mistake are like that, and names that were taken from it. What a command leaves out says
    nothing: it may be given a part of the names.
    """
    later = records.alias()
    same_task = and_(*(later.c[name] == records.c[name] for name in ("run_id", "task_id", "map_index")))
    return exists().where(
        later.c.job == records.c.job,
        later.c.status.in_(SUCCEEDED),
        later.c.id > records.c.id,
        later.c.source == "task",
        # Each mapped task has names of its own.
        later.c.map_index < 0,
        or_(later.c.run_id != records.c.run_id, and_(same_task, later.c.try_number > records.c.try_number)),
    )


def visible(dags: Collection[str] | None) -> list[ColumnElement[bool]]:
    """Return the conditions for records of these DAGs, and of commands."""
    if dags is None:
        return []
    return [records.c.dag_id.is_(None) | records.c.dag_id.in_(sorted(dags))]


def chosen_keys(choice: SyncChoice, order: SyncOrder) -> Select[Any]:
    """Return the statement for the keys of the chosen series, in their order."""
    newest = newest_of_each()
    if choice.jobs is not None:
        newest = newest.where(records.c.job.in_(choice.jobs))
    if choice.text:
        text = storable(choice.text)
        newest = newest.where(
            or_(records.c.name.icontains(text, autoescape=True), records.c.job.icontains(text, autoescape=True))
        )
    latest = newest.subquery()
    keys = select(*SERIES).join(latest, records.c.id == latest.c.id).where(*visible(choice.dags))
    if choice.status is not None:
        keys = keys.where(records.c.status == choice.status)
    if choice.status == "failed":
        keys = keys.where(~left_out())
    columns: list[Any] = {"job": [records.c.job], "status": [records.c.status], "run": [records.c.id]}.get(order.sort, [])
    if choice.stale_since is not None or order.sort == "success":
        # Only then, since it looks through the index of all records once more.
        ids = newest_of_each().where(records.c.status.in_(SUCCEEDED)).add_columns(*SERIES).subquery()
        successes = records.alias()
        keys = keys.outerjoin(ids, (ids.c.name == SERIES[0]) & (ids.c.kind == SERIES[1]) & (ids.c.job == SERIES[2]))
        keys = keys.outerjoin(successes, successes.c.id == ids.c.id)
        if choice.stale_since is not None:
            since = choice.stale_since.astimezone(UTC).replace(tzinfo=None)
            keys = keys.where(or_(successes.c.finished.is_(None), successes.c.finished < since))
        if order.sort == "success":
            # Databases disagree on where NULL is sorted.
            columns = [successes.c.finished.is_not(None), successes.c.finished]
    if order.sort == "name":
        columns = [records.c.name]
    return keys.order_by(*(column.desc() if order.descending else column for column in columns), *SERIES)
