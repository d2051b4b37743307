"""Turn errors into responses, in the format of existing servers and without secrets, and log their reasons.

Errors after the first byte of a response are handled in :mod:`.streaming`.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ExceptionHandler, Scope

from airflow_provider_sync.exceptions import (
    ConnectionLimitError,
    FileError,
    MissingFileError,
    SessionTimeoutError,
    SyncError,
    TableError,
    TransportError,
)
from airflow_provider_sync.printable import MAX_MESSAGE, printable, with_notes
from airflow_provider_sync.protocol.v1.requests import InvalidRequest
from airflow_provider_sync.protocol.v2.messages import Failure
from airflow_provider_sync.redaction import redact
from airflow_provider_sync.server.active_requests import ActiveRequest
from airflow_provider_sync.server.http_errors import HttpError, SnapshotEnded, TooManyScans, UnstableFile
from airflow_provider_sync.server.observability.request_account import account_of

log = logging.getLogger(__name__)

_CREDENTIALS = re.compile(r"//[^/@\s]*@")


def failure_of(what: str, active: ActiveRequest) -> Callable[[Exception], Failure]:
    """Return a function that logs an error in the middle of a version 2 response, and makes the response's last message.

    :param what: the kind of content, for the log
    :param active: the request; if it was ended early, errors of its cancelled statements are not logged
    """

    def explain(error: Exception) -> Failure:
        active.account.failed(error)
        if not active.ended_early:
            log.error("%s broke off: %s", what, logged_text(error), exc_info=traceback_of(error))
            log_cause(what, error)
        status, message = status_and_message(error)
        return Failure(status=status, message=message, of_table=_is_of_table(error))

    return explain


async def _invalid(_request: Request, error: Exception) -> Response:
    return _json(422, error.errors if isinstance(error, InvalidRequest) else {})


async def _answered(request: Request, error: Exception) -> Response:
    if not isinstance(error, HttpError):
        return await _unexpected(request, error)
    if error.logged:
        _log(request, error)
    return refusal(request.scope, error)


def refusal(scope: Scope, error: HttpError) -> Response:
    """Return the response to a refused request, and record the error in the request's account."""
    account_of(scope).failed(error)
    return _json(error.status, {"message": _without_secrets(str(error))}, error.headers)


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
    status, message = status_and_message(error)
    if status == 422 and isinstance(error, TableError):
        return _json(status, {"config_name": [message]})
    if status in (404, 422):
        return _json(status, {"files": [message]})
    return _json(status, {"message": message} | ({"of_table": True} if _is_of_table(error) else {}))


def _is_of_table(error: Exception) -> bool:
    """Tell whether a transient error is about the requested table, which is locked or takes too long, not about the server."""
    return isinstance(error, (TableError, SessionTimeoutError)) and error.retryable


def status_and_message(error: Exception) -> tuple[int, str]:
    """Return the HTTP status of an error, and a message for the client without secrets."""
    if isinstance(error, TransportError) and not isinstance(error, (ConnectionLimitError, SessionTimeoutError)):
        # The driver's message would name hosts and users.
        return 503, "The server cannot reach its database or storage. Try again; its log has the reason."
    message = _without_secrets(str(error))
    if isinstance(error, (UnstableFile, SnapshotEnded, TooManyScans)):
        return error.status, message
    if isinstance(error, InvalidRequest):
        return 422, message
    if isinstance(error, SyncError) and error.retryable:
        return 503, message
    if isinstance(error, FileError):
        return (404 if isinstance(error, MissingFileError) else 422), message
    if isinstance(error, SyncError):
        return (422 if isinstance(error, TableError) else 500), message
    return 500, "It met an error that it did not expect; its log has the reason."


async def _unexpected(_request: Request, _error: Exception) -> Response:
    # The framework raises the error again after the response, so the server logs it.
    return _framework_json(500, "Server Error")


def _without_secrets(message: str) -> str:
    # User names, which `redact` keeps, are removed, too.
    return _CREDENTIALS.sub("//***@", redact(message))


def _log(request: Request, error: Exception) -> None:
    shown = error.__cause__ if isinstance(error.__cause__, FileError) else error
    path = printable(request.scope["path"])
    log.warning("%s: %s", path, logged_text(shown), exc_info=traceback_of(error))
    log_cause(path, error)


def logged_text(error: BaseException) -> str:
    """Return what the log has of an error: its message, and its notes, which are for the log only.

    A note is the location of a file, or what a database said of values that the client may not see.
    """
    return printable(with_notes(error))


def log_cause(what: str, error: Exception) -> None:
    """Log a driver's full message at DEBUG, with the SQL; the error's own message has only its first line.

    :param what: the subject of the error
    """
    cause = error.__cause__
    while isinstance(cause, SyncError):
        cause = cause.__cause__
    if cause is not None and log.isEnabledFor(logging.DEBUG):
        log.debug("%s: the cause: %s", what, printable(redact(str(cause)), MAX_MESSAGE))


def traceback_of(error: Exception) -> Exception | None:
    """Return the exception to log with a traceback; ``None`` for an error that is no bug.

    A traceback for each request while a database is down, or a file is being written, would hide everything else in the log.
    """
    return None if isinstance(error, (TableError, FileError, HttpError, TransportError)) else error


def _json(status: int, content: Any, headers: Mapping[str, str] | None = None) -> Response:
    # PHP escapes slashes.
    text = json.dumps(content, separators=(",", ":")).replace("/", "\\/")
    return Response(text, status, headers, "application/json")


def _framework_json(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    return Response(json.dumps({"message": message}, indent=4), status, headers, "application/json")


def _accounted(answer: Callable[[Request, Exception], Awaitable[Response]]) -> ExceptionHandler:
    async def handle(request: Request, error: Exception) -> Response:
        account_of(request.scope).failed(error)
        return await answer(request, error)

    return handle


ERROR_HANDLERS: Mapping[type[Exception], ExceptionHandler] = {
    InvalidRequest: _accounted(_invalid),
    HttpError: _accounted(_answered),
    HTTPException: _accounted(_http),
    SyncError: _accounted(_sync),
    Exception: _accounted(_unexpected),
}
"""The handler of each kind of error."""
