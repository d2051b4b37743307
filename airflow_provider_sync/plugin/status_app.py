"""The page with the history of syncs: read-only HTML for users of Airflow."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from fastapi import Depends, FastAPI, Query
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from airflow_provider_sync.airflow_support.task_history import open_airflow_history
from airflow_provider_sync.exceptions import ConfigurationError, TransportError
from airflow_provider_sync.history import Origin, SyncKey
from airflow_provider_sync.history.records import storable
from airflow_provider_sync.plugin.axes import chart_of_bytes, chart_of_changes
from airflow_provider_sync.plugin.charts import change_bars, changes_of
from airflow_provider_sync.plugin.page_query import AGES, REFRESHES, STATES, PageQuery, Text, read_query
from airflow_provider_sync.plugin.page_threads import RETRY_SECONDS, PageThreads, TooManyPagesError
from airflow_provider_sync.plugin.permissions import REQUIRES_USER, ReadableDags
from airflow_provider_sync.printable import printable_lines
from airflow_provider_sync.report_table import details_of, format_bytes

log = logging.getLogger(__name__)

PAGE = 50
RUNS_ON_PAGE = 100
RUNS_IN_OVERVIEW = 30
RUNS_IN_CHART = 60

_HEADERS = {
    # Names and errors come from other systems and are escaped; under this policy, markup that slips through can do nothing.
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; frame-ancestors 'self'; base-uri 'none'; form-action 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_FOLDER = Path(__file__).parent


def create_status_app() -> FastAPI:
    """Build the application; every page needs a logged-in user, and shows only DAGs that this user may read."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.state.threads = PageThreads()
    for error in (SQLAlchemyError, ConfigurationError, TransportError):
        app.add_exception_handler(error, _unreadable)
    app.add_exception_handler(TooManyPagesError, _busy)
    app.get("/", dependencies=[REQUIRES_USER], response_class=Response)(_syncs)
    app.get("/runs", dependencies=[REQUIRES_USER], response_class=Response)(_runs)
    app.mount("/static", StaticFiles(directory=_FOLDER / "static"))
    return app


async def _syncs(request: Request, dags: ReadableDags, query: Annotated[PageQuery, Depends(read_query)]) -> Response:
    """Show a page of the tables and directories that the address selects."""
    return await _threads_of(request).run(partial(_page_of_syncs, dags, query))


def _page_of_syncs(dags: set[str], query: PageQuery) -> Response:
    history = open_airflow_history()
    now = datetime.now(UTC)
    choice, first = query.choice(dags, now), (query.page - 1) * PAGE
    found = history.syncs(choice, order=query.order, offset=first, limit=PAGE + 1, runs=RUNS_IN_OVERVIEW)
    known, failing = history.count(dags=dags)
    more = query.link(page=query.page + 1) if len(found) > PAGE else None
    headers = {"Refresh": str(query.refresh)} if query.refresh else {}
    shown: dict[str, Any] = {"syncs": found[:PAGE], "known": known, "failing": failing, "query": query, "more": more}
    running = [sync for sync in history.running(dags=dags) if query.concerns(sync)] if query.page == 1 else []
    return _page("syncs.html", now=now, headers=headers, running=running, **shown)


async def _runs(
    request: Request,
    dags: ReadableDags,
    name: Text,
    kind: Text,
    job: Text,
    before: Annotated[int | None, Query(ge=0, lt=2**63)] = None,
) -> Response:
    """Show one table or directory of a job: its chart, last error, and runs."""
    key = SyncKey(storable(name), storable(kind), storable(job))
    return await _threads_of(request).run(partial(_page_of_runs, dags, key, before))


def _page_of_runs(dags: set[str], key: SyncKey, before: int | None) -> Response:
    history = open_airflow_history()
    sync = history.sync(key, dags=dags, before=before, limit=RUNS_ON_PAGE + 1)
    if sync is None:
        raise HTTPException(404, "No such sync is recorded.")
    runs = sync.runs[:RUNS_ON_PAGE]
    more = urlencode({**key._asdict(), "before": runs[-1].id}) if len(sync.runs) > RUNS_ON_PAGE else None
    return _page("runs.html", sync=sync, runs=runs, more=more, first_page=before is None)


def _threads_of(request: Request) -> PageThreads:
    threads: PageThreads = request.app.state.threads
    return threads


async def _busy(_request: Request, _error: Exception) -> Response:
    return _page("busy.html", status=503, headers={"Retry-After": str(RETRY_SECONDS)})


async def _unreadable(request: Request, error: Exception) -> Response:
    log.error("The history of syncs cannot be read: %s", error, exc_info=error)
    return _page("unreadable.html", status=503)


def _page(
    template: str, *, status: int = 200, now: datetime | None = None, headers: Mapping[str, str] | None = None, **values: Any
) -> Response:
    html = _environment.get_template(template).render(now=now or datetime.now(UTC), **values)
    return Response(html.encode("utf-8", "replace"), status, {**_HEADERS, **(headers or {})}, "text/html")


def _task_path(origin: Origin) -> str | None:
    """Return the path of Airflow's page about a task, relative to a page of this application."""
    if origin.dag_id is None or origin.run_id is None or origin.task_id is None:
        return None
    dag, run, task = (quote(part, safe="") for part in (origin.dag_id, origin.run_id, origin.task_id))
    mapped = f"/mapped/{origin.map_index}" if origin.map_index is not None and origin.map_index >= 0 else ""
    tried = f"?try_number={origin.try_number}" if origin.try_number is not None else ""
    return f"../dags/{dag}/runs/{run}/tasks/{task}{mapped}{tried}"


def _runs_path(key: SyncKey) -> str:
    return "runs?" + urlencode(key._asdict())


def _age(moment: datetime, now: datetime) -> str:
    seconds = max((now - moment).total_seconds(), 0)
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= length:
            number = int(seconds // length)
            return f"{number} {unit}{'s' if number > 1 else ''} ago"
    return "just now"


def _printable(value: Any) -> Any:
    """Escape unprintable characters in text from other systems, such as names and the address; keep the templates' markup."""
    return printable_lines(value) if type(value) is str else value


_environment = Environment(
    loader=FileSystemLoader(_FOLDER / "templates"),
    autoescape=True,
    finalize=_printable,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters |= {
    "age": _age,
    "bytes": format_bytes,
    "changes": changes_of,
    "details": details_of,
    "runs_path": _runs_path,
    "task_path": _task_path,
}
_environment.globals |= {
    "change_bars": change_bars,
    "chart_of_changes": chart_of_changes,
    "chart_of_bytes": chart_of_bytes,
    "ages": AGES,
    "refreshes": REFRESHES,
    "states": STATES,
    "runs_in_overview": RUNS_IN_OVERVIEW,
    "runs_in_chart": RUNS_IN_CHART,
}
