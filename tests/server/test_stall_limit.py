"""How long a client may stand still."""

from __future__ import annotations

from airflow_provider_sync.config import ServerLimits
from airflow_provider_sync.server.stall_limit import StallLimit

LIMITS = ServerLimits(stall_seconds=10, min_bytes_per_second=100)


def test_a_client_that_stands_still() -> None:
    """A stalled client keeps only its remaining time, and no byte extends it."""
    patience = StallLimit(LIMITS)
    assert patience.allowed() == 10
    patience.took(4, 0)
    assert patience.allowed() == 6
    patience.took(6, 0)
    assert patience.allowed() == 0


def test_a_slow_client() -> None:
    """At the minimum rate a client may continue forever; below it, its time runs out."""
    patience = StallLimit(LIMITS)
    for _ in range(1000):
        patience.took(2, 200)
    assert patience.allowed() == 10
    for _ in range(10):
        patience.took(2, 100)
    assert patience.allowed() == 0


def test_a_fast_client() -> None:
    """A fast client saves up no time."""
    patience = StallLimit(LIMITS)
    for _ in range(1000):
        patience.took(0.01, 1_000_000)
    assert patience.allowed() == 10


def test_a_large_block() -> None:
    """Bytes that are being sent count."""
    assert StallLimit(LIMITS).allowed(1000) == 20
