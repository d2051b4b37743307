"""Compute how long a client may stall in the middle of a body. Callers do the waiting."""

from __future__ import annotations

from airflow_provider_sync.config import ServerLimits


class StallLimit:
    """The time that a client may still stall in one body, that of its request or of the answer.

    It begins with ``stall_seconds``. Each byte that moves adds the time that it takes at the minimum rate, up to
    ``stall_seconds`` again, so that a fast start does not allow a pause of hours.
    """

    def __init__(self, limits: ServerLimits) -> None:
        self._most = limits.stall_seconds
        self._left = limits.stall_seconds
        self._rate = limits.min_bytes_per_second

    def allowed(self, size: int = 0) -> float:
        """Return how many seconds the client may take from now on.

        :param size: bytes that will move meanwhile, if known
        """
        return self._left + size / self._rate

    def took(self, seconds: float, size: int) -> None:
        """Subtract the time that ``size`` bytes took, and add what they earned."""
        self._left = min(self._most, self.allowed(size) - seconds)
