"""The monitoring endpoints: liveness, readiness and metrics."""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from airflow_provider_sync.config import ServerConfig, cache_path
from airflow_provider_sync.server.access.addresses import exact_address
from airflow_provider_sync.server.access.token_check import Access
from airflow_provider_sync.server.access.tokens import bearer_token, digests_of, is_among
from airflow_provider_sync.server.http_errors import OnlyFromHere, Unauthenticated
from airflow_provider_sync.server.observability.metrics import Metrics
from airflow_provider_sync.server.observability.readiness import Readiness, sources_of
from airflow_provider_sync.server.observability.request_account import account_of
from airflow_provider_sync.server.sources import Sources

_FORWARDED = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip")
"""Headers that proxies add: a request with one of them does not count as local, whatever its address."""

_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class MonitoringEndpoints:
    """``/health``, ``/ready`` and ``/metrics``, each also below the prefix of the server."""

    def __init__(self, config: ServerConfig, access: Access, sources: Sources, metrics: Metrics) -> None:
        self._access = access
        self._metrics = metrics
        self._readiness = Readiness(sources_of(config, sources))
        self._digest = None if config.metrics.digest is None else bytes.fromhex(config.metrics.digest)
        cache = cache_path(config.cache)
        self._cache = None if cache is None else Path(cache).expanduser()

    def routes(self, prefix: str) -> list[Route]:
        """Return the routes.

        :param prefix: prefix of the server's other paths
        """
        return [
            Route(path, _named(name, answer), methods=["GET"])
            for name, answer in (("health", self._health), ("ready", self._ready), ("metrics", self._exposition))
            for path in sorted({f"/{name}", f"{prefix}/{name}"})
        ]

    async def _health(self, _request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def _ready(self, request: Request) -> Response:
        """Answer 200 or 503; include the names of sources only for a token that may see their tables or directories."""
        grant = await self._access.grant_if_any(request)
        outcome = await self._readiness.check()
        ready = all(outcome.values())
        body: dict[str, object] = {"status": "ready" if ready else "not ready"}
        if grant is not None:
            for group in ("connections", "directories"):
                body[group] = {
                    name: "ready" if is_ready else "not ready"
                    for source, is_ready in outcome.items()
                    if source.group == group and (name := source.name_for(grant)) is not None
                }
        return JSONResponse(body, 200 if ready else 503)

    async def _exposition(self, request: Request) -> Response:
        await self._check_reader(request)
        # In a thread, since it may read the metrics files of other processes.
        text = await run_in_threadpool(self._metrics.exposition, self._cache)
        return Response(text, headers={"Content-Type": _CONTENT_TYPE})

    async def _check_reader(self, request: Request) -> None:
        """Check the token for metrics; if the configuration has none, check that the request is from this machine."""
        if self._digest is None:
            if not _is_local(request):
                raise OnlyFromHere
            return
        token = bearer_token(request.headers.get("authorization"))
        if not is_among(self._digest, digests_of(token)):
            refused = Unauthenticated("a wrong token for metrics" if token else "no token for metrics")
            await self._access.delays.hold_back(request, refused)
            raise refused


def _named(name: str, answer: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        account_of(request.scope).endpoint = name
        return await answer(request)

    return endpoint


def _is_local(request: Request) -> bool:
    address = exact_address(request.client.host if request.client else None)
    local = isinstance(address, ipaddress.IPv4Address | ipaddress.IPv6Address) and address.is_loopback
    return local and not any(header in request.headers for header in _FORWARDED)
