"""Build the server half as an ASGI application: its routes, its middleware and its error handlers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from airflow_provider_sync import files
from airflow_provider_sync.config import ServerConfig
from airflow_provider_sync.databases import connect
from airflow_provider_sync.protocol.v1.fields import parse_fields
from airflow_provider_sync.server.access.grants import Grant
from airflow_provider_sync.server.access.request_rates import RequestRates
from airflow_provider_sync.server.access.token_check import Access
from airflow_provider_sync.server.access.tokens import Admits, Tokens
from airflow_provider_sync.server.active_requests import ActiveRequest
from airflow_provider_sync.server.capabilities import capabilities
from airflow_provider_sync.server.directories.content_answers import ContentAnswers
from airflow_provider_sync.server.directories.listing_answers import ListingAnswers
from airflow_provider_sync.server.directories.served_directory import ServedDirectories
from airflow_provider_sync.server.directories.version1_answers import Version1DirectoryAnswers
from airflow_provider_sync.server.endpoint import Answer, Endpoint
from airflow_provider_sync.server.error_answers import ERROR_HANDLERS
from airflow_provider_sync.server.observability.access_log import write_access_line
from airflow_provider_sync.server.observability.accounting import Accounting, Observer
from airflow_provider_sync.server.observability.audit_log import AuditLog
from airflow_provider_sync.server.observability.monitoring_endpoints import MonitoringEndpoints
from airflow_provider_sync.server.process.process_state import ProcessState
from airflow_provider_sync.server.request_heads import RequestHeads
from airflow_provider_sync.server.sources import OpenEngine, OpenStorage, Sources
from airflow_provider_sync.server.tables.many_tables_answers import ManyTablesAnswers
from airflow_provider_sync.server.tables.offered_tables import OfferedTables
from airflow_provider_sync.server.tables.snapshot_answers import SnapshotAnswers
from airflow_provider_sync.server.tables.snapshot_leases import SnapshotLeases
from airflow_provider_sync.server.tables.table_answers import TableAnswers
from airflow_provider_sync.server.tables.version1_answers import Version1TableAnswers

MAX_REQUEST_BYTES = 8 * 1024 * 1024
"""Largest body of a version 1 request, in bytes: paths of tens of thousands of files."""

MAX_KEYS_BYTES = 32 * 1024 * 1024
"""Largest body of a version 2 request, in bytes: a hundred thousand keys, or files."""

FieldsAnswer = Callable[[Mapping[str, Any], Grant, ActiveRequest], Response]
MessageAnswer = Callable[[bytes, str, Grant, ActiveRequest], Response]


def create_app(
    config: ServerConfig,
    *,
    open_engine: OpenEngine = connect.open_engine,
    open_storage: OpenStorage = files.open_storage,
    prefix: str = "",
    host_compresses: bool = False,
    admits: Admits | None = None,
    hosts: Collection[str] | None = None,
    state: ProcessState | None = None,
) -> Starlette:
    """Build the application that offers what ``config`` names.

    Databases and directories are opened at their first request; database connections are closed when the application shuts down.

    :param open_engine: makes an SQLAlchemy engine from the URL of a connection
    :param open_storage: makes a storage from the path of a directory
    :param prefix: path before each endpoint, such as ``/api/sync``; empty if a proxy strips the path
    :param host_compresses: whether the application is mounted in one that compresses responses; streams then carry
        ``Content-Encoding: identity``, which prevents that
    :param admits: decides on bearer tokens that are not in ``config``; with it, every request needs a token
    :param hosts: accepted values of the ``Host`` header, besides ``allowed_hosts`` of ``config``; without both, all are accepted
    :param state: state of the process, if it had another configuration before
    """
    sources = Sources(config, open_engine=open_engine, open_storage=open_storage)
    access = Access(Tokens(config, admits))
    state = state or ProcessState.begin(config.limits)
    offered = OfferedTables(config, sources)
    prefix = normal_prefix(prefix)

    monitoring = MonitoringEndpoints(config, access, sources, state.metrics)
    observers: list[Observer] = [state.metrics.observe, *([write_access_line] if config.log.access else [])]
    audit_log = None if config.audit_log is None else AuditLog(config.audit_log)
    if audit_log is not None:
        observers.append(audit_log.write)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        yield
        await run_in_threadpool(sources.close)
        if audit_log is not None:
            audit_log.close()

    routes = [
        Route(f"{prefix}/capabilities", _capabilities(config, offered, access, state), methods=["GET"]),
        *monitoring.routes(prefix),
        *(
            Route(f"{prefix}/{endpoint.name}", endpoint, methods=["POST"])
            for endpoint in (
                *_version1_endpoints(config, sources, offered, access, state, host_compresses=host_compresses),
                *_version2_endpoints(config, sources, offered, access, state),
            )
        ),
    ]
    allowed = [*(hosts or ()), *config.allowed_hosts] or None
    app = Starlette(
        routes=routes,
        middleware=[
            Middleware(Accounting, observers=observers, on_stream=state.metrics.open_streams),
            Middleware(RequestHeads, hosts=allowed),
            *_rates(config, prefix),
        ],
        exception_handlers=ERROR_HANDLERS,
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    return app


def _version1_endpoints(
    config: ServerConfig, sources: Sources, offered: OfferedTables, access: Access, state: ProcessState, *, host_compresses: bool
) -> Iterator[Endpoint]:
    stream_headers = {"Content-Encoding": "identity"} if host_compresses else {}
    tables = Version1TableAnswers(config, sources, offered, stream_headers=stream_headers)
    directories = Version1DirectoryAnswers(config, sources, stream_headers=stream_headers)
    answers: dict[str, FieldsAnswer] = {
        "getTableHash": tables.hash,
        "getTable": tables.rows,
        "getFileHashes": directories.hashes,
        "getFiles": directories.contents,
    }
    for name, answer in answers.items():
        yield Endpoint(name, _from_fields(answer), access, state.active_requests, max_bytes=MAX_REQUEST_BYTES, of="files")


def _version2_endpoints(
    config: ServerConfig, sources: Sources, offered: OfferedTables, access: Access, state: ProcessState
) -> Iterator[Endpoint]:
    leases = SnapshotLeases(config.limits, sources, state.leases)
    tables = TableAnswers(sources, offered, leases)
    served = ServedDirectories(config, sources)
    listings, contents = ListingAnswers(served), ContentAnswers(served)
    answers: dict[str, tuple[MessageAnswer, str]] = {
        "describeTable": (tables.describe, "keys"),
        "describeTables": (ManyTablesAnswers(sources, offered, leases).describe, "tables"),
        "holdSnapshot": (SnapshotAnswers(config.limits, sources, offered, leases).hold, "tables"),
        "digestRows": (tables.digests, "keys"),
        "getRows": (tables.rows, "keys"),
        "listFiles": (listings.list, "files"),
        "digestFiles": (listings.digest, "files"),
        "readFiles": (contents.read, "files"),
        "chunkFile": (contents.chunk, "files"),
    }
    for name, (answer, of) in answers.items():
        yield Endpoint(name, _from_message(answer), access, state.active_requests, max_bytes=MAX_KEYS_BYTES, of=of)


def _rates(config: ServerConfig, prefix: str) -> list[Middleware]:
    per_minute = config.limits.requests_per_minute
    # Liveness probes must not be answered with 429.
    return [] if per_minute is None else [Middleware(RequestRates, per_minute=per_minute, free={"/health", f"{prefix}/health"})]


def normal_prefix(prefix: str) -> str:
    """Return ``prefix`` with a slash at its start and none at its end; an empty one stays empty."""
    return f"/{prefix.strip('/')}".rstrip("/")


def _from_fields(answer: FieldsAnswer) -> Answer:
    def from_fields(request: Request, body: bytes, grant: Grant, active: ActiveRequest) -> Response:
        return answer(parse_fields(body, request.headers.get("content-type", "")), grant, active)

    return from_fields


def _from_message(answer: MessageAnswer) -> Answer:
    def from_message(request: Request, body: bytes, grant: Grant, active: ActiveRequest) -> Response:
        return answer(body, ", ".join(request.headers.getlist("accept")), grant, active)

    return from_message


def _capabilities(config: ServerConfig, tables: OfferedTables, access: Access, state: ProcessState) -> Endpoint:
    def answer(_request: Request, _body: bytes, grant: Grant, _active: ActiveRequest) -> Response:
        return Response(capabilities(config, tables, grant), media_type="application/json")

    return Endpoint("capabilities", answer, access, state.active_requests, max_bytes=MAX_REQUEST_BYTES, of="tables")
