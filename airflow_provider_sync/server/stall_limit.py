"""Compute how long a client may stall in the middle of a body; the callers wait."""

from __future__ import annotations

from airflow_provider_sync.config import ServerLimits


class StallLimit:
    """The time for which a client may still stall in one body, of its request or of the response.

    It begins with ``stall_seconds``. Each transferred byte adds the time that it takes at the minimum rate, up to
    ``stall_seconds`` again, so that a fast start does not allow a pause of hours.
    """

    def __init__(self, limits: ServerLimits) -> None:
        self._most = limits.stall_seconds
        self._left = limits.stall_seconds
        self._rate = limits.min_bytes_per_second

    def allowed(self, size: int = 0) -> float:
        """Return the number of seconds that the client may take from now on.

        :param size: number of bytes that will be transferred in that time, if known
        """
        return self._left + size / self._rate

    def took(self, seconds: float, size: int) -> None:
        """Subtract the time that ``size`` bytes took, and add their time at the minimum rate."""
        self._left = min(self._most, self.allowed(size) - seconds)
