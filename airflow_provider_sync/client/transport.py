"""Send a request to a sync server, within its time limits, and read its answer; repeat it after a transient failure.

Every request of the protocol can be repeated without harm. It is repeated after a transient failure, unless a part of the answer
has been handed on already.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TypeVar
from urllib.parse import urlencode

import msgspec
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from airflow_provider_sync import __version__
from airflow_provider_sync.client.body import Body, Traffic
from airflow_provider_sync.client.bounded_http import bounded_session, limited_by
from airflow_provider_sync.client.connection_settings import ConnectionSettings
from airflow_provider_sync.client.network_errors import request_errors
from airflow_provider_sync.client.refusals import Subject, check_framing, refusal
from airflow_provider_sync.client.time_limits import RequestTimeLimits, TimeLimits
from airflow_provider_sync.exceptions import IncompleteStreamError, ServerError, SyncError
from airflow_provider_sync.protocol import content_digest, lock_wait
from airflow_provider_sync.protocol.v2.compression import COMPRESSIONS
from airflow_provider_sync.protocol.v2.stream import accept

MAX_RETRY_AFTER = 60.0
"""Longest Retry-After, in seconds, that is honoured; above it the request fails."""

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Call:
    """One request.

    :ivar endpoint: path such as ``/getTable``
    :ivar body: body of a POST; ``None`` for a GET
    :ivar content_type: media type of the body
    """

    endpoint: str
    body: bytes | None = None
    content_type: str | None = None
    accept: str = "application/json, */*"
    accept_encoding: str = "identity"


def message_call(endpoint: str, request: msgspec.Struct, *, compressions: Sequence[str] = COMPRESSIONS) -> Call:
    """Return the call of a request of version 2, which is answered by a stream of messages.

    :param compressions: compressions that the answer may have, the best first
    """
    return Call(endpoint, msgspec.json.encode(request), "application/json", accept=f"{accept(compressions)}, application/json")


class Transport:
    """Sends requests to the endpoints below one URL.

    :ivar traffic: counters of requests and bytes
    :ivar time_limits: time limits of all requests
    """

    def __init__(self, settings: ConnectionSettings) -> None:
        self.url = settings.url
        self.traffic = Traffic()
        self.time_limits = TimeLimits()
        self._settings = settings
        self._headers = {"User-Agent": f"airflow-provider-sync/{__version__}", **settings.headers}
        self._session = bounded_session()

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def give_up(self) -> None:
        """End the running request of another thread within about a second; it is not repeated."""
        self.time_limits.given_up.set()

    @property
    def gave_up(self) -> bool:
        """Whether :meth:`give_up` was called."""
        return self.time_limits.given_up.is_set()

    def post(
        self,
        endpoint: str,
        fields: Sequence[tuple[str, str]],
        read: Callable[[Body], Answer],
        *,
        subject: Subject,
        expect: Collection[int] = (200,),
        accept_encoding: str = "identity",
        repeat: bool = True,
    ) -> Answer:
        """Send a form, as version 1 does; see :meth:`send`."""
        form = urlencode(fields).encode()
        call = Call(endpoint, form, "application/x-www-form-urlencoded", accept_encoding=accept_encoding)
        return self.send(call, read, subject=subject, expect=expect, repeat=repeat)

    def send(
        self,
        call: Call,
        read: Callable[[Body], Answer],
        *,
        subject: Subject,
        expect: Collection[int] = (200,),
        repeat: bool = True,
    ) -> Answer:
        """Send a request, and return the result of ``read`` for its answer; repeat both after a transient failure.

        :param read: reads the answer and closes it, or keeps it to be read later; when it raises, the answer is closed
        :param subject: what is requested, for messages
        :param expect: statuses for which ``read`` is called
        :param repeat: whether the request may be repeated
        :raises SyncError: the error of the last attempt
        """
        pause = _Pause()
        retrying = Retrying(
            stop=stop_after_attempt(self._settings.retries + 1 if repeat else 1),
            wait=pause,
            retry=retry_if_exception(
                lambda error: (
                    isinstance(error, SyncError)
                    and (error.repeatable if isinstance(error, ServerError) else error.retryable)
                    and not pause.too_long
                    and not self.time_limits.given_up.is_set()
                    and not self.time_limits.passed
                )
            ),
            # `time.sleep` is looked up for each call, so that tests can replace it.
            sleep=lambda seconds: time.sleep(min(seconds, max(0.0, self.time_limits.deadline - time.monotonic()))),
            reraise=True,
        )
        try:
            answer: Answer = retrying(self._send, call, read, subject, expect, pause)
        except IncompleteStreamError as error:
            error.given_up = repeat
            raise
        return answer

    def _send(
        self, call: Call, read: Callable[[Body], Answer], subject: Subject, expect: Collection[int], pause: _Pause
    ) -> Answer:
        url = self.url + call.endpoint
        self.traffic.count(requests=1, sent=len(call.body or b""))
        headers = {**self._headers, "Accept": call.accept, "Accept-Encoding": call.accept_encoding}
        if call.content_type is not None:
            headers["Content-Type"] = call.content_type
        if call.body is not None:
            headers[content_digest.HEADER] = content_digest.content_digest(call.body)
        if self.time_limits.locked.is_set():
            headers[lock_wait.HEADER] = str(lock_wait.BRIEF_WAIT)
        settings = self._settings
        time_limits = RequestTimeLimits(url, self.time_limits, settings.max_silence, settings.timeout)
        time_limits.check()
        with request_errors(url), limited_by(time_limits):
            response = self._session.request(
                "GET" if call.body is None else "POST",
                url,
                data=call.body,
                headers=headers,
                auth=settings.auth,
                timeout=(settings.timeout, settings.timeout),
                verify=settings.verify,
                cert=settings.certificate,
                allow_redirects=False,
                stream=True,
            )
        body = Body(response, url, self.traffic, time_limits)
        with ExitStack() as closing:
            closing.enter_context(response)
            check_framing(response, url)
            if response.status_code not in expect:
                pause.ask(response.headers.get("Retry-After"))
                refused = refusal(response, body.beginning(), url=url, subject=subject)
                if isinstance(refused, ServerError) and refused.of_table:
                    body.met_lock()
                raise refused
            answer = read(body)
            closing.pop_all()  # from here on, the reader of the answer closes it
        return answer


class _Pause:
    """The pause before the next attempt: the value of Retry-After, otherwise exponential with jitter."""

    def __init__(self) -> None:
        self._exponential = wait_random_exponential(multiplier=0.5, max=30)
        self._asked: float | None = None

    def ask(self, retry_after: str | None) -> None:
        """Set the pause to the value of a Retry-After header, seconds or a date."""
        self._asked = seconds_to_wait(retry_after)

    @property
    def too_long(self) -> bool:
        """Whether Retry-After is above :data:`MAX_RETRY_AFTER`."""
        return self._asked is not None and self._asked > MAX_RETRY_AFTER

    def __call__(self, state: RetryCallState) -> float:
        asked, self._asked = self._asked, None
        return self._exponential(state) if asked is None else asked


def seconds_to_wait(retry_after: str | None) -> float | None:
    """Return the seconds of a Retry-After header, which has seconds or a date; ``None`` for a missing or invalid one."""
    if retry_after is None:
        return None
    text = retry_after.strip()
    try:
        # urllib3's own parser takes an impossible date for one in the past, so the pause would be 0.
        if text.isascii() and text.isdecimal():
            return float(text)
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, OverflowError, TypeError, IndexError):
        # All of these come from the parser of dates.
        return None
