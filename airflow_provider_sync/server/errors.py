"""What goes wrong before a body begins, as an answer: the forms of existing servers, and nothing secret."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ExceptionHandler

from airflow_provider_sync.exceptions import (
    ConnectionLimitError,
    FileError,
    MissingFileError,
    SyncError,
    TableError,
    TransportError,
)
from airflow_provider_sync.printable import printable
from airflow_provider_sync.protocol.v1.requests import InvalidRequest
from airflow_provider_sync.protocol.v2.messages import Failure
from airflow_provider_sync.server.access import TooManyRefused
from airflow_provider_sync.server.auth import Unauthenticated
from airflow_provider_sync.server.work import RETRY_AFTER_SECONDS, CutShort, NoPlace, Work

log = logging.getLogger(__name__)

_CREDENTIALS = re.compile(r"//[^/@\s]*@")


class RequestTooLarge(Exception):
    """A body above the limit; the answer is 413.

    :param limit: bytes that a body may have
    :param of: what there should be fewer of
    """

    def __init__(self, limit: int, of: str = "files") -> None:
        super().__init__(f"The request is larger than {limit} bytes. Ask for fewer {of} at once.")


class RequestTooSlow(Exception):
    """A body that does not come; the answer is 408.

    :param seconds: for which a client may stand still
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(f"The body of the request did not come in time: nothing for {seconds:g} seconds, or too little.")


class CannotServe(Exception):
    """What was asked for is on offer, and cannot be had as things are; the answer is 500.

    :param message: what happened and what to do, for the client
    """


def failure_of(what: str, work: Work) -> Callable[[Exception], Failure]:
    """Return what makes the last message of a version 2 answer that an error ends in its middle; the error is logged.

    :param what: is being sent, for the log
    :param work: the request; once it was ended early, what its cancelled statements say is not logged
    """

    def explain(error: Exception) -> Failure:
        if not work.ended_early:
            log.error("%s broke off: %s", what, printable(error), exc_info=error)
        status, message = _told(error)
        return Failure(status=status, message=message)

    return explain


async def _invalid(_request: Request, error: Exception) -> Response:
    return _json(422, error.errors if isinstance(error, InvalidRequest) else {})


async def _unauthenticated(_request: Request, _error: Exception) -> Response:
    return _json(401, {"message": "Unauthenticated."}, {"WWW-Authenticate": "Bearer"})


async def _too_large(_request: Request, error: Exception) -> Response:
    # The rest of the body is not read, so the connection cannot be used again.
    return _json(413, {"message": str(error)}, {"Connection": "close"})


async def _too_slow(_request: Request, error: Exception) -> Response:
    return _json(408, {"message": str(error)}, {"Connection": "close"})


async def _too_many_refused(_request: Request, error: Exception) -> Response:
    return _json(429, {"message": str(error)}, {"Retry-After": str(RETRY_AFTER_SECONDS)})


async def _no_place(_request: Request, error: Exception) -> Response:
    return _json(503, {"message": str(error)}, {"Retry-After": str(RETRY_AFTER_SECONDS)})


async def _cut_short(request: Request, error: Exception) -> Response:
    log.warning("%s: %s", printable(request.scope["path"]), error)
    return _json(503, {"message": str(error)}, {"Retry-After": str(RETRY_AFTER_SECONDS)})


async def _cannot_serve(request: Request, error: Exception) -> Response:
    _log(request, error)
    return _json(500, {"message": _without_secrets(str(error))})


async def _http(request: Request, error: Exception) -> Response:
    status, headers = (error.status_code, error.headers) if isinstance(error, HTTPException) else (500, None)
    route = request.scope["path"].lstrip("/")
    if status == 404:
        message = f"The route {route} could not be found."
    elif status == 405:
        supported = (headers or {}).get("Allow", "")
        message = f"The {request.method} method is not supported for route {route}. Supported methods: {supported}."
    else:
        message = str(getattr(error, "detail", "Server Error"))
    return _framework_json(status, message, headers)


async def _sync(request: Request, error: Exception) -> Response:
    _log(request, error)
    status, message = _told(error)
    if status == 422 and isinstance(error, TableError):
        return _json(status, {"config_name": [message]})
    if status in (404, 422):
        return _json(status, {"files": [message]})
    return _json(status, {"message": message})


def _told(error: Exception) -> tuple[int, str]:
    """Return the status of an error, and what the client is told of it."""
    if isinstance(error, TransportError) and not isinstance(error, ConnectionLimitError):
        # The driver's words name hosts and users.
        return 503, "The server cannot reach its database or storage. Try again; its log has the reason."
    message = _without_secrets(str(error))
    if isinstance(error, SyncError) and error.retryable:
        return 503, message
    if isinstance(error, FileError):
        return (404 if isinstance(error, MissingFileError) else 422), message
    if isinstance(error, SyncError):
        return (422 if isinstance(error, TableError) else 500), message
    return 500, "It met an error that it did not expect; its log has the reason."


async def _unexpected(_request: Request, _error: Exception) -> Response:
    # The framework raises it again behind the answer, so the server logs it.
    return _framework_json(500, "Server Error")


def _without_secrets(message: str) -> str:
    return _CREDENTIALS.sub("//***@", message)


def _log(request: Request, error: Exception) -> None:
    # The cause may say more than the client is told: where a directory lies, what a driver said.
    cause = error.__cause__
    told = isinstance(error, (TableError, FileError, CannotServe))
    log.warning("%s: %s", printable(request.scope["path"]), printable(cause or error), exc_info=None if told else error)


def _json(status: int, content: Any, headers: Mapping[str, str] | None = None) -> Response:
    # PHP escapes slashes.
    text = json.dumps(content, separators=(",", ":")).replace("/", "\\/")
    return Response(text, status, headers, "application/json")


def _framework_json(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    return Response(json.dumps({"message": message}, indent=4), status, headers, "application/json")


ERROR_HANDLERS: Mapping[type[Exception], ExceptionHandler] = {
    InvalidRequest: _invalid,
    Unauthenticated: _unauthenticated,
    TooManyRefused: _too_many_refused,
    RequestTooLarge: _too_large,
    RequestTooSlow: _too_slow,
    NoPlace: _no_place,
    CutShort: _cut_short,
    CannotServe: _cannot_serve,
    HTTPException: _http,
    SyncError: _sync,
    Exception: _unexpected,
}
"""How the application answers each error, as this protocol has it."""
