"""How long a client may stand still in the middle of a body. Nothing here waits: callers do, for as long as it says."""

from __future__ import annotations

from airflow_provider_sync.config import ServerLimits


class StallLimit:
    """What is left of the time that a client may stand still in one body, its own or the server's.

    It begins with ``stall_seconds``. Each byte that moves earns the time that it may take at the minimum rate, and what is
    earned beyond ``stall_seconds`` is forgotten, so that nobody saves up for a pause of hours.
    """

    def __init__(self, limits: ServerLimits) -> None:
        self._most = limits.stall_seconds
        self._left = limits.stall_seconds
        self._rate = limits.min_bytes_per_second

    def allowed(self, size: int = 0) -> float:
        """Return how many seconds the client may take from now on.

        :param size: bytes that move meanwhile, as far as they are known
        """
        return self._left + size / self._rate

    def took(self, seconds: float, size: int) -> None:
        """Count the time that ``size`` bytes took."""
        self._left = min(self._most, self.allowed(size) - seconds)
