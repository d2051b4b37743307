"""Mount the sync server in Airflow's API server, where ``[sync] server_config`` names its configuration."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from urllib.parse import urlsplit

from fastapi import FastAPI
from sqlalchemy import Engine
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from airflow_provider_sync.airflow_support.connection_lookup import publish_connection
from airflow_provider_sync.airflow_support.database_connections import AIRFLOW_SCHEME, engine_from_connection
from airflow_provider_sync.airflow_support.settings import read_settings
from airflow_provider_sync.airflow_support.storage_connections import storage_from_path
from airflow_provider_sync.config import ServerConfig
from airflow_provider_sync.exceptions import ConfigurationError
from airflow_provider_sync.files import Storage
from airflow_provider_sync.plugin.permissions import may_read_connections
from airflow_provider_sync.server.app import create_app, normal_prefix
from airflow_provider_sync.server.streaming import is_broken_stream

log = logging.getLogger(__name__)

Opened = TypeVar("Opened")

_CLIENT_GONE = 499
"""Status that proxies log when the client has closed the connection; no standard defines it."""


def mounted_server() -> list[dict[str, Any]]:
    """Return the application to mount, or an empty list when it is switched off.

    For a wrong configuration, the log gets one line, and the application answers 503. Without an application, the API server
    would answer 200 with the page of its user interface.
    """
    try:
        settings = read_settings()
    except ConfigurationError as error:
        log.error("The sync server is not mounted: %s", error)
        return []
    if settings.server_config is None:
        return []
    prefix = normal_prefix(settings.server_prefix)
    if not prefix:
        log.error("[sync] server_prefix is empty, so the sync server is not mounted. Give a path such as '/sync'.")
        return []
    try:
        app = _server(settings.server_config, airflow_tokens=settings.server_airflow_tokens)
    except ConfigurationError as error:
        log.error("The sync server under %s is out of service: %s Fix it and restart the API server.", prefix, error)
        app = _out_of_service()
    # The error must leave the application, so that the connection is cut; its reason is logged already.
    logging.getLogger("uvicorn.error").addFilter(_is_not_a_broken_stream)
    return [{"app": app, "url_prefix": prefix, "name": "Sync server"}]


def _is_not_a_broken_stream(record: logging.LogRecord) -> bool:
    return not is_broken_stream(record)


def _server(path: str, *, airflow_tokens: bool) -> FastAPI:
    config = ServerConfig.from_yaml(path)
    admits = may_read_connections if airflow_tokens else None
    if not config.tokens and admits is None:
        raise ConfigurationError(
            f"{path} has no tokens, so that everybody who reaches the API server could read its tables and files."
            " Give it tokens, or set [sync] server_airflow_tokens."
        )
    server = create_app(
        config,
        open_engine=_open_database,
        open_storage=_open_directory,
        host_compresses=True,
        admits=admits,
    )

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with server.router.lifespan_context(server):
            yield

    # Airflow runs the lifespan of a mounted application only where it is an instance of FastAPI.
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, lifespan=lifespan)
    app.mount("/", _answering(server))
    return app


def _answering(server: ASGIApp) -> ASGIApp:
    """Answer even clients that are gone: without an answer, Airflow's middleware logs an error with a traceback."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def noting(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        await server(scope, receive, noting)
        if not begun and scope["type"] == "http":
            await Response(status_code=_CLIENT_GONE)(scope, receive, send)

    return app


def _open_database(url: str) -> Engine:
    return _open_by_connection(engine_from_connection, url, url.removeprefix(AIRFLOW_SCHEME))


def _open_directory(path: str) -> Storage:
    return _open_by_connection(storage_from_path, path, urlsplit(path).netloc.rpartition("@")[0])


def _open_by_connection(opens: Callable[[str], Opened], name: str, conn_id: str) -> Opened:
    try:
        return opens(name)
    except ImportError:
        # Airflow 3.1.0 raises this in its API server for a connection that exists only in the metadata database.
        publish_connection(conn_id)
        return opens(name)


def _out_of_service() -> FastAPI:
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)

    async def answer(_request: Request) -> JSONResponse:
        return JSONResponse({"message": "The sync server's configuration is wrong; the log of the API server says why."}, 503)

    app.add_route("/{path:path}", answer, methods=["GET", "POST"])
    return app
