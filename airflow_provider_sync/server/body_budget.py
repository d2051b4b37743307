"""Limit the memory for the bodies of all requests together: a decoded body takes up to nine times its size."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from airflow_provider_sync.server.http_errors import TooManyBytes

FREE_BYTES = 1024 * 1024
"""Maximum size, in bytes, of a body that is not counted, so that requests of usual size are always answered."""

MAX_BYTES = 64 * 1024 * 1024
"""Maximum total size, in bytes, of larger bodies at a time."""


class BodyBudget:
    """Counts the bytes of larger bodies; only for the thread of the event loop."""

    def __init__(self) -> None:
        self._held = 0

    @contextmanager
    def body(self) -> Iterator[CountedBody]:
        """Yield the counter of one body, whose bytes are released after the block."""
        counted = CountedBody(self)
        try:
            yield counted
        finally:
            self._held -= counted.size

    def take(self, size: int) -> None:
        """Count further bytes.

        :raises TooManyBytes: if all bodies together are too large
        """
        if self._held + size > MAX_BYTES:
            raise TooManyBytes(MAX_BYTES)
        self._held += size


class CountedBody:
    """The counted bytes of one body; made by :class:`BodyBudget`."""

    def __init__(self, budget: BodyBudget) -> None:
        self._budget = budget
        self.size = 0

    def grows_to(self, size: int) -> None:
        """Count a body that has grown to ``size`` bytes.

        :raises TooManyBytes: if all bodies together are too large
        """
        if size > FREE_BYTES:
            self._budget.take(size - self.size)
            self.size = size
