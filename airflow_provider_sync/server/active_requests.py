"""Manage active requests: limit their number, run them in threads, and end them early.

They have their own threads, so that in Airflow's API server, requests that wait for a locked table do not block Airflow's own
requests.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from threading import Lock
from typing import TypeVar

import anyio
from anyio.to_thread import run_sync
from starlette.types import Receive

from airflow_provider_sync.config import ServerLimits
from airflow_provider_sync.databases.lock_waits import LockWaits
from airflow_provider_sync.escalation import Canceller
from airflow_provider_sync.server.access.shared_places import SharedPlaces
from airflow_provider_sync.server.body_budget import BodyBudget, CountedBody
from airflow_provider_sync.server.http_errors import RequestEnded, TooManyRequests, TooManyScans
from airflow_provider_sync.server.observability.rate_limited_log import RateLimitedLog
from airflow_provider_sync.server.observability.request_account import RequestAccount

log = logging.getLogger(__name__)

SCAN_WAIT_SECONDS = 20.0
"""Maximum wait, in seconds, for a place among the requests that read a database: less than clients wait for a response."""

_CANCELLING_THREADS = 4

Result = TypeVar("Result")


class ClientGone(Exception):
    """The client disconnected before its response was complete."""


class ActiveRequest:
    """One active request. Made by :class:`ActiveRequests`.

    :ivar limits: the server's limits
    :ivar account: the record of the request and its response
    :ivar body: counts the bytes of the request's body
    :ivar lock_waits: how long it may wait for locks of the source's other sessions
    :ivar ended_early: whether its statements were cancelled, so that their errors are not logged
    """

    def __init__(
        self,
        limits: ServerLimits,
        threads: anyio.CapacityLimiter,
        cancelling: anyio.CapacityLimiter,
        places: SharedPlaces,
        account: RequestAccount,
        on_wait: Callable[[int], None],
        body: CountedBody,
    ) -> None:
        self.body = body
        self.limits = limits
        self.account = account
        self._places = places
        self._on_wait = on_wait
        self.lock_waits = LockWaits()
        self.ended_early = False
        self._threads = threads
        self._cancelling = cancelling
        self._deadline = anyio.current_time() + limits.max_stream_seconds
        self._cancellers: list[Canceller] = []
        self._lock = Lock()
        self._in_thread = False
        self._gone = False
        self._stopping = False
        self._scope: anyio.CancelScope | None = None

    @contextmanager
    def watching(self, canceller: Canceller) -> Iterator[None]:
        """Call ``canceller`` if the request is ended early inside the block: possibly several times, and from any thread.

        If that does not help, because the database hangs, the connection is shut down.
        """
        with self._lock:
            self._cancellers.append(canceller)
        try:
            yield
        finally:
            with self._lock:
                self._cancellers.remove(canceller)
            # The next request may use the same connection.
            canceller.settle()

    def gave_up(self, _name: str) -> bool:
        """Return that any database may be asked again, as its connections are shut down for this request only."""
        return False

    @contextmanager
    def reads(self, database: str) -> Iterator[None]:
        """Count the request among those that read a database, inside the block; wait for a place if there are too many.

        :param database: the database's URL
        :raises TooManyScans: if no place becomes free in time
        """
        limit = self.limits.scans
        if limit is None:
            yield
            return
        self._on_wait(1)
        try:
            place = self._places.wait_for(database, limit, seconds=SCAN_WAIT_SECONDS, check=self.check)
        finally:
            self._on_wait(-1)
        if place is None:
            raise TooManyScans(limit)
        with closing(place):
            yield

    def check(self) -> None:
        """Raise an error if the request was ended early, for work without statements to cancel; may be called from any thread.

        :raises RequestEnded: if the request was ended early
        """
        if self.ended_early:
            raise RequestEnded("The request was ended.")

    def cut(self) -> None:
        """End the request, because the server stops."""
        self._stopping = True
        if self._scope is not None:
            self._scope.cancel()

    async def in_thread(self, call: Callable[[], Result]) -> Result:
        """Run a blocking call in a thread, and wait for its end even when the request is cancelled."""
        self._in_thread = True
        try:
            return await run_sync(call, limiter=self._threads)
        finally:
            self._in_thread = False

    async def attend(self, receive: Receive, steps: Callable[[], Awaitable[Result]]) -> Result:
        """Run ``steps``; end them early when the client disconnects, the time limit is reached, or the server stops.

        A running thread is ended by cancelling its statements; this method waits for its end.

        :raises ClientGone: if the client disconnected
        :raises RequestEnded: if the server ended the request
        """
        results: list[Result] = []
        failure: Exception | None = None
        async with anyio.create_task_group() as tasks:
            self._scope = tasks.cancel_scope
            self._scope.deadline = self._deadline
            if self._stopping:
                self._scope.cancel()
            tasks.start_soon(self._watch, receive, tasks.cancel_scope)
            try:
                results.append(await steps())
            except Exception as error:  # noqa: BLE001  # raised below; a task group would wrap it into a group
                failure = error
            early = tasks.cancel_scope.cancel_called
            tasks.cancel_scope.cancel()
        self._scope = None
        if results:
            return results[0]
        if failure is not None and not early:
            raise failure
        # A failure, if any, then comes from the cancelled statement.
        if self._gone:
            raise ClientGone from failure
        if self._stopping:
            raise RequestEnded("The server is shutting down. Try again when it is back.") from failure
        raise RequestEnded(
            f"The request took more than {self.limits.max_stream_seconds:g} seconds, the longest time allowed"
            " (limits.max_stream_seconds)."
        ) from failure

    async def release(self, call: Callable[[], Result]) -> Result:
        """Run the clean-up of a request in a thread; cancel statements that would delay it."""
        results: list[Result] = []
        failure: Exception | None = None
        with anyio.CancelScope(shield=True):
            async with anyio.create_task_group() as tasks:
                self._in_thread = True
                tasks.start_soon(self._cancel_statements)
                try:
                    results.append(await self.in_thread(call))
                except Exception as error:  # noqa: BLE001  # raised below, as above
                    failure = error
                tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure
        return results[0]

    async def _watch(self, receive: Receive, scope: anyio.CancelScope) -> None:
        try:
            while (await receive())["type"] != "http.disconnect":
                pass
            self._gone = True
            scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                await self._cancel_statements()

    async def _cancel_statements(self) -> None:
        """Cancel repeatedly until the thread is done: a call between two of its statements has no effect."""
        pause = 0.05
        while self._in_thread:
            self.ended_early = True
            # In separate threads: all others may be waiting for this.
            await run_sync(self._call_cancellers, limiter=self._cancelling)
            await anyio.sleep(pause)
            pause = min(2 * pause, 2.0)

    def _call_cancellers(self) -> None:
        with self._lock:
            cancellers = list(self._cancellers)
        for canceller in cancellers:
            canceller()
            if canceller.shut_down_if_due():
                log.warning("%s did not answer to the cancelling of a request. The connection was closed.", canceller.name)


class ActiveRequests:
    """All active requests, up to ``limits.requests``; they outlive the configuration with which they began.

    :param limits: the server's limits
    :param places: places shared with other processes; ``None`` if this process is the only one
    :param on_wait: called with 1 when a request begins to wait for its turn to read a database, and with -1 when the wait ends;
        from any thread
    """

    def __init__(
        self, limits: ServerLimits, places: SharedPlaces | None = None, *, on_wait: Callable[[int], None] = lambda _: None
    ) -> None:
        self._limits = limits
        self._on_wait = on_wait
        self._shares_requests = places is not None
        self._places = places or SharedPlaces()
        self._active: set[ActiveRequest] = set()
        self._bodies = BodyBudget()
        self._notices = RateLimitedLog(log)
        # One thread per request: a request that is admitted never waits for a thread.
        self._threads = anyio.CapacityLimiter(limits.requests)
        self._cancelling = anyio.CapacityLimiter(_CANCELLING_THREADS)

    @contextmanager
    def admit(self, account: RequestAccount) -> Iterator[ActiveRequest]:
        """Count a request as active inside the block.

        :param account: the record of the request
        :raises TooManyRequests: if the limit is reached
        """
        with ExitStack() as stack:
            if len(self._active) >= self._limits.requests or not self._take_place(stack):
                error = TooManyRequests(self._limits.requests)
                self._notices.warn("", "Answered 503: %s", error)
                raise error
            body = stack.enter_context(self._bodies.body())
            active = ActiveRequest(self._limits, self._threads, self._cancelling, self._places, account, self._on_wait, body)
            self._active.add(active)
            stack.callback(self._active.discard, active)
            yield active

    def _take_place(self, stack: ExitStack) -> bool:
        if not self._shares_requests:
            return True
        place = self._places.take("requests", self._limits.requests)
        if place is not None:
            stack.callback(place.close)
        return place is not None

    def adopt(self, limits: ServerLimits) -> None:
        """Admit requests by new limits from now on; active requests keep theirs."""
        self._limits = limits
        # There may be more active requests than the new limit, and each needs its thread.
        self._threads.total_tokens = max(limits.requests, len(self._active))

    def cut(self) -> None:
        """End all requests, because the server stops."""
        for active in list(self._active):
            active.cut()
