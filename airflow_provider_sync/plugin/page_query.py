"""Read and write the query string of the overview: filter, sort order, page and refresh interval."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, get_args
from urllib.parse import urlencode

import msgspec
from fastapi import Query

from airflow_provider_sync.history import RunningSync, SyncChoice, SyncOrder
from airflow_provider_sync.history.overview import Sort
from airflow_provider_sync.history.records import storable

STATES = ("failed", "changed", "unchanged")
AGES = {"1h": "1 hour", "6h": "6 hours", "1d": "1 day", "7d": "7 days"}
REFRESHES = (10, 30, 60)

_HOURS = {"1h": 1, "6h": 6, "1d": 24, "7d": 168}

Text = Annotated[str, Query(max_length=1000)]


class PageQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A query of the overview; invalid values are ignored.

    :ivar text: part of a name or a job
    :ivar job: a job; selects the task groups around it, too
    :ivar state: one of :data:`STATES`, or empty
    :ivar age: one of :data:`AGES`, or empty
    :ivar sort: one of the columns of :class:`.SyncOrder`
    :ivar page: number of the page, from 1
    :ivar refresh: seconds after which a browser reloads the page; 0 for never
    """

    text: str = ""
    job: str = ""
    state: str = ""
    age: str = ""
    sort: Sort = "name"
    descending: bool = False
    page: int = 1
    refresh: int = 0

    def choice(self, dags: set[str], now: datetime) -> SyncChoice:
        """Return the filter for the selected series.

        :param dags: the DAGs that the user may read
        """
        return SyncChoice(
            dags=dags,
            jobs=_with_groups(self.job) if self.job else None,
            text=self.text,
            status=self.state or None,
            stale_since=now - timedelta(hours=_HOURS[self.age]) if self.age else None,
        )

    def concerns(self, running: RunningSync) -> bool:
        """Tell whether the query selects a running sync, ignoring the state."""
        job = running.origin.job_name
        texts = (job, *(work.name for work in running.work))
        return (not self.job or job in _with_groups(self.job)) and any(self.text.lower() in text.lower() for text in texts)

    @property
    def order(self) -> SyncOrder:
        """The sort order."""
        return SyncOrder(sort=self.sort, descending=self.descending)

    @property
    def narrows(self) -> bool:
        """Whether the query filters series."""
        return bool(self.text or self.job or self.state or self.age)

    def link(self, **changes: Any) -> str:
        """Return the query's address with other values, at page 1 unless ``page`` is one of them."""
        query = msgspec.structs.replace(self, **{"page": 1, **changes})
        given = {name: value for name, value in msgspec.structs.asdict(query).items() if value != getattr(_DEFAULT, name)}
        return f"./?{urlencode({name: str(value).lower() if value is True else value for name, value in given.items()})}"

    def sorted_by(self, column: Sort) -> str:
        """Return the address that sorts by a column, in reverse order if the page is sorted by it already."""
        return self.link(sort=column, descending=not self.descending if column == self.sort else False)

    def direction(self, column: Sort) -> str:
        """Return the value of ``aria-sort`` of a column."""
        if column != self.sort:
            return "none"
        return "descending" if self.descending else "ascending"


_DEFAULT = PageQuery()


def read_query(
    text: Text = "",
    job: Text = "",
    state: Text = "",
    age: Text = "",
    sort: Text = "name",
    descending: Text = "",
    page: Text = "1",
    refresh: Text = "0",
) -> PageQuery:
    """Read the parameters of an address; forms send empty values for those that are not chosen."""
    return PageQuery(
        text=storable(text.strip()),
        job=storable(job),
        state=state if state in STATES else "",
        age=age if age in AGES else "",
        sort=msgspec.convert(sort, Sort) if sort in get_args(Sort) else "name",
        descending=descending == "true",
        page=int(page) if page.isascii() and page.isdigit() and 0 < len(page) < 7 and int(page) else 1,
        refresh=int(refresh) if refresh in map(str, REFRESHES) else 0,
    )


def _with_groups(job: str) -> list[str]:
    """Return the job of a task, and those of the task groups around it, whose tasks may be the steps of one sync."""
    before, slash, task = job.rpartition("/")
    parts = task.split(".")
    return [f"{before}{slash}{'.'.join(parts[:count])}" for count in range(1, len(parts) + 1)]
