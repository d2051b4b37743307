"""Classify the errors of all stores' libraries by the reason for the refusal, and repeat throttled requests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

_ATTEMPTS = 6
_MAX_PAUSE = 20.0
_THROTTLED = frozenset({429, 500, 502, 503, 504})
_PRECONDITION_FAILED = 412
# HTTP statuses of requests that may succeed later: a timeout, a conflict, or another version of the object.
_TRANSIENT = _THROTTLED | {408, 409, _PRECONDITION_FAILED, 425}
_REFUSALS = range(400, 500)
_MAX_CAUSES = 10

Result = TypeVar("Result")


def statuses(error: BaseException) -> Iterator[int]:
    """Yield the HTTP statuses that led to an error, wherever the stores' libraries keep them."""
    cause: BaseException | None = error
    for _ in range(_MAX_CAUSES):
        if cause is None:
            return
        response = getattr(cause, "response", None)
        if isinstance(response, dict):
            yield int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        for name in ("code", "status_code", "status"):
            status = getattr(cause, name, None)
            if isinstance(status, int) or (isinstance(status, str) and status.isdecimal()):
                yield int(status)
        cause = cause.__cause__ or cause.__context__


def is_throttled(error: BaseException) -> bool:
    """Whether a store refused a request because it is overloaded or a quota is used up."""
    return not _THROTTLED.isdisjoint(statuses(error))


def is_refused(error: BaseException) -> bool:
    """Whether a store refused a request because of its content, such as a key that is too long: repeating it would not help."""
    found = set(statuses(error))
    # S3's RequestTimeout has the status 400.
    return not found.isdisjoint(_REFUSALS) and found.isdisjoint(_TRANSIENT) and not isinstance(error, TimeoutError)


def is_other_version(error: BaseException) -> bool:
    """Whether a store refused a request because the object does not have the required version."""
    return _PRECONDITION_FAILED in statuses(error) or isinstance(error.__cause__, FileExistsError)


def unless_throttled(call: Callable[[], Result]) -> Result:
    """Return the result of ``call``, which is repeated, with growing pauses, while the store throttles it."""
    retrying = Retrying(
        retry=retry_if_exception(is_throttled),
        stop=stop_after_attempt(_ATTEMPTS),
        wait=wait_random_exponential(multiplier=0.5, max=_MAX_PAUSE),
        reraise=True,
    )
    return retrying(call)
