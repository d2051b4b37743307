"""How much memory the bodies of all requests may take together: decoded, each takes up to nine times its size."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from airflow_provider_sync.server.http_errors import TooManyBytes

FREE_BYTES = 1024 * 1024
"""Largest body that is not counted: whatever others send, a request of usual size is answered."""

MAX_BYTES = 64 * 1024 * 1024
"""Most bytes of larger bodies at once."""


class BodyBudget:
    """Counts the bytes of larger bodies; only for the thread of the event loop."""

    def __init__(self) -> None:
        self._held = 0

    @contextmanager
    def body(self) -> Iterator[CountedBody]:
        """Give the count of one body, whose bytes are free again after the block."""
        counted = CountedBody(self)
        try:
            yield counted
        finally:
            self._held -= counted.size

    def take(self, size: int) -> None:
        """Count further bytes.

        :raises TooManyBytes: when all bodies together are too large
        """
        if self._held + size > MAX_BYTES:
            raise TooManyBytes(MAX_BYTES)
        self._held += size


class CountedBody:
    """The bytes of one body that count; made by :class:`BodyBudget`."""

    def __init__(self, budget: BodyBudget) -> None:
        self._budget = budget
        self.size = 0

    def grows_to(self, size: int) -> None:
        """Count a body that has ``size`` bytes by now.

        :raises TooManyBytes: when all bodies together are too large
        """
        if size > FREE_BYTES:
            self._budget.take(size - self.size)
            self.size = size
